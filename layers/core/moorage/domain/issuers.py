"""Issuers of tokens, and the addresses from which the registry may fetch their keys."""

from __future__ import annotations

import re
from dataclasses import dataclass

from moorage.domain.errors import InvalidInput

_ISSUER_MAX = 255
_URL_MAX = 1024
_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
# The last label begins with a letter: neither a dotted nor a hexadecimal number passes for a name.
_HOST = rf"(?:{_LABEL}\.)+[a-z](?:[a-z0-9-]{{0,61}}[a-z0-9])"
_PATH = r"(?:/[A-Za-z0-9._~!$&'()*+,;=:@%-]*)*"
_URL = re.compile(rf"https://({_HOST})(?::443)?({_PATH})(\?[A-Za-z0-9._~!$&'()*+,;=:@%/?-]*)?", re.ASCII)
_HOST_MAX = 253
_NAME_ONLY = re.compile(r"https://[A-Za-z0-9.:\[\]-]+(?:/[A-Za-z0-9._~!$&'()*+,;=:@%/-]*)?", re.ASCII)
# Names that no public server has, whatever a resolver inside a network makes of them.
_PRIVATE_DOMAINS = frozenset({"arpa", "internal", "local", "localhost"})


@dataclass(frozen=True, slots=True)
class HttpsUrl:
    """A URL that may be fetched, always from port 443; ``target`` is its path and query."""

    host: str
    target: str

    @classmethod
    def parse(cls, text: str) -> HttpsUrl:
        """The URL that ``text`` is.

        Raises:
            InvalidInput: not https, another port, user information, an IP address or a private name for a
                host, a fragment, or characters that have no place in a URL.
        """
        match = _URL.fullmatch(text) if len(text) <= _URL_MAX else None
        if match is None or len(match[1]) > _HOST_MAX:
            raise InvalidInput(
                "a URL to fetch keys from has the form https://HOST/PATH, with a public host name in lower "
                "case and no other port, user name or IP address"
            )
        if match[1].rpartition(".")[2] in _PRIVATE_DOMAINS:
            raise InvalidInput("the host of a URL to fetch keys from has a private name")
        return cls(match[1], (match[2] or "/") + (match[3] or ""))


def parse_issuer(text: object, *, fetched: bool) -> str:
    """``text``, when it may be the issuer of a trust rule; ``fetched`` if its keys are to be fetched from it.

    Raises:
        InvalidInput: not an https URL without query and fragment, or, if ``fetched``, none that ``HttpsUrl``
            takes.
    """
    if not isinstance(text, str) or len(text) > _ISSUER_MAX or not _NAME_ONLY.fullmatch(text):
        raise InvalidInput(
            f"issuer is the https URL, of at most {_ISSUER_MAX} characters, that the tokens have as iss"
        )
    if fetched:
        try:
            HttpsUrl.parse(text)
        except InvalidInput as error:
            raise InvalidInput(
                f"issuer cannot be asked for its keys: {error.message}; give its keys as jwks"
            ) from None
    return text


def configuration_url(issuer: str) -> str:
    """Where an issuer publishes its configuration.

    https://openid.net/specs/openid-connect-discovery-1_0.html#ProviderConfigurationRequest
    """
    return f"{issuer.removesuffix('/')}/.well-known/openid-configuration"
