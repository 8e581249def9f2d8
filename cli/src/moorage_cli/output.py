"""Results on stdout: tables for people, JSON and YAML for programs, links for pipelines."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, Any

import click

from moorage_cli import times
from moorage_cli.errors import printable

if TYPE_CHECKING:
    from moorage_cli.session import Session

Json = dict[str, Any]

_GAP = 2
_NARROWEST = 8
_UNIT = 1000
_ELLIPSIS = "…"
LISTS = ("list", "queryresult")
"""The kinds of what holds several resources."""
# What says which resource is meant, also where it cannot be changed.
_NAMING = frozenset({"kind", "gvc"})


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table: its title, and the field that it shows, or a function of the resource.

    ``time`` says that it holds moments. ``whole`` columns are never cut, because people copy from them.
    ``cut`` is how many characters are shown at all. ``placed`` functions are given what the addresses of
    images begin with as well.
    """

    title: str
    value: str | Callable[..., Any]
    time: bool = False
    whole: bool = False
    cut: int | None = None
    placed: bool = False

    def text(self, item: Json, style: str, place: str = "") -> str:
        """The cell for ``item``, on one line and without control characters."""
        if isinstance(self.value, str):
            value = item.get(self.value)
        else:
            value = self.value(item, place) if self.placed else self.value(item)
        text = cell(value)
        if self.time:
            text = times.shown(text, style)
        return text if self.cut is None else text[: self.cut]


def cell(value: Any) -> str:
    """A value in one line of text: nothing for None, ``k=v`` for maps, lists with commas between."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Mapping):
        return ",".join(f"{cell(key)}={cell(each)}" for key, each in value.items())
    if isinstance(value, list | tuple):
        return ",".join(cell(each) for each in value)
    return printable(str(value))


def amount(size: Any) -> str:
    """A number of bytes in decimal units, as docker writes them; nothing if it is none."""
    if not isinstance(size, int) or isinstance(size, bool):
        return ""
    number, unit = float(size), "B"
    for larger in ("kB", "MB", "GB", "TB"):
        if number < _UNIT:
            break
        number, unit = number / _UNIT, larger
    return f"{number:.3g}{unit}" if number < _UNIT else f"{number:.0f}{unit}"


def write_item(session: Session, item: Json, columns: Sequence[Column]) -> None:
    """Write one resource in the form that ``--output`` asks for."""
    if session.output == "text":
        write_table(session, [item], columns)
    elif session.output == "names":
        _write_links([item])
    else:
        write_answer(session, item)


def write_list(session: Session, kind: str, items: Sequence[Json], columns: Sequence[Column]) -> None:
    """Write several resources of ``kind`` in the form that ``--output`` asks for."""
    if session.output == "text":
        write_table(session, items, columns)
    elif session.output == "names":
        _write_links(items)
    else:
        write_answer(session, {"kind": "list", "itemKind": kind, "items": list(items)})


def write_document(session: Session, document: Any) -> None:
    """Write any document as YAML if ``--output yaml`` asks for it, else as JSON."""
    if session.output == "yaml":
        from moorage_cli.documents import to_yaml  # noqa: PLC0415 - costs much, and few commands need it

        click.echo(to_yaml(document, ascii_only=not _is_unicode()), nl=False)
    else:
        click.echo(json.dumps(document, indent=2, ensure_ascii=not _is_unicode()))


def write_answer(session: Session, answer: Any) -> None:
    """Write a resource, or a list of some, as the registry says it, or without what it sets itself where
    ``--output`` asks for that.
    """
    write_document(session, _slim(answer) if session.slim else answer)


def _slim(document: Any) -> Any:
    """What `apply` makes of a resource, or of each of a list; anything else, such as a job, is as it is."""
    from moorage_cli.apply.kinds import KINDS  # noqa: PLC0415 - it imports this module

    if not isinstance(document, dict):
        return document
    if document.get("kind") in LISTS and isinstance(document.get("items"), list):
        return {"kind": "list", "items": [_slim(each) for each in document["items"]]}
    kind = KINDS.get(document["kind"]) if isinstance(document.get("kind"), str) else None
    if kind is None:
        return document
    dropped = kind.read_only - _NAMING
    return {key: value for key, value in document.items() if key not in dropped}


def write_table(session: Session, items: Sequence[Json], columns: Sequence[Column]) -> None:
    """Write a table. A terminal gets it as wide as it is, if need be without the last columns; a pipe gets
    all of it.
    """
    place = _place(session) if items and any(column.placed for column in columns) else ""
    rows = [[column.text(item, session.times, place) for column in columns] for item in items]
    titles = [column.title for column in columns]
    widths = [max(_width(line[index]) for line in [titles, *rows]) for index in range(len(columns))]
    if _on_terminal():
        available = shutil.get_terminal_size().columns
        whole = [column.whole for column in columns]
        fitting = _fitting(widths, available, whole)
        titles, rows = titles[:fitting], [row[:fitting] for row in rows]
        widths = _fitted(widths[:fitting], available - _GAP * (fitting - 1), whole)
    title = _line(titles, widths)
    click.echo(click.style(title, bold=True) if session.colored() else title, color=session.colored())
    for row in rows:
        click.echo(_line(row, widths))


def _place(session: Session) -> str:
    from moorage_cli.image_hosts import images_at  # noqa: PLC0415 - few tables have addresses

    return images_at(session)


def _write_links(items: Sequence[Json]) -> None:
    from moorage_cli.api import link_of  # noqa: PLC0415 - profiles do without

    for item in items:
        own = link_of(item)
        click.echo(printable(str(own or item.get("name") or "")))


def _fitting(widths: Sequence[int], available: int, whole: Sequence[bool]) -> int:
    """How many of the columns fit side by side as narrow as they may be; the first one always does."""
    least = [width if kept else min(width, _NARROWEST) for width, kept in zip(widths, whole, strict=True)]
    ends = list(accumulate(each + _GAP for each in least))
    return max(1, sum(end - _GAP <= available for end in ends))


def _fitted(widths: Sequence[int], available: int, whole: Sequence[bool]) -> list[int]:
    """``widths``, the widest of those that may be cut made narrower until all fit, or none can give more."""
    fitted = list(widths)
    while sum(fitted) > available:
        giving = [index for index, width in enumerate(fitted) if not whole[index] and width > _NARROWEST]
        if not giving:
            break
        fitted[max(giving, key=fitted.__getitem__)] -= 1
    return fitted


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    fitting = [_padded(text, width) for text, width in zip(cells, widths, strict=True)]
    return (" " * _GAP).join(fitting).rstrip()


def _padded(text: str, width: int) -> str:
    if text.isascii():
        short = text if len(text) <= width else text[: width - 1] + _mark()
        return short.ljust(width)
    from rich.cells import cell_len, set_cell_size  # noqa: PLC0415 - wide characters are rare

    return set_cell_size(text, width) if cell_len(text) <= width else set_cell_size(text, width - 1) + _mark()


def _width(text: str) -> int:
    if text.isascii():
        return len(text)
    from rich.cells import cell_len  # noqa: PLC0415

    return cell_len(text)


def _mark() -> str:
    return _ELLIPSIS if _is_unicode() else "~"


def _is_unicode() -> bool:
    return "utf" in (getattr(sys.stdout, "encoding", None) or "").lower()


def _on_terminal() -> bool:
    from moorage_cli.session import is_terminal  # noqa: PLC0415 - it imports this module's types

    return is_terminal(sys.stdout)
