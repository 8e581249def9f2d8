"""``moorage image push``: an image from a layout, an archive or an engine."""

from __future__ import annotations

import re
import sys
import threading
from typing import TYPE_CHECKING

import click

from moorage_cli.errors import Misused
from moorage_cli.session import Session, common_options, is_terminal, pass_session

if TYPE_CHECKING:
    from moorage_cli.push.image import Image
    from moorage_cli.push.progress import Bars
    from moorage_cli.push.pushing import Outcome
    from moorage_cli.push.store import Store
    from moorage_cli.push.target import Target

_AT_ONCE = 4
_SIZE = re.compile(r"([0-9]{1,12})([KMG]?)(?:i?B)?", re.IGNORECASE)
# Slower than this, nobody pushes images that take longer than a token lives.
_SLOW = 1_000_000
_UNITS = {"": 1, "K": 1024, "M": 1024**2, "G": 1024**3}
_LEAST_PART, _LARGEST_PART = 5 * 1024**2, 5 * 1024**3


class _Size(click.ParamType[int]):
    name = "size"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        found = _SIZE.fullmatch(str(value))
        size = int(found[1]) * _UNITS[found[2].upper()] if found else 0
        if not _LEAST_PART <= size <= _LARGEST_PART:
            self.fail("parts have between 5M and 5G", param, ctx)
        return size


@click.command("push")
@common_options
@click.argument("source")
@click.argument("name", required=False, metavar="[NAME[:TAG]]")
@click.option(
    "--platform", metavar="OS/ARCH", help="Push one platform of an index alone, such as linux/arm64."
)
@click.option(
    "--parallel",
    metavar="N",
    type=click.IntRange(1, 32),
    default=_AT_ONCE,
    help=f"How much is sent side by side ({_AT_ONCE}).",
)
@click.option(
    "--part-size",
    metavar="SIZE",
    type=_Size(),
    help="Send what is larger in parts, such as 64M: after a break, less is sent again (128M, from 1G on).",
)
@click.option("--no-compress", is_flag=True, help="Leave layers uncompressed that an engine keeps so.")
@pass_session
def push(
    session: Session,
    source: str,
    name: str | None,
    platform: str | None,
    parallel: int,
    part_size: int | None,
    *,
    no_compress: bool,
) -> None:
    """Push an image, sending nothing that is there. After a break, the same push sends what is missing:
    layers that have not arrived whole, and of those that come in parts the parts.

    SOURCE is the folder of an OCI layout, an archive of one or of docker save (gzip or not), or an image of a
    running engine:

    \b
    DIR, oci:DIR[:REF]
    FILE, oci-archive:FILE[:REF], docker-archive:FILE[:REF]
    docker:IMAGE, podman:IMAGE

    REF chooses one of several images. What has a manifest is pushed as it is, with all platforms and the same
    digests. Layers that an engine keeps unpacked are compressed. Without NAME it is what the source calls the
    image, without TAG latest.
    """  # noqa: D301 - lets click keep lines as they are
    from moorage_cli.push.docker_archive import Packing  # noqa: PLC0415 - help does without
    from moorage_cli.push.progress import bars  # noqa: PLC0415
    from moorage_cli.push.scratch import Scratch  # noqa: PLC0415
    from moorage_cli.push.sources import parse_source, read_image  # noqa: PLC0415

    # What cannot be right is said before anything is read.
    target = _target(session, name) if name is not None else None
    found = parse_source(source)
    if found.engine and is_terminal(sys.stderr):
        session.note(f"saving {found.reference} from {found.engine}")
    with Scratch() as scratch, bars(session) as shown:
        packing = Packing(
            scratch,
            not no_compress,
            parallel,
            shown.bar,
            threading.Event(),
        )
        image = read_image(found, platform, packing)
        shown.clear()
        if image.note:
            session.note(image.note)
        target = target or _suggested(session, image)
        outcome = _push(session, image, target, shown, parallel, part_size)
    _show(session, image, target, outcome)


def _push(
    session: Session, image: Image, target: Target, shown: Bars, parallel: int, part_size: int | None
) -> Outcome:
    from moorage_cli.image_hosts import is_own_host  # noqa: PLC0415
    from moorage_cli.push.pushing import Pushing  # noqa: PLC0415
    from moorage_cli.push.repository import Repository, Tokens  # noqa: PLC0415
    from moorage_cli.push.unfinished import Unfinished  # noqa: PLC0415

    name = target.name if is_own_host(session) else target.repository
    tokens = Tokens(session.anonymous_api, session.credential, name)
    repository = Repository(session.anonymous_api, tokens, name)
    _tell_of_end(session, tokens.seconds_left, sum(blob.size for blob in image.blobs.values()))
    store = _store(session)

    def left(kept: int, size: int) -> None:
        shown.clear()
        session.note(_left(kept, size))

    with Unfinished(session.profile_file.folder, session.endpoint, target.repository) as unfinished:
        pushing = Pushing(repository, store, unfinished, shown, parallel, part_size, left)
        try:
            return pushing.push(image, target.tag)
        finally:
            store.stop()


def _tell_of_end(session: Session, seconds: float | None, size: int) -> None:
    """Say beforehand that a token may end before the push does."""
    if seconds is not None and size > seconds * _SLOW:
        session.note(
            f"the token that was given ends in {max(seconds, 0) / 60:.0f} min, and a push that takes longer"
            " breaks off; with a key it does not: run 'moorage profile login'"
        )


def _left(kept: int, size: int) -> str:
    if not kept:
        return (
            f"nothing of {_megabytes(size)} has arrived whole; --part-size 64M keeps parts of layers as well"
        )
    return f"{_megabytes(kept)} of {_megabytes(size)} are there; the same command sends the rest"


def _store(session: Session) -> Store:
    from moorage_cli.endpoints import is_loopback  # noqa: PLC0415
    from moorage_cli.push.store import Store, tls  # noqa: PLC0415

    insecure = session.settings.insecure
    return Store(
        lambda: tls(insecure=insecure),
        # What is sent in clear text anyway, or stays on this machine, may go on so.
        https_only=not (insecure or is_loopback(session.endpoint)),
        trace=session.note_plainly if session.verbose else None,
    )


def _target(session: Session, name: str) -> Target:
    from moorage_cli.image_names import image_reference  # noqa: PLC0415
    from moorage_cli.push.target import parse_target  # noqa: PLC0415

    return parse_target(image_reference(session, name), session.org)


def _suggested(session: Session, image: Image) -> Target:
    from moorage_cli.push.target import parse_target, suggested  # noqa: PLC0415

    for called in image.names:
        name = suggested(called, session.org)
        if name is not None:
            # Its host is gone: what looks like one now is a part of the name.
            return parse_target(name, session.org)
    raise Misused("the source does not say what the image is called", "add NAME[:TAG]")


def _show(session: Session, image: Image, target: Target, outcome: Outcome) -> None:
    """Where the image is now on stdout, and what was done on stderr."""
    if session.output in {"json", "yaml"}:
        session.show_document(
            {
                "image": f"{target.name}:{target.tag}",
                "org": target.org,
                "digest": image.digest,
                "blobs": {"sent": outcome.sent, "there": outcome.there},
                "sentBytes": outcome.sent_bytes,
                "links": [{"rel": "self", "href": target.link}],
            }
        )
    else:
        click.echo(target.link if session.output == "names" else f"{target}@{image.digest}")
    session.note(
        f"pushed {target}: {outcome.sent} blobs sent ({_megabytes(outcome.sent_bytes)}),"
        f" {outcome.there} were there, {outcome.seconds:.1f} s"
    )


def _megabytes(count: int) -> str:
    return f"{count / 1_000_000:.1f} MB"
