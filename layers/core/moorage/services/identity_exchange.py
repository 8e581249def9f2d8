"""A workload's own token, exchanged for the identity that trusts it.

The token comes from whoever runs the workload: a Kubernetes cluster, GitHub Actions, AWS. What it says before
its signature is verified chooses among the trust rules of the identity that the request names, and nothing
else: ``docs/adr/0017-workload-identities.md``.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jwt

from moorage.domain.addresses import Address
from moorage.domain.errors import CredentialsInvalid, InvalidInput, Unavailable
from moorage.domain.jwks import ALGORITHMS, KID_MAX, PublicJwk
from moorage.domain.links import Link
from moorage.domain.resources import Kind
from moorage.domain.tokens import ISSUER
from moorage.domain.trust import TrustRule, parse_identity, parse_trust
from moorage.ports import Clock
from moorage.ports.resources import Resources
from moorage.services.issuer_keys import KeptIssuerKeys

_TOKEN_MAX = 16 * 1024
_REASONS_TOLD = 3
_TOKEN = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+", re.ASCII)
_JWS = jwt.PyJWS()
# Alike for an identity that is not there and for whatever anybody can write into a token: who has no token of
# an issuer that the identity trusts learns of no identity. The log has the reason.
_UNKNOWN = (
    "there is no such identity, none of its trust rules names the issuer (iss) of the token, or no key of "
    "the issuer proves the token"
)
_log = logging.getLogger("moorage.identities")


@dataclass(frozen=True, slots=True)
class _Presented:
    """A token as it came, what its header says of its signature, and the claims that are not verified yet."""

    token: str
    algorithm: str
    kid: str | None
    claims: Mapping[str, Any]

    @classmethod
    def parse(cls, token: str) -> _Presented:
        """Raises:
        CredentialsInvalid: no JSON Web Token, or one whose signature is made in a way that is not taken.
        """
        if len(token) > _TOKEN_MAX or not _TOKEN.fullmatch(token):
            raise CredentialsInvalid(
                f"what is presented for the identity is no JSON Web Token of at most {_TOKEN_MAX} bytes"
            )
        try:
            parts = _JWS.decode_complete(token, options={"verify_signature": False})
            header, claims = parts["header"], json.loads(parts["payload"])
        except (jwt.PyJWTError, ValueError, RecursionError):
            raise CredentialsInvalid("the token is malformed") from None
        if not isinstance(claims, dict):
            raise CredentialsInvalid("the token is malformed")
        if "crit" in header:
            raise CredentialsInvalid(
                "the token's header has critical extensions (crit), none of which is known"
            )
        algorithm, kid = header.get("alg"), header.get("kid")
        if not isinstance(algorithm, str) or algorithm not in ALGORITHMS:
            raise CredentialsInvalid(
                f"the token's algorithm (alg) is none of {', '.join(sorted(ALGORITHMS))}"
            )
        if kid is not None and not (isinstance(kid, str) and len(kid) <= KID_MAX):
            raise CredentialsInvalid(f"the token's key id (kid) is no string of at most {KID_MAX} characters")
        return cls(token, algorithm, kid, claims)

    def prove(self, keys: Sequence[PublicJwk]) -> None:
        """Refuse the token unless one of the issuer's ``keys`` proves it.

        Raises:
            _Unproved: none does.
        """
        fitting = [
            key
            for key in keys
            if self.algorithm in key.algorithms and (self.kid is None or key.kid == self.kid)
        ]
        if len(fitting) != 1:
            number = "none" if not fitting else "more than one"
            raise _Unproved(f"of the issuer's keys, {number} fits the key id (kid) and algorithm (alg)")
        try:
            key = jwt.PyJWK(dict(fitting[0].members), algorithm=self.algorithm)
            _JWS.decode_complete(self.token, key, algorithms=[self.algorithm])
        except (jwt.PyJWTError, ValueError):
            raise _Unproved("the token's signature is not valid") from None


class _Unproved(Exception):
    """Why a token is not known to come from whom an identity trusts: a reason that its bearer is not told."""


class IdentityExchange:
    """Proves workloads to be identities."""

    def __init__(self, resources: Resources, issuer_keys: KeptIssuerKeys, clock: Clock) -> None:
        self._resources = resources
        self._issuer_keys = issuer_keys
        self._clock = clock

    def authenticate(self, identity: str, token: str, address: Address) -> str:
        """The link of ``identity``, in full, when one of its trust rules accepts ``token`` at ``address``.

        Raises:
            CredentialsInvalid: no rule does; the message holds nothing of the token. Of one that its issuer's
                keys prove it says what was wrong, of any other not even whether there is such an identity.
            Unavailable: the keys of the token's issuer cannot be fetched.
        """
        try:
            name = parse_identity(identity)
        except InvalidInput as error:
            raise CredentialsInvalid(error.message) from None
        presented = _Presented.parse(token)
        try:
            rules = self._rules(name, presented.claims.get("iss"))
        except _Unproved as error:
            raise _unknown(name, str(error)) from None
        refusals: list[str] = []
        unproved: list[str] = []
        failure: Unavailable | None = None
        for rule in rules:
            try:
                refusal = self._refusal(rule, presented, default_audience(name.org, address))
            except _Unproved as error:
                unproved.append(str(error))
                continue
            except Unavailable as error:
                # Another rule may have its keys given.
                failure = error
                continue
            if refusal is None:
                return str(name)
            refusals.append(refusal)
        if failure is not None:
            raise failure
        if not refusals:
            raise _unknown(name, "; ".join(dict.fromkeys(unproved)))
        raise CredentialsInvalid("; ".join(list(dict.fromkeys([*refusals, *unproved]))[:_REASONS_TOLD]))

    def _rules(self, name: Link, issuer: Any) -> list[TrustRule]:
        """The rules for tokens of ``issuer``; at least one.

        Raises:
            _Unproved: there are none.
            CredentialsInvalid: it is this registry.
        """
        if issuer == ISSUER:
            raise CredentialsInvalid("a token of this registry cannot be exchanged for another")
        record = self._resources.find(Kind.IDENTITY, name.org, name.name)
        if record is None:
            raise _Unproved("there is no such identity")
        try:
            rules = parse_trust(record.spec)
        except InvalidInput:
            raise _Unproved("the identity's trust rules are not valid any more; write them anew") from None
        found = [rule for rule in rules if rule.issuer == issuer]
        if not found:
            raise _Unproved("none of the identity's trust rules names the token's issuer (iss)")
        return found

    def _refusal(self, rule: TrustRule, presented: _Presented, audience: str) -> str | None:
        """Why ``rule`` does not accept a token that its issuer's keys prove; None if it does.

        Raises:
            _Unproved: they do not.
            Unavailable: they cannot be fetched.
        """
        # The signature first: only who holds a token of the issuer learns what a rule asks for.
        keys = self._issuer_keys.keys(rule.issuer, presented.kid) if rule.keys is None else rule.keys
        presented.prove(keys)
        return rule.refusal(presented.claims, self._clock(), audience)


def _unknown(identity: Link, reason: str) -> CredentialsInvalid:
    _log.info("a token is not taken for %s: %s", identity, reason)
    return CredentialsInvalid(_UNKNOWN)


def default_audience(org: str, address: Address) -> str:
    """Whom tokens are meant for where a trust rule names no audience: ``HOST/ORG``, the registry and the
    organisation in it; at the host of an organisation, ``HOST`` is the domain above it.
    """
    host = address.host.lower()
    if address.organisation is not None:
        host = host.removeprefix(f"{address.organisation}.")
    return f"{host}/{org}"
