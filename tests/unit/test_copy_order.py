"""In which order tags of a copy move, and from where."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from moorage.domain.companions import companion_tags, is_companion_tag
from moorage.domain.digests import Algorithm, Digest
from moorage.domain.jobs import LEASE, JobState
from moorage.services.copying import Outcome
from tests.unit.copy_world import NEAR, CopyWorld, always, never


@pytest.mark.parametrize("algorithm", list(Algorithm))
def test_tags_of_companions_are_known_by_their_form(algorithm: Algorithm) -> None:
    tags = companion_tags(Digest.of(b"image", algorithm))
    assert len(tags) == 4
    assert all(map(is_companion_tag, tags))
    assert not any(is_companion_tag(tag[:-1]) for tag in tags)
    assert not any(map(is_companion_tag, ("v1", "latest", tags[1] + ".sig", "x" + tags[0], tags[1].upper())))


def test_no_image_of_many_is_seen_before_its_signature() -> None:
    world = CopyWorld()
    images = [world.image(f"a{number}", f"1.{number:03}") for number in range(60)]
    signatures = {}
    for number, digest in enumerate(images):
        signatures[f"1.{number:03}"] = f"sha256-{digest.encoded}.sig"
        world.image(f"signature of {number}", f"sha256-{digest.encoded}.sig")
    job, put_tags = world.ask("app", allTags=True), world.table.put_tags

    def watched(*arguments: Any) -> None:
        put_tags(*arguments)
        there = set(world.tags(NEAR))
        assert not [tag for tag in there if tag in signatures and signatures[tag] not in there]

    world.table.put_tags = watched  # type: ignore[assignment, method-assign]
    assert world.run(job, never).state is JobState.SUCCEEDED
    assert len(world.tags(NEAR)) == 120


def test_a_signature_that_stood_at_the_destination_is_replaced_if_that_was_asked_for() -> None:
    world = CopyWorld()
    image = world.image("a", "v1")
    tag = f"sha256-{image.encoded}.sig"
    ours = world.image("ours", tag)
    world.image("theirs", tag, repository=NEAR)
    world.clock.advance(timedelta(seconds=1))
    refused = world.copy()
    assert (refused.state, tag in str(refused.reason)) == (JobState.FAILED, True)
    assert world.tag(NEAR) is None
    assert world.copy(replaceTag=True).state is JobState.SUCCEEDED
    assert world.tag(NEAR, tag) == ours


def test_a_signature_that_came_to_the_destination_after_the_request_stays() -> None:
    world = CopyWorld()
    image = world.image("a", "v1")
    tag = f"sha256-{image.encoded}.sig"
    world.image("ours", tag)
    job = world.ask(replaceTag=True)
    world.clock.advance(timedelta(seconds=1))
    theirs = world.image("theirs", tag, repository=NEAR)
    done = world.run(job)
    assert (done.state, tag in str(done.reason)) == (JobState.FAILED, True)
    assert (world.tag(NEAR, tag), world.tag(NEAR)) == (theirs, None)


def test_before_each_tag_it_is_looked_whether_there_is_time_left() -> None:
    world = CopyWorld()
    image = world.image("a")
    content = world.services.manifests.content(
        world.services.manifests.find(type(NEAR)("demo", "app"), image)
    )
    for number in range(5):
        world.push(content, f"v{number}")
    job, put_tags = world.ask("app", allTags=True), world.table.put_tags
    moved: list[Any] = []

    def slow(repository: Any, tags: Any, *more: Any) -> None:
        put_tags(repository, tags, *more)
        moved.append(tags)
        if len(moved) == 2:
            world.clock.advance(LEASE - timedelta(seconds=10))

    world.table.put_tags = slow  # type: ignore[assignment, method-assign]
    assert world.worker().run(job.id, always) is Outcome.CONTINUE
    assert [len(tags) for tags in moved] == [1, 1]
    assert world.run(job).state is JobState.SUCCEEDED
    assert len(world.tags(NEAR)) == 5
