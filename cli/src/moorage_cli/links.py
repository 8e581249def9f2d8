"""Links of resources, as people shorten them."""

from __future__ import annotations

from moorage_cli.errors import Misused


def full_link(org: str, text: str) -> str:
    """``text`` as a full link, if it is a short one of ``org``; a user's address in lower case."""
    link = f"/org/{org}/{text[2:]}" if text.startswith("//") else text
    return link.lower() if link.split("/")[3:4] == ["user"] else link


def link_to(org: str, kind: str, name: str, gvc: str | None = None) -> str:
    """The full link of what is called ``name``, which may be a link already.

    Raises:
        Misused: it is an identity, and its gvc is not known.
    """
    if name.startswith("/"):
        return full_link(org, name)
    if kind == "org":
        return f"/org/{name}"
    if kind != "identity":
        return full_link(org, f"//{kind}/{name}")
    if not gvc:
        raise Misused(f"the gvc of the identity {name!r} is not named", "add --gvc GVC, or write a link")
    return f"/org/{org}/gvc/{gvc}/identity/{name}"


def is_link_of(kind: str, link: str) -> bool:
    """Whether a full link has the parts of one to a resource of ``kind``; the names are not looked at."""
    if kind == "org":
        return _fits(link, "/org/*")
    if kind == "image":
        # The name of an image has slashes of its own.
        return _fits("/".join(link.split("/")[:5]), "/org/*/image/*")
    return _fits(link, "/org/*/gvc/*/identity/*" if kind == "identity" else f"/org/*/{kind}/*")


def _fits(link: str, pattern: str) -> bool:
    parts, wanted = link.split("/"), pattern.split("/")
    if len(parts) != len(wanted):
        return False
    return all(
        part != "" if want == "*" else part == want for part, want in zip(parts[1:], wanted[1:], strict=True)
    )
