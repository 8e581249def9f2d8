"""What people do with an image, done by the programs that they use."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.clients import containerd, image, matrix, registry
from tests.clients.cloud import Account
from tests.clients.command import TIMED_OUT, Outcome, run
from tests.clients.registry import Answer
from tests.clients.subject import Pushed, Subject

pytestmark = pytest.mark.timeout(420)

# The engine that most servers run, and what comes with it.
VERSIONS = {"docker": "20.10.", "ctr": "1.6.", "skopeo": "1.", "crane": "v0.20."}
BLOBS = len(image.LAYER_SIZES) + 1
# These print the status and not our words: ctr never reads them, skopeo's login has words of its own, and the
# first request of these pushes is a HEAD, whose answer has no body. All others have to print what we said.
STATUS_ONLY = {
    ("ctr", "wrong password"): "401 Unauthorized",
    ("ctr", "denied push"): "403 Forbidden",
    ("ctr", "denied pull"): "403 Forbidden",
    ("skopeo", "wrong password"): "invalid username/password",
    ("skopeo", "denied push"): "403 (Forbidden)",
    ("crane", "denied push"): "403 Forbidden",
    ("ctr", "large layer"): "413 Request Entity Too Large",
}
# Over what one request to the API may carry, and under what the platform refuses before we see it.
LARGE_LAYER = 4_550_000
LARGE_UPLOAD = f"blobs/uploads/?digest={image.digest(b'')}"
# Clients that try again take most of a minute to give up.
AT_ONCE = 20.0
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
    words = said.message.partition(";")[0] if case == "large layer" else said.message
    assert STATUS_ONLY.get((client, case), words) in outcome.output, outcome
    assert not any(word in outcome.output for word in GIBBERISH), outcome


def test_version_is_of_the_line_that_the_cases_were_written_for(subject: Subject) -> None:
    assert subject.version.startswith(VERSIONS[subject.name])


def test_login(subject: Subject, pushed: Pushed) -> None:
    if (subject.name, "login") in matrix.WITHOUT:
        assert "login" not in run(containerd.CLIENT, "--help", home=subject.image.layout).output
        return
    with cell(subject, "login") as outcomes:
        outcomes.append(pushed.login)
        assert pushed.login.exit_code == 0, pushed.login


def test_wrong_password_is_refused_in_words(subject: Subject, pushed: Pushed) -> None:
    right = subject.cloud.admin
    wrong = Account(
        right.username, right.password[:-4] + ("aaaa" if right.password[-4:] != "aaaa" else "bbbb")
    )
    stranger = subject.another()
    with cell(subject, "wrong password") as outcomes:
        outcomes.append(stranger.login(subject.recorder.host, wrong))
        if outcomes[-1].exit_code == 0:  # this client does not try a login, it only keeps it
            outcomes.append(stranger.pull(subject.reference())[0])
        said = registry.token(subject.cloud.endpoint, wrong, f"repository:{subject.repository}:pull")
        assert (said.status, said.code) == (401, "UNAUTHORIZED")
        assert_refused(outcomes[-1], subject.name, "wrong password", said)


def test_push_uploads_every_blob(subject: Subject, pushed: Pushed) -> None:
    with cell(subject, "push") as outcomes:
        outcomes.append(pushed.push)
        assert pushed.push.exit_code == 0, pushed.push
        assert sum(request.size for request in pushed.requests if request.uploads) > sum(image.LAYER_SIZES)
        ended = [request for request in pushed.requests if request.uploads and request.method == "PUT"]
        assert len(ended) == BLOBS


def test_second_push_uploads_nothing(subject: Subject, pushed: Pushed) -> None:
    with cell(subject, "second push") as outcomes:
        for tag in (image.TAG, "v2"):
            with subject.recorder.noting() as requests:
                outcomes.append(subject.driver.push(subject.image, subject.reference(tag)))
            assert outcomes[-1].exit_code == 0, outcomes[-1]
            assert requests
            assert [request for request in requests if request.uploads] == []


def assert_pulls(subject: Subject, case: str, reference: str) -> None:
    with cell(subject, case) as outcomes:
        with subject.recorder.noting() as requests:
            outcome, place = subject.driver.pull(reference)
            outcomes.append(outcome)
        assert outcome.exit_code == 0, outcome
        assert image.layers_of(place) == subject.image.layers
        assert len({request.path for request in requests if request.downloads}) == BLOBS


def test_pull_by_tag_into_an_empty_store_brings_the_same_layers(subject: Subject, pushed: Pushed) -> None:
    assert_pulls(subject, "pull by tag", subject.reference())


def test_pull_by_digest_into_an_empty_store_brings_the_same_layers(subject: Subject, pushed: Pushed) -> None:
    named = f"{subject.recorder.host}/{subject.repository}@{subject.digest()}"
    assert_pulls(subject, "pull by digest", named)


def test_denied_push_is_refused_in_words(subject: Subject, pushed: Pushed, viewer: Account) -> None:
    looker = subject.another()
    with cell(subject, "denied push") as outcomes:
        outcomes.append(looker.login(subject.recorder.host, viewer))
        assert outcomes[-1].exit_code == 0, outcomes[-1]
        outcomes.append(looker.push(subject.image, subject.reference("refused")))
        said = subject.answer(viewer, "POST", "blobs/uploads/", "pull,push")
        assert (said.status, said.code) == (403, "DENIED")
        assert_refused(outcomes[-1], subject.name, "denied push", said)
        with pytest.raises(LookupError):
            registry.digest(subject.cloud.endpoint, subject.cloud.admin, subject.repository, "refused")


def test_denied_pull_is_refused_in_words(subject: Subject, pushed: Pushed, viewer: Account) -> None:
    looker = subject.another()
    with cell(subject, "denied pull") as outcomes:
        outcomes.append(looker.login(subject.recorder.host, viewer))
        assert outcomes[-1].exit_code == 0, outcomes[-1]
        outcome, place = looker.pull(subject.reference())
        outcomes.append(outcome)
        said = subject.answer(viewer, "GET", f"manifests/{image.TAG}", "pull")
        assert (said.status, said.code) == (403, "DENIED")
        assert_refused(outcome, subject.name, "denied pull", said)
        assert [left for left in (place, *place.rglob("*")) if left.is_file()] == []


def test_layer_over_the_limit_is_refused_in_words_and_at_once(
    subject: Subject, pushed: Pushed, tmp_path: Path
) -> None:
    large = image.build(tmp_path, f"{subject.name}-large", [LARGE_LAYER])
    with cell(subject, "large layer") as outcomes:
        outcomes.append(subject.driver.push(large, subject.reference("large")))
        said = subject.answer(subject.cloud.admin, "POST", LARGE_UPLOAD, "pull,push", bytes(LARGE_LAYER))
        assert (said.status, said.code) == (413, "UNSUPPORTED")
        assert_refused(outcomes[-1], subject.name, "large layer", said)
        assert outcomes[-1].seconds < AT_ONCE


def test_local_cloud_says_one_line_whatever_the_client_tries_first(subject: Subject, pushed: Pushed) -> None:
    printed = subject.cloud.log.read_text("utf-8").splitlines()
    assert len(printed) == 1, printed
    assert printed[0].startswith("moorage is ready at ")
