"""Kinds of resources as the command sees them: where they are, how they are named, what a table shows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import click

from moorage_cli.errors import Misused
from moorage_cli.output import Column

if TYPE_CHECKING:
    from moorage_cli.session import Session

Json = dict[str, Any]
Scope = Mapping[str, str]
Function = TypeVar("Function", bound=Callable[..., Any])

# Escaped ones, too: a gateway undoes that before it looks for the end of the path.
_MISLEADING = frozenset("?#%\\")


@dataclass(frozen=True, slots=True)
class ScopeOption:
    """A flag that says where in the organisation resources of a kind are, such as the gvc, and the variable
    that does where it is not given.
    """

    name: str
    help: str
    variable: str

    def flag(self, *, required: bool) -> Callable[[Function], Function]:
        """Decorator that gives it to a command."""
        return click.option(
            f"--{self.name}",
            required=required,
            envvar=self.variable,
            metavar=self.name.upper(),
            help=f"{self.help} (${self.variable}).",
        )


def gvc_option(purpose: str) -> ScopeOption:
    """The flag ``--gvc``, with what it is for."""
    return ScopeOption("gvc", purpose, "MOORAGE_GVC")


@dataclass(frozen=True, slots=True)
class Noun:
    """A kind of resource.

    ``collection`` and ``schema`` are paths with ``{org}``, ``{kind}`` and the names of ``scope`` in braces;
    ``schema`` has ``{collection}``, too. ``reference`` turns other spellings of a name, such as an
    address with a host, into the name; it is given the session. ``page_size`` is what the list's ``limit``
    may be, if it takes one. ``forced`` says whether ``?force=true`` deletes what is in use. ``fixed`` are
    fields beside the usual ones that an editor does not show. ``check`` raises ``Misused`` for what can be
    no name of the kind, where that is worth knowing before the registry is asked.
    """

    kind: str
    plural: str
    columns: Sequence[Column]
    collection: str = "/org/{org}/{kind}"
    schema: str = "{collection}/-schema/permissions"
    scope: Sequence[ScopeOption] = ()
    reference: Callable[[Session, str], str] | None = None
    page_size: int | None = None
    forced: bool = True
    fixed: frozenset[str] = frozenset()
    check: Callable[[str], None] | None = None

    def collection_path(self, session: Session, scope: Scope) -> str:
        """The path of the list, quoted.

        Raises:
            Misused: no organisation is named, or a name cannot be one.
        """
        from moorage_cli.api import quoted  # noqa: PLC0415 - help does without

        if "{org}" not in self.collection:
            return self.collection
        places = {name: quoted(checked_name(value)) for name, value in scope.items()}
        return self.collection.format(org=quoted(checked_name(session.org)), kind=self.kind, **places)

    def schema_path(self, session: Session, scope: Scope) -> str:
        """The path of the kind's permissions, quoted; errors as of ``collection_path``."""
        from moorage_cli.api import quoted  # noqa: PLC0415

        collection = self.collection_path(session, scope)
        org = quoted(checked_name(session.org)) if "{org}" in self.schema else ""
        return self.schema.format(collection=collection, org=org)

    def path(self, session: Session, reference: str, scope: Scope) -> str:
        """The path of the resource that ``reference`` names: by name, ``//KIND/NAME`` or its full link.

        Raises:
            Misused: it is of another kind or organisation, or can be no name.
        """
        from moorage_cli.api import quoted  # noqa: PLC0415

        collection = self.collection_path(session, scope)
        text = self.reference(session, reference) if self.reference else reference
        name = checked_name(_local_name(text, collection, self.kind))
        if self.check is not None:
            self.check(name)
        return f"{collection}/{quoted(name)}"


def checked_name(name: str) -> str:
    """``name``, if it can stand in a path without meaning something else there.

    Raises:
        Misused: it cannot: a part of it is empty, or begins with a dot or a hyphen, or it has a character at
            which something on the way to the registry would end the path or begin another part.
    """
    parts = name.split("/")
    misleading = any(not part or part.startswith((".", "-")) for part in parts) or _MISLEADING & set(name)
    if misleading or not name.isprintable():
        raise Misused(f"{name!r} cannot be a name", "write NAME, or a link such as //image/NAME:TAG")
    return name


def _local_name(text: str, collection: str, kind: str) -> str:
    if not text.startswith("/"):
        return text
    short = "/" + collection.removeprefix("/org/").partition("/")[2]
    full = f"/{text[2:]}" if text.startswith("//") else text
    wanted = short if text.startswith("//") else collection
    if not full.startswith(f"{wanted}/"):
        raise Misused(f"{text} is no {kind} of {collection}", "name it by its name, or add --org")
    return full.removeprefix(f"{wanted}/")
