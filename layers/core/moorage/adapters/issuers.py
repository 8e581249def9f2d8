"""Issuers on the public internet, by OpenID Connect's discovery.

https://openid.net/specs/openid-connect-discovery-1_0.html
"""

from __future__ import annotations

import logging
import re
import time
from datetime import timedelta

from moorage.adapters.https_documents import DocumentRefusedError, HttpsDocuments
from moorage.domain.errors import InvalidInput, Unavailable
from moorage.domain.issuers import HttpsUrl, configuration_url
from moorage.domain.jwks import parse_jwks
from moorage.ports.issuers import IssuerKeys

logger = logging.getLogger(__name__)

_SECONDS = 3.0
_CONFIGURATION_MAX = 64 * 1024
_KEYS_MAX = 256 * 1024
_MAX_AGE = re.compile(r"(?:^|[\s,])max-age=(\d{1,9})(?:$|[\s,])", re.ASCII | re.IGNORECASE)


class HttpsIssuers:
    """The port ``Issuers``. An issuer has ``seconds`` for both of its documents, all included."""

    def __init__(self, documents: HttpsDocuments, seconds: float = _SECONDS) -> None:
        self._documents = documents
        self._seconds = seconds

    def fetch_keys(self, issuer: str) -> IssuerKeys:
        """The keys in the key set that the issuer's configuration names."""
        deadline = time.monotonic() + self._seconds
        what = "configuration"
        try:
            source = self._key_set_url(issuer, deadline)
            what = "key set"
            document = self._documents.fetch(source, most=_KEYS_MAX, deadline=deadline)
            return IssuerKeys(parse_jwks(document.content), _max_age(document.cache_control))
        except DocumentRefusedError as error:
            raise _unavailable(issuer, what, error.reason) from error
        except InvalidInput as error:
            raise _unavailable(issuer, what, error.message) from error

    def _key_set_url(self, issuer: str, deadline: float) -> HttpsUrl:
        configuration = self._documents.fetch(
            HttpsUrl.parse(configuration_url(issuer)), most=_CONFIGURATION_MAX, deadline=deadline
        ).content
        if configuration.get("issuer") != issuer:
            raise DocumentRefusedError("it names another issuer")
        source = configuration.get("jwks_uri")
        if not isinstance(source, str):
            raise DocumentRefusedError("it names no jwks_uri")
        return HttpsUrl.parse(source)


def connect_issuers() -> HttpsIssuers:
    """Issuers as every host on the public internet sees them."""
    return HttpsIssuers(HttpsDocuments())


def _unavailable(issuer: str, what: str, reason: str) -> Unavailable:
    logger.warning("%s of issuer %s refused: %s", what, issuer, reason)
    return Unavailable(f"the keys of {issuer} cannot be fetched: its {what} is refused: {reason}")


def _max_age(cache_control: str) -> timedelta | None:
    found = _MAX_AGE.search(cache_control)
    return timedelta(seconds=int(found[1])) if found else None
