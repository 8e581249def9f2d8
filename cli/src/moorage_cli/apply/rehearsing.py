"""The registry is asked what it would say to each write, before the first one is made.

It knows rules that stand nowhere else: who may do what, what a text may hold, how many there may be of
something. It answers before anything of the files is there; so what it refuses only for want of that does not
count.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet

from moorage_cli.apply.checking import Outcome, Planned
from moorage_cli.apply.items import Item, put_path
from moorage_cli.apply.kinds import KINDS
from moorage_cli.apply.shapes import Shapes
from moorage_cli.errors import CliError, Conflict, NotAllowed, NotFound, NotLoggedIn, Unreachable
from moorage_cli.nouns import Json
from moorage_cli.session import Session

PARAMETER = "dryRun"


def refusals(session: Session, plan: Sequence[Planned], shapes: Shapes) -> Iterator[tuple[Item, CliError]]:
    """What the registry would refuse of a plan, and why. A registry without dry runs is not asked, since it
    would write.

    Raises:
        CliError: the registry is not reached, or the key is not valid.
    """
    changes = [each for each in plan if each.outcome is not Outcome.UNCHANGED]
    made = {each.item.path for each in changes if each.outcome is Outcome.CREATED}
    for index, planned in enumerate(changes):
        if not shapes.takes(planned.item.kind.shape, PARAMETER):
            continue
        try:
            session.api.call("PUT", put_path(session, planned.item), planned.body, params={PARAMETER: "true"})
        except (NotLoggedIn, Unreachable):
            raise
        except CliError as error:
            if not _may_vanish(session, error, planned, made, changes[:index]):
                yield planned.item, error


def _may_vanish(
    session: Session, error: CliError, planned: Planned, made: AbstractSet[str], before: Sequence[Planned]
) -> bool:
    """Whether a refusal may be for want of others of the plan: those ``before`` it, and among them those that
    are ``made``.
    """
    match error:
        case NotFound():
            scope = planned.item.scope
            return "gvc" in scope and KINDS["gvc"].noun.path(session, scope["gvc"], {}) in made
        case NotAllowed():
            return any(_may_give(each, made) for each in before)
        case Conflict():
            # A group that has to name somebody who is there.
            return error.code == Conflict.__name__ and bool(made & _principals(planned.after))
    return False


def _may_give(planned: Planned, made: AbstractSet[str]) -> bool:
    """Whether a change may give the caller a right. Who calls is not known, but that it is there already."""
    before, after = planned.before, planned.after
    match planned.item.kind.noun.kind:
        case "user":
            # By these, groups may choose members.
            return before.get("tags") != after.get("tags")
        case "group":
            added = _principals(after) - _principals(before) - made
            return bool(added) or after.get("memberQuery") not in (None, before.get("memberQuery"))
        case "policy":
            return bool(_principals(after) - made)
    return False


def _principals(content: Json) -> set[str]:
    """Those that a group or a policy names."""
    named = [
        content.get("memberLinks") or (),
        *(each["principalLinks"] for each in content.get("bindings", ())),
    ]
    return {link for links in named for link in links}
