"""The shapes of copies and jobs in requests and answers; what is said of shapes in ``models`` holds here."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, StrictBool, StrictStr

from moorage.domain.jobs import JobState
from moorage.web.management.models import Link, Shape


class CopyBody(Shape):
    """Where to copy an image to. With `allTags` or `tagPattern` the path names a repository, and all tags are
    copied, or those that match; in a pattern `*` is any characters and `?` one.
    """

    destination_org: StrictStr
    destination_name: StrictStr | None = Field(default=None, description="Else the same repository.")
    destination_tag: StrictStr | None = Field(default=None, description="Else the same tag.")
    referrers: StrictBool | None = Field(
        default=None, description="Whether signatures and other referrers go along; true unless it is set."
    )
    replace_tag: StrictBool | None = Field(
        default=None, description="Whether a tag that names another image there is moved."
    )
    all_tags: StrictBool | None = None
    tag_pattern: StrictStr | None = None


class CopySource(Shape):
    """Where a copy comes from: a tag, what it named when the copy was asked for, or a pattern of tags."""

    org: str
    repository: str
    tag: str | None = None
    digest: str | None = None
    tag_pattern: str | None = None


class CopyDestination(Shape):
    """Where a copy goes to."""

    org: str
    repository: str
    tag: str | None = None


class Amount(Shape):
    """How much is done, of what is known by now."""

    done: int
    total: int


class JobProgress(Shape):
    """How far a job has come."""

    tags: Amount
    manifests: Amount
    bytes: Amount


class Job(Shape):
    """A copy that goes on by itself. An end that the caller may not see is null."""

    kind: Literal["job"] = "job"
    id: str
    name: str
    type: Literal["copy"] = "copy"
    state: JobState
    created: str
    last_modified: str
    started: str | None = None
    finished: str | None = None
    expires: str = Field(description="When the job is forgotten.")
    requested_by: str | None = None
    source: CopySource | None
    destination: CopyDestination | None
    progress: JobProgress
    copied_bytes: int = Field(description="Bytes that were moved from one store to another.")
    reason: str | None = Field(default=None, description="Why it failed, and what to do.")
    links: list[Link]


class JobList(Shape):
    """A page of jobs, the newest first. The next one is at the link `next`; without it, this is the last."""

    kind: Literal["list"] = "list"
    item_kind: Literal["job"] = "job"
    items: list[Job]
    links: list[Link]
