"""What people do with an image, done by the programs that they use."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.clients import image, registry, traffic
from tests.clients.absent import ABSENT
from tests.clients.cells import assert_refused, cell, left_behind
from tests.clients.cloud import Account
from tests.clients.roster import way
from tests.clients.subject import Pushed, Subject

pytestmark = pytest.mark.timeout(420)

# The engine that most servers run, and what comes with it.
VERSIONS = {
    "docker": "20.10.",
    "docker-containerd": "26.1.",
    "ctr": "1.6.",
    "ctr-1.7": "1.7.",
    "podman": "4.",
    "buildah": "1.",
    "skopeo": "1.",
    "crane": "v0.20.",
    "oras": "1.3.",
    "regctl": "v0.11.",
    "helm": "v4.",
}
# Over what one request to the API may carry.
LARGE_LAYER = 4_550_000


def test_version_is_of_the_line_that_the_cases_were_written_for(subject: Subject) -> None:
    assert subject.version.startswith(VERSIONS[subject.name])


def test_login(subject: Subject, pushed: Pushed) -> None:
    if (subject.name, "login") in ABSENT:
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
        assert sum(request.size for request in pushed.requests if request.uploads) > subject.image.size
        ended = [request for request in pushed.requests if request.uploads and request.method == "PUT"]
        assert len(ended) == blobs(subject)
        sent = [request for request in pushed.requests if request.uploads and request.size]
        assert {request.way for request in sent} == {way(subject.name)}


def blobs(subject: Subject) -> int:
    """How many blobs there are: the layers, and the configuration."""
    return len(subject.image.layers) + 1


def test_second_push_uploads_nothing(subject: Subject, pushed: Pushed) -> None:
    with cell(subject, "second push") as outcomes:
        for tag in (image.TAG, "2.0.0"):
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
        assert len({request.path for request in requests if request.downloads}) == blobs(subject)


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
        assert left_behind(place) == []


def test_layer_over_the_limit_of_a_request_goes_to_storage(
    subject: Subject, pushed: Pushed, tmp_path: Path
) -> None:
    large = subject.build(tmp_path, f"{subject.name}-large", [LARGE_LAYER])
    repository = f"{subject.cloud.org}/{subject.name}-large"
    reference = f"{subject.recorder.host}/{repository}:{image.TAG}"
    with cell(subject, "large layer") as outcomes:
        with subject.recorder.noting() as requests, traffic.noting(subject.cloud) as entered:
            outcomes.append(subject.driver.push(large, reference))
        assert outcomes[-1].exit_code == 0, outcomes[-1]
        assert max(request.size for request in requests if request.way == way(subject.name)) > LARGE_LAYER
        assert {event.size for event in entered if event.uploads} == {0}
        outcome, place = subject.driver.pull(reference)
        assert outcome.exit_code == 0, outcome
        assert image.layers_of(place) == large.layers


def test_local_cloud_says_one_line_whatever_the_client_tries_first(subject: Subject, pushed: Pushed) -> None:
    printed = subject.cloud.log.read_text("utf-8").splitlines()
    assert len(printed) == 1, printed
    assert printed[0].startswith("moorage is ready at ")
