"""Who calls the management API, by the credentials that came along."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from datetime import datetime

from moorage.domain.errors import CredentialsInvalid
from moorage.domain.principals import is_identity, organisation_of
from moorage.domain.tokens import AccessToken
from moorage.ports import BootstrapRecords
from moorage.services.keys import KeyAuthentication
from moorage.services.verification import TokenVerification

BOOTSTRAP_PREFIX = "mrgboot_"
"""What the bootstrap credential begins with."""

_KEY_PREFIX = "mrg_"


@dataclass(frozen=True, slots=True)
class Caller:
    """A principal that has proved who it is: now, with its key, or minutes ago, when it got a token.

    ``until`` is when the key expires that it has shown; None: never, or it has shown a token.
    """

    principal: str
    by_key: bool = True
    until: datetime | None = None

    @property
    def organisation(self) -> str:
        """The organisation that the principal belongs to."""
        return organisation_of(self.principal)


class Callers:
    """Turns credentials into callers."""

    def __init__(
        self, keys: KeyAuthentication, verification: TokenVerification, bootstrap: BootstrapRecords
    ) -> None:
        self._keys = keys
        self._verification = verification
        self._bootstrap = bootstrap

    def identify(self, credentials: str) -> Caller:
        """Whose key or token ``credentials`` is.

        Raises:
            CredentialsInvalid: an unknown, revoked or expired key, all alike, or a token that was made with
                one that is no longer good: here it must not do for minutes what its key could do no more.
            TokenInvalid: not a token of this registry, or not at this time.
        """
        if credentials.startswith(_KEY_PREFIX):
            key = self._keys.authenticate(credentials)
            return Caller(key.owner, until=key.expires)
        token = self._verification.verify(credentials)
        if not self._is_backed(token):
            raise CredentialsInvalid("the key that the token was made with is revoked or expired")
        return Caller(token.principal, by_key=False)

    def _is_backed(self, token: AccessToken) -> bool:
        """Whether what the token was made with is still good; a workload had no key."""
        if token.key is None:
            return is_identity(token.principal, organisation_of(token.principal))
        return self._keys.is_alive(token.key, token.principal)

    def check_bootstrap(self, credentials: str) -> None:
        """Check that ``credentials`` is the deployment's bootstrap credential; in constant time.

        Raises:
            CredentialsInvalid: it is not, or the deployment has none.
        """
        expected = self._bootstrap.find_bootstrap()
        presented = hashlib.sha256(credentials.encode("utf-8", "surrogatepass")).hexdigest()
        if expected is None or not hmac.compare_digest(expected, presented):
            raise CredentialsInvalid("the bootstrap credential is not valid")
