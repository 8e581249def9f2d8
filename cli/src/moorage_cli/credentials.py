"""What proves to a registry who somebody is: keys, and tokens that were made with them."""

from __future__ import annotations

from moorage_cli.errors import NotLoggedIn

_DOTS = 2


def parse_credential(text: str) -> str:
    """A key or token without the white space around it.

    Raises:
        NotLoggedIn: it cannot be one.
    """
    stripped = text.strip()
    if not stripped or not all("!" <= each <= "~" for each in stripped):
        raise NotLoggedIn("what was given is no key", "copy it again, in one line")
    return stripped


def is_token(secret: str) -> bool:
    """Whether ``secret`` has the form of a signed token, which no key has."""
    return secret.count(".") == _DOTS
