"""``moorage image copy``: to another organisation, in the cloud."""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass

import click

from moorage_cli.errors import Misused, NotARegistry
from moorage_cli.image_names import image_reference
from moorage_cli.kinds import IMAGE, JOB
from moorage_cli.nouns import Json
from moorage_cli.session import Session, common_options, pass_session

_ID = re.compile(r"[0-9A-Za-z][0-9A-Za-z-]{0,127}")


@dataclass(frozen=True, slots=True)
class _Wish:
    """What the flags ask for."""

    to_org: str | None
    to_profile: str | None
    to_name: str | None
    all_tags: bool
    tag_pattern: str | None
    no_referrers: bool
    replace_tag: bool

    @property
    def is_for_many(self) -> bool:
        return self.all_tags or self.tag_pattern is not None


@click.command("copy")
@common_options
@click.argument("ref")
@click.option(
    "--to-org",
    "--dest-org",
    "to_org",
    metavar="ORG",
    help="The organisation to copy to; else that of --to-profile.",
)
@click.option("--to-profile", metavar="NAME", help="Copy to the organisation of this profile.")
@click.option(
    "--to-name",
    "--dest-name",
    "to_name",
    metavar="NAME[:TAG]",
    help="What it is called there; else the same.",
)
@click.option("--all-tags", is_flag=True, help="Copy all tags; REF is the name of a repository.")
@click.option("--tag-pattern", metavar="PATTERN", help="Copy the tags that match, such as 'v1.*'.")
@click.option("--no-referrers", is_flag=True, help="Leave signatures and the like behind.")
@click.option("--replace-tag", is_flag=True, help="Also if the tag names another image there.")
@click.option("--no-wait", is_flag=True, help="Print the job at once, and do not wait for its end.")
@click.option(
    "--cleanup", is_flag=True, expose_value=False, help="Has no effect: nothing is left on this machine."
)
@click.option(
    "--idempotency-key",
    metavar="KEY",
    help="The same request with the same key makes one copy, whenever it comes.",
)
@pass_session
def copy(  # noqa: PLR0913 - one per flag
    session: Session,
    ref: str,
    to_org: str | None,
    to_profile: str | None,
    to_name: str | None,
    tag_pattern: str | None,
    idempotency_key: str | None,
    *,
    all_tags: bool,
    no_referrers: bool,
    replace_tag: bool,
    no_wait: bool,
) -> None:
    """Copy an image with all its platforms, signatures and other referrers. No byte passes through this
    machine.

    \b
    REF is NAME[:TAG] or NAME@DIGEST in the organisation of --org or the profile,
    with --all-tags or --tag-pattern NAME alone.

    It takes the permission pull on the image and create at the destination. What is copied is what the tag
    names now. When waiting is interrupted, the copy goes on.
    """  # noqa: D301 - lets click keep lines as they are
    from moorage_cli.api import require_object  # noqa: PLC0415 - help does without
    from moorage_cli.waiting import wait_for  # noqa: PLC0415

    wish = _Wish(to_org, to_profile, to_name, all_tags, tag_pattern, no_referrers, replace_tag)
    path = IMAGE.path(session, ref, {})
    body = _body(session, ref, wish)
    headers = {"Idempotency-Key": idempotency_key or str(uuid.uuid4())}
    job = require_object(session.api.call("POST", f"{path}/-copy", body, headers=headers), session.endpoint)
    place = JOB.path(session, _job_id(session, job), {})
    if no_wait:
        session.show(job, JOB.columns)
        return
    _tell(session, wait_for(session, place, job))


def _job_id(session: Session, job: Json) -> str:
    """Where the job is follows from its id: a link could lead anywhere.

    Raises:
        NotARegistry: there is none.
    """
    identity = job.get("id")
    if not isinstance(identity, str) or not _ID.fullmatch(identity):
        raise NotARegistry(f"{session.endpoint} answers without a job", "check --endpoint")
    return identity


def _body(session: Session, ref: str, wish: _Wish) -> Json:
    """The request.

    Raises:
        Misused: the destination is the image itself, or the flags exclude each other.
    """
    if wish.all_tags and wish.tag_pattern is not None:
        raise Misused("--all-tags and --tag-pattern exclude each other")
    source, destination = session.org, _destination_org(session, wish)
    name, tag = _split(wish.to_name)
    if tag is not None and wish.is_for_many:
        raise Misused(f"--to-name {wish.to_name} has a tag, but many tags keep their names", f"write {name}")
    if destination == source and name is None:
        raise Misused(
            "source and destination are the same organisation",
            "add --to-org ORG, or --to-name for a copy within it",
        )
    if destination == source and wish.to_name in (ref, image_reference(session, ref)):
        raise Misused("source and destination are the same", "give another --to-org or --to-name")
    body: Json = {"destinationOrg": destination}
    given = {"destinationName": name, "destinationTag": tag, "tagPattern": wish.tag_pattern}
    body |= {field: value for field, value in given.items() if value is not None}
    flags = {"allTags": wish.all_tags, "replaceTag": wish.replace_tag}
    body |= {field: True for field, value in flags.items() if value}
    return {**body, "referrers": False} if wish.no_referrers else body


def _destination_org(session: Session, wish: _Wish) -> str:
    other = session.profile_file.load().find(wish.to_profile) if wish.to_profile is not None else None
    if other is not None and other.endpoint != session.endpoint:
        raise Misused(
            f"the profile {other.name!r} is for {other.endpoint}, and copies stay at {session.endpoint}",
            "name a profile of this registry, or --to-org ORG",
        )
    if wish.to_org is not None:
        return wish.to_org.removeprefix("/org/")
    return session.org if other is None else other.org


def _split(name: str | None) -> tuple[str | None, str | None]:
    """``NAME`` and ``TAG``; either may be absent, but not empty."""
    if name is None:
        return None, None
    head, slash, last = name.rpartition("/")
    last, colon, tag = last.partition(":")
    if not last or (colon and not tag):
        raise Misused(f"{name!r} is no name of an image", "write NAME or NAME:TAG")
    return f"{head}{slash}{last}", tag or None


def _tell(session: Session, job: Json) -> None:
    """Where the copy is now on stdout, and what was done on stderr."""
    from moorage_cli.output import amount  # noqa: PLC0415
    from moorage_cli.waiting import summary  # noqa: PLC0415

    if session.output in {"json", "yaml"}:
        session.show_document(job)
    else:
        destination = job.get("destination") or {}
        org, repository, tag = (str(destination.get(field) or "") for field in ("org", "repository", "tag"))
        name = f"{repository}:{tag}" if tag else repository
        click.echo(f"/org/{org}/image/{name}" if session.output == "names" else f"{org}/{name}")
    moved = job.get("copiedBytes")
    session.note(
        f"copied {summary(job)}; " + (f"{amount(moved)} moved to another store" if moved else "no byte moved")
    )
