"""What people do with repositories and tags: take blobs over, list, delete, miss."""

from __future__ import annotations

import json

import pytest

from tests.clients import image
from tests.clients.abilities import Deletes, Lists, Mounts
from tests.clients.absent import ABSENT
from tests.clients.cells import assert_refused, cell, left_behind
from tests.clients.cloud import Account
from tests.clients.subject import Pushed, Subject

pytestmark = pytest.mark.timeout(420)

# Anything larger than a configuration is a layer.
LESS_THAN_A_LAYER = min(image.LAYER_SIZES) // 2


def test_every_cell_that_cannot_exist_has_a_reason_that_the_client_confirms(subject: Subject) -> None:
    for (client, case), absent in ABSENT.items():
        if client == subject.name:
            said = subject.driver.help(*absent.command).lower()
            assert absent.has in said, (case, said)
            assert [word for word in absent.lacks if word in said] == [], (case, said)


def test_push_to_another_repository_mounts_the_layers(subject: Subject, pushed: Pushed) -> None:
    if (subject.name, "mount") in ABSENT:
        return
    with cell(subject, "mount") as outcomes:
        assert isinstance(subject.driver, Mounts)
        target = f"{subject.recorder.host}/{subject.repository}-mounted:{image.TAG}"
        with subject.recorder.noting() as requests:
            outcomes.append(
                subject.driver.push_elsewhere(subject.image, subject.reference(), target, subject.cloud.admin)
            )
        assert outcomes[-1].exit_code == 0, outcomes[-1]
        assert sum(request.size for request in requests if request.uploads) < LESS_THAN_A_LAYER
        assert len([request for request in requests if request.mounts]) >= len(subject.image.layers)
        outcome, place = subject.driver.pull(target)
        assert outcome.exit_code == 0, outcome
        assert image.layers_of(place) == subject.image.layers


def test_push_to_another_organisation_uploads_the_layers_though_the_client_asks_for_a_mount(
    subject: Subject, pushed: Pushed, rival: Account
) -> None:
    if (subject.name, "mount denied") in ABSENT:
        return
    with cell(subject, "mount denied") as outcomes:
        assert isinstance(subject.driver, Mounts)
        host = subject.recorder.host
        target = f"{host}/other/{subject.name}:{image.TAG}"
        try:
            with subject.recorder.noting() as requests:
                outcomes.append(
                    subject.driver.push_elsewhere(subject.image, subject.reference(), target, rival)
                )
        finally:
            assert subject.driver.login(host, subject.cloud.admin).exit_code == 0
        assert outcomes[-1].exit_code == 0, outcomes[-1]
        # Some ask whether the blob is there before they ask for a mount, and take no for an answer.
        there = f"/v2/{subject.repository}/blobs/"
        assert [request for request in requests if request.mounts or request.path.startswith(there)]
        assert sum(request.size for request in requests if request.uploads) > subject.image.size


def test_list_prints_every_tag(subject: Subject, pushed: Pushed) -> None:
    if (subject.name, "list tags") in ABSENT:
        return
    with cell(subject, "list tags") as outcomes:
        assert isinstance(subject.driver, Lists)
        assert subject.driver.push(subject.image, subject.reference("another")).exit_code == 0
        outcomes.append(subject.driver.tags(f"{subject.recorder.host}/{subject.repository}"))
        assert outcomes[-1].exit_code == 0, outcomes[-1]
        there = json.loads(subject.answer(subject.cloud.admin, "GET", "tags/list", "pull").body)["tags"]
        assert {image.TAG, "another"} <= set(there)
        assert [tag for tag in there if tag not in outcomes[-1].output] == []


def test_delete_takes_the_image_away(subject: Subject, pushed: Pushed) -> None:
    if (subject.name, "delete") in ABSENT:
        return
    with cell(subject, "delete") as outcomes:
        assert isinstance(subject.driver, Deletes)
        repository = f"{subject.repository}-deleted"
        reference = f"{subject.recorder.host}/{repository}:{image.TAG}"
        outcomes.append(subject.driver.push(subject.image, reference))
        assert outcomes[-1].exit_code == 0, outcomes[-1]
        assert subject.exists(repository, image.TAG)
        outcomes.append(subject.driver.delete(reference))
        assert outcomes[-1].exit_code == 0, outcomes[-1]
        assert not subject.exists(repository, image.TAG)


def test_wrong_tag_is_refused_in_words(subject: Subject, pushed: Pushed) -> None:
    with cell(subject, "wrong tag") as outcomes:
        outcome, place = subject.driver.pull(subject.reference("9.9.9"))
        outcomes.append(outcome)
        said = subject.answer(subject.cloud.admin, "GET", "manifests/9.9.9", "pull")
        assert (said.status, said.code) == (404, "MANIFEST_UNKNOWN")
        assert_refused(outcome, subject.name, "wrong tag", said)
        assert left_behind(place) == []
