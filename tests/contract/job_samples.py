"""Jobs that the contract tests speak about."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from moorage.domain.digests import Digest
from moorage.domain.jobs import CopyItem, CopyJob, CopyOrder, JobRequest
from moorage.domain.names import Repository
from tests.contract.samples import APP, NOW, OTHER_ORG, ROBOT, digest

SECOND = timedelta(seconds=1)
TINY = timedelta(microseconds=1)


def item(tag: str | None = "v1", **changes) -> CopyItem:
    return replace(CopyItem(digest(tag), tag, source_tag=tag), **changes)


def order(**changes) -> CopyOrder:
    values = {
        "requester": ROBOT.link,
        "source": APP,
        "destination": OTHER_ORG,
        "selection": "v1",
        "items": 2,
    }
    return CopyOrder(**{**values, **changes})


def job(number: int = 1, created: datetime = NOW, **changes) -> CopyJob:
    """A job as it is made; what belongs to its order goes there."""
    of_the_order = {name: changes.pop(name) for name in tuple(changes) if name in CopyOrder.__slots__}
    made = CopyJob(f"{number:032x}"[::-1], order(**of_the_order), created, created)
    return replace(made, **changes)


def within(org: str) -> Repository:
    """Another repository of the same organisation."""
    return Repository(org, "mirror")


def request(key: str = "today's", asked: object = "v1", principal: str = ROBOT.link) -> JobRequest:
    return JobRequest(principal, key, digest(asked).encoded)


def longest_items(count: int) -> list[CopyItem]:
    """Items as long as they can be, each different."""
    long = Digest.parse(f"sha512:{'f' * 128}")
    return [
        CopyItem(long, f"{number:0128}", source_tag=f"{number:_>128}", replaces=long)
        for number in range(count)
    ]
