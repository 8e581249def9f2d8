"""Links: how resources name one another, in the short form and in the full one.

``/org/ORG/KIND/NAME`` is the full form, and the only one that is stored, compared and returned;
``//KIND/NAME`` stands for it in requests to that organisation. A name has one spelling: percent-encoding is
undone once, an e-mail address is put into lower case, and what then is outside the grammar is refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote_to_bytes

from moorage.domain.digests import Digest
from moorage.domain.errors import InvalidInput
from moorage.domain.names import Repository, parse_organisation, parse_tag
from moorage.domain.principals import is_user_id
from moorage.domain.resources import Kind, link_of, parse_name

LINK_MAX = 1024
LATEST = "latest"
PRINCIPAL_KINDS = (Kind.USER, Kind.GROUP, Kind.SERVICE_ACCOUNT, Kind.IDENTITY)
_FORMS = {
    Kind.IMAGE: "image/NAME:TAG",
    Kind.USER: "user/EMAIL",
    Kind.IDENTITY: "gvc/GVC/identity/NAME",
}
_NAMED = frozenset(kind.value for kind in Kind if kind is not Kind.ORG)
_SHOWN = 80


@dataclass(frozen=True, slots=True)
class ImageReference:
    """An image as a link names it: by tag, by digest, or by a tag that is pinned to a digest."""

    repository: Repository
    tag: str | None
    digest: Digest | None = None

    @classmethod
    def parse(cls, org: str, text: str) -> ImageReference:
        """What ``NAME:TAG``, ``NAME@DIGEST`` or ``NAME:TAG@DIGEST`` names in ``org``; ``NAME`` alone is
        ``NAME:latest``. The last colon after the last slash divides name and tag.

        Raises:
            InvalidInput: none of these (``NameInvalid``, ``TagInvalid``, ``DigestInvalid``).
        """
        named, at, pin = text.partition("@")
        digest = Digest.parse(pin) if at else None
        folder, slash, last = named.rpartition("/")
        name, colon, tag = last.rpartition(":") if ":" in last else (last, "", "")
        repository = Repository.parse(f"{org}/{folder}{slash}{name}")
        if colon:
            return cls(repository, parse_tag(tag), digest)
        return cls(repository, None if digest else LATEST, digest)

    @property
    def name(self) -> str:
        """What follows ``/org/ORG/image/`` in the full link."""
        tag = "" if self.tag is None else f":{self.tag}"
        pin = "" if self.digest is None else f"@{self.digest}"
        return f"{self.repository.image}{tag}{pin}"

    @property
    def link(self) -> str:
        """The full link."""
        return link_of(Kind.IMAGE, self.repository.org, self.name)


@dataclass(frozen=True, slots=True)
class Link:
    """What a link names, by parts in canonical form; ``str`` gives the full form."""

    kind: Kind
    org: str
    name: str

    def __str__(self) -> str:
        return link_of(self.kind, self.org, self.name)

    @property
    def is_user_id(self) -> bool:
        """Whether this names a user by the record's id: to be replaced by the e-mail address before it is
        stored, because decisions compare addresses.
        """
        return self.kind is Kind.USER and is_user_id(self.name)


def parse_link(value: Any, org: str) -> Link:
    """The resource that ``value`` names in a request to ``org``.

    Raises:
        InvalidInput: no link, of no known kind, or with a malformed name; the message quotes the link and
            shows the right form.
    """
    if not isinstance(value, str):
        raise InvalidInput("a link is a string such as //image/NAME:TAG or /org/ORG/group/NAME")
    if len(value) > LINK_MAX:
        raise InvalidInput(f"a link has at most {LINK_MAX} characters; this one begins {value[:_SHOWN]!r}")
    owner, path = _owner(value, org)
    if path is None:
        return Link(Kind.ORG, owner, owner)
    kind, name = _kind_and_name(value, path)
    try:
        return Link(kind, owner, _name(kind, owner, _decode(name)))
    except InvalidInput as error:
        raise _malformed(value, kind, error.message) from None


def parse_principal(value: Any, org: str) -> Link:
    """The principal that ``value`` names: of ``org``, or by a full link of another organisation.

    Raises:
        InvalidInput: malformed, or not a user, group, service account or identity.
    """
    link = parse_link(value, org)
    if link.kind not in PRINCIPAL_KINDS:
        forms = ", ".join(f"//{form(kind)}" for kind in PRINCIPAL_KINDS)
        raise InvalidInput(f"the link {_quoted(value)} names no principal; a principal is one of {forms}")
    return link


def parse_target(kind: Kind, value: Any, org: str) -> Link:
    """The resource of ``kind`` in ``org`` that ``value`` names.

    Raises:
        InvalidInput: malformed, of another kind, or of another organisation.
    """
    link = parse_link(value, org)
    if link.kind is not kind:
        raise _malformed(str(value), kind, f"it names a resource of kind {link.kind}, not {kind}")
    if link.org != org:
        raise InvalidInput(
            f"the link {_quoted(value)} leads out of the organisation {org}, where its policies end"
        )
    return link


def form(kind: Kind) -> str:
    """How a link of ``kind`` looks after ``//`` or ``/org/ORG/``."""
    return _FORMS.get(kind, f"{kind}/NAME")


def _owner(value: str, org: str) -> tuple[str, str | None]:
    """The organisation, and what follows it; nothing does in a link to the organisation itself."""
    if value.startswith("//"):
        return org, value[2:]
    parts = value.split("/", 3)
    if len(parts) < 3 or parts[:2] != ["", "org"]:  # noqa: PLR2004
        raise InvalidInput(f"the link {_quoted(value)} begins neither with // nor with /org/ORG")
    try:
        owner = parse_organisation(_decode(parts[2]))
    except InvalidInput as error:
        raise InvalidInput(f"the link {_quoted(value)} names no organisation: {error.message}") from None
    return owner, parts[3] if len(parts) > 3 else None  # noqa: PLR2004


def _kind_and_name(value: str, path: str) -> tuple[Kind, str]:
    kind, slash, name = path.partition("/")
    if kind == Kind.GVC and "/" in name:
        gvc, _, rest = name.partition("/")
        inner, slash, identity = rest.partition("/")
        if inner != Kind.IDENTITY or not slash or "/" in identity:
            raise _malformed(value, Kind.IDENTITY, "nothing else stands inside a GVC")
        return Kind.IDENTITY, f"{gvc}/{identity}"
    if kind == Kind.IDENTITY:
        raise _malformed(value, Kind.IDENTITY, "an identity belongs to a GVC")
    if not slash or kind not in _NAMED:
        raise InvalidInput(
            f"the link {_quoted(value)} is of no known kind; links look like //image/NAME:TAG, //group/NAME, "
            "//gvc/GVC/identity/NAME"
        )
    return Kind(kind), name


def _name(kind: Kind, org: str, text: str) -> str:
    if kind is Kind.IMAGE:
        return ImageReference.parse(org, text).name
    if kind is Kind.USER and is_user_id(text):
        return text
    return parse_name(kind, text)


def _decode(text: str) -> str:
    """``text`` without percent-encoding, undone once: what is still encoded then is outside every grammar."""
    if "%" not in text:
        return text
    try:
        return unquote_to_bytes(text).decode()
    except UnicodeError:
        raise InvalidInput("its percent-encoding is not UTF-8") from None


def _malformed(value: str, kind: Kind, reason: str) -> InvalidInput:
    shape = form(kind)
    full = f"/org/ORG/{shape}" if kind is not Kind.ORG else "/org/ORG"
    short = f" or //{shape}" if kind is not Kind.ORG else ""
    return InvalidInput(f"the link {_quoted(value)} has not the form {full}{short}: {reason}")


def _quoted(value: Any) -> str:
    return ascii(value if len(value) <= _SHOWN else f"{value[:_SHOWN]}...")
