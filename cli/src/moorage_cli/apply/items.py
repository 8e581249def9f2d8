"""What files say about single resources: read from them, and told apart."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from moorage_cli.apply.kinds import KINDS, AppliedKind
from moorage_cli.documents import Document, placed_documents, read_text
from moorage_cli.errors import CliError, Misused
from moorage_cli.nouns import Json
from moorage_cli.output import LISTS
from moorage_cli.session import Session

_ENDINGS = (".yaml", ".yml", ".json")
_SHOWN = 60


@dataclass(frozen=True, slots=True)
class Place:
    """Where something stands: a file, and there a document with the line that it begins in; ``item`` is which
    one it is of a list. All count from 1.
    """

    file: str
    document: int
    line: int
    item: int | None = None

    def __str__(self) -> str:
        item = "" if self.item is None else f", item {self.item}"
        return f"{self.file}, document {self.document}{item} (line {self.line})"


@dataclass(frozen=True, slots=True)
class Item:
    """A resource as a file has it. ``path`` is where it is in the registry, ``scope`` what the paths of its
    kind need beside the name.
    """

    place: Place
    kind: AppliedKind
    name: str
    path: str
    scope: Json
    content: Json

    @property
    def title(self) -> str:
        """Which resource this is, and where it stands, for messages."""
        return f"{self.place}: {self.kind.noun.kind} {self.name}"


def put_path(session: Session, item: Item) -> str:
    """Where ``item`` is put: by its own path a resource is only replaced, by that of its kind also made."""
    return item.path if item.kind.standing else item.kind.noun.collection_path(session, item.scope)


def read_items(session: Session, sources: Sequence[str]) -> tuple[list[Item], list[CliError]]:
    """The resources in files, in folders (their files that end in .yaml, .yml or .json, by name) and, for
    ``-``, on standard input; and what is wrong with some of them.

    Raises:
        Misused: standard input is named twice, or no organisation is.
    """
    if sources.count("-") > 1:
        raise Misused("standard input can be read only once")
    _ = session.org
    items: list[Item] = []
    problems: list[CliError] = []
    for file in _files(sources, problems):
        try:
            for document in placed_documents(read_text(file), _shown(file)):
                for place, content in _entries(_shown(file), document):
                    try:
                        items.append(_item(session, place, content))
                    except CliError as error:
                        problems.append(_placed(error, str(place)))
        except CliError as error:
            problems.append(error)
    return items, [*problems, *_repeated(items)]


def _files(sources: Iterable[str], problems: list[CliError]) -> Iterator[str]:
    for source in sources:
        if source == "-" or not Path(source).is_dir():
            yield source
            continue
        try:
            found = sorted(
                each for each in Path(source).iterdir() if each.suffix in _ENDINGS and not each.is_dir()
            )
        except OSError as error:
            problems.append(Misused(f"{source} cannot be read: {error.strerror}"))
            continue
        if not found:
            problems.append(Misused(f"{source} has no file that ends in {', '.join(_ENDINGS)}"))
        yield from map(str, found)


def _shown(file: str) -> str:
    return "standard input" if file == "-" else file


def _entries(file: str, document: Document) -> Iterator[tuple[Place, Any]]:
    """The resources of a document: one, or those of a list."""
    content = document.content
    if isinstance(content, dict) and content.get("kind") in LISTS and isinstance(content.get("items"), list):
        content = content["items"]
    if not isinstance(content, list):
        yield Place(file, document.number, document.line), content
        return
    for number, each in enumerate(content, 1):
        yield Place(file, document.number, document.line, number), each


def _item(session: Session, place: Place, content: Any) -> Item:
    if not isinstance(content, dict):
        raise Misused(
            f"this is no resource: {json.dumps(content)[:_SHOWN]}", "write an object with kind and name"
        )
    kind = content.get("kind")
    row = KINDS.get(kind) if isinstance(kind, str) else None
    if row is None:
        said = (
            "there is no kind" if kind is None else f"the kind {json.dumps(kind)[:_SHOWN]} cannot be applied"
        )
        raise Misused(said, f"kinds are {', '.join(KINDS)}")
    name = content.get("name")
    if not isinstance(name, str) or not name:
        said = "there is no name" if name is None else f"the name {json.dumps(name)[:_SHOWN]} is no text"
        raise Misused(f"{said} of the {kind}", "add name: NAME, in quotes if it looks like a number")
    name = row.canonical(name)
    if row.noun.kind == "org" and name != session.org:
        raise Misused(
            f"this is the organisation {name}, and the command works in {session.org}", f"add --org {name}"
        )
    scope = {each.name: _scope(content, each.name) for each in row.noun.scope}
    return Item(place, row, name, row.noun.path(session, name, scope), scope, content)


def _scope(content: Json, name: str) -> str:
    value = content.get(name)
    if not isinstance(value, str) or not value:
        raise Misused(f"there is no {name} in which the {content['kind']} is", f"add {name}: NAME")
    return value


def _placed(error: CliError, place: str) -> CliError:
    return type(error)(f"{place}: {error.message}", error.hint)


def _repeated(items: Iterable[Item]) -> Iterator[CliError]:
    first: dict[str, Item] = {}
    for item in items:
        other = first.setdefault(item.path, item)
        if other is not item:
            yield Misused(f"{item.title} stands already in {other.place}")
