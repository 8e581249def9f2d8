"""The rows of a job, as they are written and read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from moorage.adapters import keys
from moorage.adapters.dynamodb.rows import Row, row
from moorage.domain.digests import Digest
from moorage.domain.jobs import OVERDUE, CopyItem, CopyJob, CopyOrder, JobRequest, JobState, Progress
from moorage.domain.names import Repository


def job_row(job: CopyJob) -> Row:
    """The row of a job; an open one is in the index."""
    attributes = {
        "id": job.id,
        "state": str(job.state),
        "created": job.created.isoformat(),
        "modified": job.modified.isoformat(),
        "expires": job.expires.isoformat(),
        "started": _time(job.started),
        "finished": _time(job.finished),
        "reason": job.reason,
        "progress": progress_values(job.progress),
        "rounds": job.rounds,
        "lease": job.lease,
        "leased_until": _time(job.leased_until),
        "moving": job.moving,
        "in_doubt": job.in_doubt,
        "copying": list(job.copying),
        "copying_in": job.copying_in,
        "breakdowns": job.breakdowns,
        "ttl": _ttl(job),
        **_order_values(job.order),
    }
    due = keys.job_due(job.id, job.modified + OVERDUE) if job.state.is_open else None
    return row(keys.job(job.id), "job", attributes, due)


def list_rows(job: CopyJob) -> list[Row]:
    """The rows by which organisations find it."""
    places = (keys.job_of(org, job.created, job.id) for org in job.organisations)
    return [row(place, "listed-job", {"id": job.id, "ttl": _ttl(job)}) for place in places]


def request_row(job: CopyJob, request: JobRequest) -> Row:
    """The row by which the same request finds it. The caller's own key stands nowhere."""
    attributes = {
        "id": job.id,
        "fingerprint": request.fingerprint,
        "created": job.created.isoformat(),
        "expires": job.expires.isoformat(),
        "ttl": _ttl(job),
    }
    return row(keys.job_request(request.principal, request.key), "job-request", attributes)


def item_rows(job: CopyJob, items: Sequence[CopyItem]) -> list[Row]:
    """The rows of what it copies, many items in each."""
    size = keys.ITEMS_OF_A_ROW
    return [
        row(
            keys.job_items(job.id, first),
            "job-items",
            {"items": [_item_values(item) for item in items[first : first + size]], "ttl": _ttl(job)},
        )
        for first in range(0, len(items), size)
    ]


def progress_values(progress: Progress) -> dict[str, int]:
    """Progress, as a row has it."""
    return asdict(progress)


def copy_job(found: Row) -> CopyJob:
    """The job in a row."""
    return CopyJob(
        id=found["id"],
        order=_order(found),
        created=datetime.fromisoformat(found["created"]),
        modified=datetime.fromisoformat(found["modified"]),
        state=JobState(found["state"]),
        started=_time_in(found, "started"),
        finished=_time_in(found, "finished"),
        reason=found.get("reason"),
        progress=Progress(**found["progress"]),
        rounds=found["rounds"],
        lease=found.get("lease"),
        leased_until=_time_in(found, "leased_until"),
        moving=found["moving"],
        in_doubt=found.get("in_doubt"),
        copying=tuple(found["copying"]),
        copying_in=found.get("copying_in"),
        breakdowns=found.get("breakdowns", 0),
    )


def items_in(found: Row) -> list[CopyItem]:
    """The items in a row."""
    return [
        CopyItem(
            digest=Digest.parse(each["digest"]),
            tag=each.get("tag"),
            source_tag=each.get("source_tag"),
            replaces=Digest.parse(each["replaces"]) if "replaces" in each else None,
        )
        for each in found["items"]
    ]


def _order_values(order: CopyOrder) -> dict[str, Any]:
    return {
        "requester": order.requester,
        "source_org": order.source.org,
        "source_image": order.source.image,
        "destination_org": order.destination.org,
        "destination_image": order.destination.image,
        "selection": order.selection,
        "items": order.items,
        "referrers": order.referrers,
        "replace": order.replace,
        "destination_tag": order.destination_tag,
        "digest": str(order.digest) if order.digest else None,
    }


def _order(found: Row) -> CopyOrder:
    return CopyOrder(
        requester=found["requester"],
        source=Repository(found["source_org"], found["source_image"]),
        destination=Repository(found["destination_org"], found["destination_image"]),
        selection=found["selection"],
        items=found["items"],
        referrers=found["referrers"],
        replace=found["replace"],
        destination_tag=found.get("destination_tag"),
        digest=Digest.parse(found["digest"]) if "digest" in found else None,
    )


def _item_values(item: CopyItem) -> dict[str, str]:
    values = {
        "digest": str(item.digest),
        "tag": item.tag,
        "source_tag": item.source_tag,
        "replaces": str(item.replaces) if item.replaces else None,
    }
    return {name: value for name, value in values.items() if value is not None}


def _ttl(job: CopyJob) -> int:
    """When DynamoDB may remove its rows, in whole seconds: not before its time is over."""
    return int(job.expires.timestamp()) + 1


def _time(time: datetime | None) -> str | None:
    return time.isoformat() if time else None


def _time_in(found: Row, name: str) -> datetime | None:
    return datetime.fromisoformat(found[name]) if name in found else None
