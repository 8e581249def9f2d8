"""The command ``update``: fields set and removed by flags."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from moorage_cli.changing import change_locked
from moorage_cli.errors import Misused
from moorage_cli.links import full_link, link_to
from moorage_cli.nouns import Json, Noun
from moorage_cli.queries import guess_value
from moorage_cli.resources import noun_command, scope_of
from moorage_cli.session import Session

_TAG = "tags."
_ITEM = "[]"


def update_command(
    noun: Noun, *, texts: Sequence[str] = ("description",), lists: Sequence[str] = ()
) -> click.Command:
    """The command ``update`` of a noun: ``texts`` are the fields that take a text, ``lists`` those with
    links, of which single ones are added and taken out.
    """
    fields = ", ".join(_settable(texts, lists))
    summary = f"Set and remove fields of one of the {noun.plural}: {fields}."

    @noun_command(noun, "update", summary)
    @click.argument("ref")
    @click.option(
        "--set", "sets", multiple=True, metavar="FIELD=VALUE", help="Set a field, or add to a list."
    )
    @click.option(
        "--unset",
        "unsets",
        multiple=True,
        metavar="FIELD",
        help="Remove a field; FIELD[]=LINK one of a list.",
    )
    def update(
        session: Session, ref: str, sets: tuple[str, ...], unsets: tuple[str, ...], **arguments: Any
    ) -> None:
        if not sets and not unsets:
            raise Misused(
                "nothing is named that should change", f"add --set FIELD=VALUE; fields are {fields}"
            )
        org = session.org

        def change(resource: Json) -> Json | None:
            patch = _Patch(org, resource, texts, lists)
            for each in sets:
                patch.set(each)
            for each in unsets:
                patch.unset(each)
            return patch.changes

        change_locked(session, noun.path(session, ref, scope_of(noun, arguments)), change, noun.columns)

    return update


class _Patch:
    """What to send so that a resource is as flags say."""

    def __init__(self, org: str, resource: Json, texts: Sequence[str], lists: Sequence[str]) -> None:
        self.changes: Json = {}
        self._org = org
        self._resource = resource
        self._texts = texts
        self._lists = lists

    def set(self, expression: str) -> None:
        field, equals, value = expression.partition("=")
        if not equals:
            raise Misused(f"--set {expression!r} has no value", "write FIELD=VALUE")
        if field in self._texts:
            self.changes[field] = value
        elif field.startswith(_TAG):
            self.changes.setdefault("tags", {})[field.removeprefix(_TAG)] = guess_value(value)
        elif self._is_list(field):
            self._put(field, [*self._links(field), self._link(value)])
        else:
            raise self._unknown("--set", field)

    def unset(self, expression: str) -> None:
        field, equals, value = expression.partition("=")
        if field in (*self._texts, *self._lists) and not equals:
            self.changes[field] = None
        elif field.startswith(_TAG):
            self.changes.setdefault("tags", {})[expression.removeprefix(_TAG)] = None
        elif self._is_list(field):
            link, links = self._link(value), self._links(field)
            if link not in links:
                raise Misused(f"{link} is not in {field.removesuffix(_ITEM)}; nothing was changed")
            self._put(field, [each for each in links if each != link])
        else:
            raise self._unknown("--unset", field)

    def _is_list(self, field: str) -> bool:
        return field.endswith(_ITEM) and field.removesuffix(_ITEM) in self._lists

    def _links(self, field: str) -> list[str]:
        name = field.removesuffix(_ITEM)
        return self.changes.get(name, self._resource.get(name)) or []

    def _put(self, field: str, links: Sequence[str]) -> None:
        self.changes[field.removesuffix(_ITEM)] = list(dict.fromkeys(links))

    def _link(self, value: str) -> str:
        """A link; of a policy also the name of a resource of the kind that it is about."""
        kind = self._resource.get("targetKind")
        return link_to(self._org, str(kind), value) if kind else full_link(self._org, value)

    def _unknown(self, flag: str, field: str) -> Misused:
        known = ", ".join(_settable(self._texts, self._lists))
        return Misused(f"{flag} does not know the field {field!r}", f"it takes {known}; patch takes all")


def _settable(texts: Sequence[str], lists: Sequence[str]) -> list[str]:
    return [*texts, f"{_TAG}KEY", *(f"{each}{_ITEM}" for each in lists)]
