"""Bindings of a policy: who is put into which, and taken out of which."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from moorage_cli.errors import NotFound
from moorage_cli.nouns import Json


def with_binding(bindings: Sequence[Json], permissions: Sequence[str], links: Sequence[str]) -> list[Json]:
    """``bindings`` with the principals in the one that has exactly these permissions, or in a new one."""
    place = _place(bindings, permissions)
    if place is None:
        new = {"permissions": list(dict.fromkeys(permissions)), "principalLinks": list(links)}
        return [*bindings, new]
    there = bindings[place]["principalLinks"]
    return _replaced(bindings, place, dict.fromkeys([*there, *links]))


def without_binding(bindings: Sequence[Json], permissions: Sequence[str], links: Sequence[str]) -> list[Json]:
    """``bindings`` without the principals in the one that has exactly these permissions, and without that if
    nobody is left in it.

    Raises:
        NotFound: one of them is not in it; says with which permissions it is bound.
    """
    place = _place(bindings, permissions)
    there = [] if place is None else bindings[place]["principalLinks"]
    for link in links:
        if link not in there:
            others = [_said(each["permissions"]) for each in bindings if link in each["principalLinks"]]
            elsewhere = f"it is bound to {' and to '.join(others)}" if others else "it has no binding here"
            raise NotFound(f"{link} is not bound to {_said(permissions)}; nothing was changed", elsewhere)
    if place is None:
        return list(bindings)
    return _replaced(bindings, place, [each for each in there if each not in links])


def _place(bindings: Sequence[Json], permissions: Sequence[str]) -> int | None:
    wanted = set(permissions)
    return next((at for at, each in enumerate(bindings) if set(each["permissions"]) == wanted), None)


def _replaced(bindings: Sequence[Json], place: int, links: Iterable[str]) -> list[Json]:
    changed = {**bindings[place], "principalLinks": list(links)}
    left = [changed] if changed["principalLinks"] else []
    return [*bindings[:place], *left, *bindings[place + 1 :]]


def _said(permissions: Iterable[str]) -> str:
    return ", ".join(sorted(permissions))
