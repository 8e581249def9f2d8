"""Everything that can be said against files before anything is written; the registry is only asked."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum
from http import HTTPStatus

from moorage_cli.apply.comparing import normal, same
from moorage_cli.apply.items import Item
from moorage_cli.apply.kinds import KINDS
from moorage_cli.apply.policies import PolicyChecks, problems_of_query
from moorage_cli.apply.shapes import Shapes
from moorage_cli.errors import CliError, Conflict, Misused, NotAllowed, NotFound, NotLoggedIn, Unreachable
from moorage_cli.nouns import Json
from moorage_cli.session import Session

_ANYWAY = "read it again, or add --overwrite"


class Outcome(StrEnum):
    """What becomes of a resource."""

    CREATED = "created"
    UPDATED = "updated"
    UNCHANGED = "unchanged"
    DELETED = "deleted"
    ABSENT = "absent"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Planned:
    """A resource that is to be written. ``current`` is what the registry has, as far as the caller sees it;
    ``body`` is what to send; ``before`` and ``after`` are both in one form.
    """

    item: Item
    outcome: Outcome
    current: Json | None
    body: Json
    before: Json
    after: Json


class Checks:
    """Checks resources against what a registry has and says of itself, and collects what is wrong in
    ``problems``.

    ``overwrite`` says that a version in a file does not count.
    """

    def __init__(self, session: Session, *, overwrite: bool) -> None:
        self.problems: list[CliError] = []
        self._session = session
        self._overwrite = overwrite
        self._policies = PolicyChecks(session)
        self._described: Shapes | None = None

    @property
    def shapes(self) -> Shapes:
        """What the registry says of its requests.

        Raises:
            CliError: the registry is not reached.
        """
        if self._described is None:
            document = self._session.anonymous_api.get("/discovery/openapi.json", anonymous=True)
            self._described = Shapes(document if isinstance(document, dict) else {})
        return self._described

    def plan(self, items: Sequence[Item]) -> list[Planned]:
        """What is to be done, in the order in which it has to be; of what is wrong, nothing.

        Raises:
            CliError: the registry is not reached, or the key is not valid.
        """
        shapes = self.shapes
        order = list(KINDS)
        planned: list[Planned] = []
        made = {item.path for item in items}
        for item in sorted(items, key=lambda each: order.index(each.kind.noun.kind)):
            try:
                found = self._planned(item, shapes)
                self._require_place(found, made)
            except (NotLoggedIn, Unreachable):
                raise
            except CliError as error:
                self.problems.append(about(item, error))
            else:
                planned.append(found)
        return planned

    def _planned(self, item: Item, shapes: Shapes) -> Planned:
        current = find(self._session, item)
        if current is None and item.kind.standing:
            raise NotFound("there is none, and files do not make it", item.kind.standing)
        body = self._body(item, current, shapes)
        wrong = shapes.problems(item.kind.shape, body)
        if not wrong:
            # These rest on the shape.
            wrong = [
                *(self._policies.problems(body) if item.kind.noun.kind == "policy" else ()),
                *problems_of_query("targetQuery", body.get("targetQuery")),
                *problems_of_query("memberQuery", body.get("memberQuery")),
            ]
        if wrong:
            raise Misused("; ".join(dict.fromkeys(wrong)))
        return self._compared(item, current, body)

    def _body(self, item: Item, current: Json | None, shapes: Shapes) -> Json:
        """What to send: without what the registry sets, also where only it knows that it does."""
        known, there = shapes.fields(item.kind.shape), current or {}
        fields = {**item.kind.writable(item.content), "name": item.name}
        return {
            name: value
            for name, value in fields.items()
            if name in known or name not in there or there[name] != value
        }

    def _compared(self, item: Item, current: Json | None, body: Json) -> Planned:
        org = self._session.org
        before = {} if current is None else normal(item.kind, org, current)
        after = normal(item.kind, org, body, current)
        if current is None:
            return Planned(item, Outcome.CREATED, None, body, before, after)
        if same(before, after):
            return Planned(item, Outcome.UNCHANGED, current, body, before, after)
        if current.get("origin") == "builtin" and item.kind.noun.kind == "policy":
            raise Conflict(
                "it is built in and stays as it is", "take it out of the file, or give it another name"
            )
        return Planned(item, Outcome.UPDATED, current, {**body, **self._lock(item, current)}, before, after)

    def _lock(self, item: Item, current: Json) -> Json:
        """The state that the file was made from, if it says so, which has to be the present one."""
        if self._overwrite:
            return {}
        lock = {
            field: item.content[field] for field in ("id", "version") if item.content.get(field) is not None
        }
        if lock.get("id", current.get("id")) != current.get("id"):
            raise Conflict("it is another one of that name, by its id", _ANYWAY)
        if lock.get("version", current.get("version")) != current.get("version"):
            raise Conflict(
                f"the file has version {lock['version']}, and there is {current.get('version')} by now",
                _ANYWAY,
            )
        return lock

    def _require_place(self, planned: Planned, made: Collection[str]) -> None:
        """Refuse an identity in a gvc that neither is there nor is made before."""
        item = planned.item
        if planned.current is not None or "gvc" not in item.scope:
            return
        path = KINDS["gvc"].noun.path(self._session, item.scope["gvc"], {})
        if path in made:
            return
        try:
            self._session.api.get(path)
        except NotFound as error:
            raise NotFound(f"there is no gvc {item.scope['gvc']}", "add it to the files") from error
        except NotLoggedIn:
            raise
        except NotAllowed:
            # Who may make an identity need not see where.
            return


def find(session: Session, item: Item) -> Json | None:
    """What the registry has under the name of ``item``; None if it has nothing there, or nothing that the
    caller may see: who may make something need not see that it is not there yet.

    Raises:
        NotAllowed: the caller may not see it, and it cannot be made by this.
        CliError: the registry is not reached, or the key is not valid.
    """
    from moorage_cli.api import require_object  # noqa: PLC0415 - help does without

    try:
        return require_object(session.api.get(item.path), session.endpoint)
    except NotFound:
        return None
    except NotAllowed as error:
        if error.status != HTTPStatus.FORBIDDEN or item.kind.standing:
            raise
        return None


def about(item: Item, error: CliError) -> CliError:
    """``error`` with the resource that it is about."""
    # What the registry refuses for its form is wrong in the file.
    kind = Misused if error.status == HTTPStatus.BAD_REQUEST else type(error)
    return kind(f"{item.title}: {error.message}", error.hint)
