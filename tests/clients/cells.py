"""How a case is noted, and what a refusal has to look like to whoever reads the client's words."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.clients import matrix
from tests.clients.command import TIMED_OUT, Outcome
from tests.clients.registry import Answer
from tests.clients.subject import Subject

_CONTAINERD = ("docker-containerd", "ctr", "ctr-1.7")
# These print the status and not our words: containerd never reads them, the logins of podman, buildah, skopeo and
# regctl and the tags of oras and helm have words of their own, and the first request of these pushes is a HEAD, whose answer has no body. All others have to print what we
# said.
STATUS_ONLY = {
    **{(client, "wrong password"): "401 Unauthorized" for client in ("ctr", "ctr-1.7")},
    **{(client, "denied push"): "403 Forbidden" for client in _CONTAINERD},
    **{(client, "denied pull"): "403 Forbidden" for client in _CONTAINERD},
    **{(client, "wrong tag"): "not found" for client in _CONTAINERD},
    **{(client, "wrong password"): "invalid username/password" for client in ("podman", "buildah", "skopeo")},
    **{(client, "denied push"): "403 (Forbidden)" for client in ("podman", "buildah", "skopeo")},
    ("crane", "denied push"): "403 Forbidden",
    **{(client, "denied push"): "403: Forbidden" for client in ("oras", "helm")},
    **{(client, "wrong tag"): "not found" for client in ("oras", "helm")},
    ("regctl", "wrong password"): "unauthorized",
}
# What a client says of a body that it could not read as the registry's own error.
GIBBERISH = ("invalid character", "error parsing", "panic")


@contextmanager
def cell(subject: Subject, case: str) -> Iterator[list[Outcome]]:
    """Note how the case ends; the last outcome put into the list is the one that the case is about."""
    outcomes: list[Outcome] = []
    passed = False
    try:
        yield outcomes
        passed = True
    finally:
        with (matrix.RESULTS / f"{subject.name}.log").open("a", encoding="utf-8") as log:
            log.writelines([f"== {case}\n", *map(str, outcomes), "\n"])
        # A case that was cut short before its command leaves an empty cell, which is as red as a failing one.
        if outcomes:
            code, seconds = outcomes[-1].exit_code, round(outcomes[-1].seconds, 1)
            matrix.record(matrix.Cell(subject.name, subject.version, case, code, passed, seconds))


def assert_refused(outcome: Outcome, client: str, case: str, said: Answer) -> None:
    """The client ended by itself, with a failure, and printed what a person can act on."""
    assert outcome.exit_code not in (0, TIMED_OUT), outcome
    # What follows a semicolon speaks of this very request, whose size differs from client to client.
    words = said.message.partition(";")[0] if case == "large layer, no ingest" else said.message
    assert STATUS_ONLY.get((client, case), words) in outcome.output, outcome
    assert not any(word in outcome.output for word in GIBBERISH), outcome


def left_behind(place: Path) -> list[Path]:
    """The files of a pull that was refused, without those that make a folder an empty layout."""
    found = (place, *place.rglob("*"))
    return [left for left in found if left.is_file() and left.name not in ("index.json", "oci-layout")]
