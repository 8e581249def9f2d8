"""Copies of as many tags as one request may ask for, and of forged content that no honest digests can make."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace

import pytest

from moorage.domain.digests import Digest
from moorage.domain.errors import InvalidInput
from moorage.domain.jobs import MAX_ITEMS, JobState
from moorage.domain.manifests import OCI_INDEX, Manifest
from moorage.services.copy_graph import CopyGraph
from moorage.services.copy_lease import CopyFailed
from moorage.services.copying import ITEMS_AT_ONCE, Outcome
from tests.unit.copy_world import FAR, SOURCE, CopyWorld, never

IMAGES = 200
CIRCLE = "manifests name each other in a circle"


def tagged(world: CopyWorld, count: int, of: int = IMAGES) -> dict[str, Digest]:
    """So many tags of a few images; what they name."""
    images = [world.image(f"image {number}", layers=[b"shared"]) for number in range(of)]
    for number, digest in enumerate(images):
        record = world.table.find_manifest(SOURCE, digest)
        assert record is not None
        content, tags = record.body, [f"t{each:05}" for each in range(number, count, of)]
        assert content is not None
        assert world.push(content, *tags) == digest
    return {f"t{each:05}": images[each % of] for each in range(count)}


def test_ten_thousand_tags_are_copied_in_slices_that_look_at_few_of_them_at_a_time() -> None:
    world = CopyWorld()
    tags = tagged(world, MAX_ITEMS)
    job, slices, asked = world.ask("app", FAR, allTags=True), 0, Counter[int]()
    read_manifests = world.table.read_manifests

    def counted(*arguments: object) -> object:
        asked[slices] += 1
        return read_manifests(*arguments)  # type: ignore[arg-type]

    world.table.read_manifests = counted  # type: ignore[method-assign, assignment]
    while (outcome := world.worker().run(job.id, never)) is Outcome.CONTINUE:
        slices += 1
    done = world.job(job)
    assert (outcome, done.state) == (Outcome.FINISHED, JobState.SUCCEEDED), done.reason
    assert done.progress.position == MAX_ITEMS
    assert {tag: world.tag(FAR, tag) for tag in world.tags(FAR)} == tags
    # A slice of no time does one step of one group: less than a few hundred steps in all, far from the limit.
    assert MAX_ITEMS // ITEMS_AT_ONCE <= slices + 1 <= done.rounds
    assert max(asked.values()) <= 3
    assert world.problems() == []


def test_one_tag_more_is_refused_before_anything_is_made() -> None:
    world = CopyWorld()
    tagged(world, MAX_ITEMS + 1, of=1)
    with pytest.raises(InvalidInput, match="more than 10000 tags"):
        world.ask("app", FAR, allTags=True)
    assert world.called() == []
    # A pattern that selects fewer of them does it.
    assert world.ask("app", FAR, tagPattern="t0*").order.items == MAX_ITEMS


def circle() -> dict[Digest, bytes]:
    """Three indexes, each of which lists the next one, under digests that are not theirs."""
    names = [Digest.of(b"%d" % number) for number in range(3)]
    listed = [
        [{"mediaType": OCI_INDEX, "digest": str(names[(number + 1) % 3]), "size": 2}] for number in range(3)
    ]
    return {
        name: json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": manifests}).encode()
        for name, manifests in zip(names, listed, strict=True)
    }


def test_generations_of_a_circle_come_to_an_end() -> None:
    graph, leaf = CopyGraph(), Digest.of(b"a leaf")
    for digest, content in circle().items():
        graph.add(digest, Manifest.parse(content, OCI_INDEX))
    graph.add(leaf, Manifest.parse(b'{"schemaVersion":2,"manifests":[]}', OCI_INDEX))
    generations = graph.generations()
    # What is not part of it comes out.
    assert next(generations) == [leaf]
    with pytest.raises(CopyFailed, match=CIRCLE):
        next(generations)


def test_a_circle_whose_digests_matched_would_fail_the_job(monkeypatch: pytest.MonkeyPatch) -> None:
    world, forged = CopyWorld(), circle()
    index = world.index(tags=["v1"])
    record = world.table.find_manifest(SOURCE, index)
    assert record is not None
    for digest, content in forged.items():
        world.table._manifests[SOURCE, digest] = replace(
            record, digest=digest, body=content, size=len(content)
        )
    first = next(iter(forged))
    job = world.ask(f"app@{first}", destinationTag="v1", to=FAR)
    # As if somebody had found a way to make such digests.
    monkeypatch.setattr(Digest, "matches", lambda _digest, _content: True)
    done = world.run(job)
    assert (done.state, CIRCLE in str(done.reason)) == (JobState.FAILED, True)
    assert list(world.tags(FAR)) == []
    assert world.manifests(FAR) == set()
