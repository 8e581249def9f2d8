"""Copies: what arrives, what is refused, and what a job says of it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from moorage.domain.blobs import DEFAULT_STORE
from moorage.domain.copy_wishes import CopyWish
from moorage.domain.digests import Digest
from moorage.domain.errors import Unavailable
from moorage.domain.jobs import (
    CopyItem,
    CopyJob,
    CopyOrder,
    JobState,
    document_key,
    new_job_id,
)
from moorage.domain.manifests import OCI_INDEX
from moorage.domain.names import Repository
from moorage.domain.resources import Kind
from moorage.ports import Referrer
from moorage.services.callers import Caller
from moorage.services.copying import CopyLimits, Outcome
from tests.contract.samples import policy, put_manifest
from tests.unit.copy_world import (
    FAR,
    FOREIGN_LAYER,
    MEDIA,
    NEAR,
    SOURCE,
    WHO,
    CopyWorld,
    always,
    described_blob,
    manifest_of,
    never,
)
from tests.unit.faults import Faults

BOTH = pytest.mark.parametrize("to", [NEAR, FAR], ids=["one store", "two stores"])


@pytest.fixture
def world() -> CopyWorld:
    return CopyWorld()


def failed(world: CopyWorld, job: CopyJob, says: str) -> None:
    """Run a job that cannot succeed: it fails with a reason, and leaves no tag and nothing half done."""
    tags = {repository: list(world.tags(repository)) for repository in (NEAR, FAR)}
    # What is wrong at the source already is wrong afterwards, and nothing else.
    problems = world.problems()
    done = world.run(job)
    assert (done.state, done.reason is not None and says in done.reason) == (JobState.FAILED, True), done
    assert {repository: list(world.tags(repository)) for repository in (NEAR, FAR)} == tags
    assert world.problems() == problems
    assert done.finished == world.clock()
    # What brings a worker to it once more changes nothing.
    assert world.worker().run(job.id, always) is Outcome.ABSENT
    assert world.job(job) == done


# ---------------------------------------------------------------------- what arrives
@BOTH
def test_an_index_arrives_with_its_platforms_its_referrers_and_its_signature(
    world: CopyWorld, to: Repository
) -> None:
    index = world.whole_image()
    done = world.copy(to=to)
    assert (done.state, done.reason, done.rounds) == (JobState.SUCCEEDED, None, 1)
    assert world.tag(to) == index
    assert world.manifests(to) == world.manifests(SOURCE)
    assert list(world.tags(to)) == [f"sha256-{index.encoded}.sig", "v1"]
    listed = world.services.referrers.page(to, index, None, None).descriptors
    assert len(listed) == 1
    assert world.problems() == []


@BOTH
def test_a_second_copy_changes_nothing_and_moves_no_byte(world: CopyWorld, to: Repository) -> None:
    world.whole_image()
    first = world.copy(to=to)
    before = world.copies(), dict(world.table._links), dict(world.table._objects)
    second = world.copy(to=to)
    assert (second.state, second.progress.copied) == (JobState.SUCCEEDED, 0)
    assert (world.copies(), dict(world.table._links), dict(world.table._objects)) == before
    assert replace(second.progress, copied=first.progress.copied) == first.progress


def test_without_referrers_only_what_the_image_names_arrives(world: CopyWorld) -> None:
    index = world.whole_image()
    world.copy(referrers=False)
    assert list(world.tags(NEAR)) == ["v1"]
    assert len(world.manifests(NEAR)) == 3
    assert world.services.referrers.page(NEAR, index, None, None).descriptors == []


def test_referrers_of_referrers_and_all_kinds_of_signature_tags_arrive(world: CopyWorld) -> None:
    image = world.image("a", "v1")
    sbom = world.image("sbom", subject=world.descriptor(image))
    world.image("signature of it", subject=world.descriptor(sbom))
    for ending in (".sig", ".att", ".sbom"):
        world.image(f"x{ending}", f"sha256-{image.encoded}{ending}")
    world.image("signed signature", f"sha256-{Digest.parse(str(sbom)).encoded}.sig")
    world.index(sbom, tags=[f"sha256-{image.encoded}"])
    world.image("somebody else's", f"sha256-{'0' * 64}.sig")
    done = world.copy()
    assert done.state is JobState.SUCCEEDED
    assert set(world.tags(SOURCE)) - set(world.tags(NEAR)) == {f"sha256-{'0' * 64}.sig"}
    assert len(world.manifests(NEAR)) == len(world.manifests(SOURCE)) - 1
    assert world.problems() == []


def test_many_referrers_are_found_page_by_page() -> None:
    world = CopyWorld()
    world.table._page = 3
    image = world.image("a", "v1")
    for number in range(10):
        world.image(f"sbom {number}", subject=world.descriptor(image))
    assert world.copy().progress.manifests == 11


@BOTH
def test_only_what_the_destination_lacks_is_copied(world: CopyWorld, to: Repository) -> None:
    shared = b"shared" * 50
    world.image("there", "v0", repository=to, layers=[shared])
    world.image("elsewhere", "v0", repository=Repository(to.org, "side"), layers=[b"known" * 30])
    world.image("a", "v1", layers=[shared, b"known" * 30, b"new" * 10])
    objects = len(world.table._objects)
    done = world.copy(to=to)
    assert done.state is JobState.SUCCEEDED
    lacking = sum(map(len, (b'{"n":"a"}', b"layer of a" * 9, b"new" * 10)))
    assert done.progress.copied == (lacking if to is FAR else 0)
    assert len(world.table._objects) - objects == (3 if to is FAR else 0)
    assert world.problems() == []


def test_a_copy_to_a_renamed_repository_and_tag_is_pushed_by_who_asked(world: CopyWorld) -> None:
    digest = world.image("a", "v1")
    to = Repository("prod", "team/renamed")
    world.copy(to=to, destinationTag="stable")
    record = world.table.find_image(to, "stable")
    assert record is not None
    source = world.table.find_image(SOURCE, "v1")
    assert source is not None
    assert (record.digest, record.pushed_by, record.size) == (digest, WHO, source.size)


def test_platforms_and_size_are_known_of_a_copied_index(world: CopyWorld) -> None:
    child = world.image("amd64")
    listed = [{**world.descriptor(child), "platform": {"os": "linux", "architecture": "amd64"}}]
    world.index(child, tags=["v1"], manifests=listed)
    world.copy()
    copied, source = world.table.find_image(NEAR, "v1"), world.table.find_image(SOURCE, "v1")
    assert copied is not None
    assert source is not None
    assert (copied.platforms, copied.size) == (("linux/amd64",), source.size)


def test_by_digest_nothing_is_tagged(world: CopyWorld) -> None:
    image = world.image("a")
    assert world.copy(f"app@{image}").state is JobState.SUCCEEDED
    assert list(world.tags(NEAR)) == []
    assert world.manifests(NEAR) == {image}


def test_many_tags_arrive_and_each_once(world: CopyWorld) -> None:
    for number in range(120):
        world.image(f"a{number % 20}", f"v{number:03}")
    done = world.copy("app", allTags=True)
    assert (done.state, done.progress.position, done.progress.manifests_total) == (
        JobState.SUCCEEDED,
        120,
        # Of each group of fifty its twenty different ones.
        60,
    )
    assert {tag: world.tag(NEAR, tag) for tag in world.tags(SOURCE)} == {
        tag: world.tag(SOURCE, tag) for tag in world.tags(SOURCE)
    }
    assert world.problems() == []


def test_many_tags_bring_their_signatures_as_they_were_asked_for(world: CopyWorld) -> None:
    image = world.image("a", "v1")
    old = world.image("signature", f"sha256-{image.encoded}.sig")
    job = world.ask("app", allTags=True)
    world.image("another", f"sha256-{image.encoded}.sig")
    assert world.run(job).state is JobState.SUCCEEDED
    assert world.tag(NEAR, f"sha256-{image.encoded}.sig") == old


def test_large_manifests_lie_in_the_store_of_the_destination(world: CopyWorld) -> None:
    image = world.image("a", "v1", annotations={"much": "x" * 70_000})
    for to, store in ((NEAR, DEFAULT_STORE), (FAR, "second")):
        world.copy(to=to)
        record = world.table.find_manifest(to, image)
        assert record is not None
        assert (record.body, record.store) == (None, store)
        assert world.services.manifests.content(record)
    assert world.problems() == []


def test_the_cache_of_a_build_arrives_whose_index_lists_layers(world: CopyWorld) -> None:
    contents = [b"cached layer" * 5, b"cache config"]
    listed = [described_blob(world.blob(content), content) for content in contents]
    digest = world.index(tags=["v1"], manifests=listed)
    assert world.copy(to=FAR).state is JobState.SUCCEEDED
    assert world.tag(FAR) == digest
    assert world.problems() == []


@BOTH
@pytest.mark.parametrize("held", [True, False])
def test_a_foreign_layer_is_copied_if_the_source_has_it(world: CopyWorld, to: Repository, held: bool) -> None:
    config, layer, foreign = b"{}", b"layer" * 9, b"windows" * 9
    described = [described_blob(world.blob(content), content) for content in (config, layer)]
    digest = world.blob(foreign) if held else Digest.of(foreign)
    described.append(described_blob(digest, foreign, FOREIGN_LAYER))
    world.push(manifest_of(described), "v1")
    assert world.copy(to=to).state is JobState.SUCCEEDED
    assert (world.table.find_link(to, digest) is not None) is held
    assert world.problems() == []


def test_an_index_three_levels_deep_arrives_from_the_leaves_up(world: CopyWorld) -> None:
    leaf = world.image("leaf")
    inner = world.index(leaf)
    world.index(inner, leaf, tags=["v1"])
    assert world.copy().progress.manifests == 3
    assert world.problems() == []


def test_a_very_deep_index_is_no_problem(world: CopyWorld) -> None:
    digest = world.image("leaf")
    for _ in range(1200):
        digest = world.index(digest)
    world.index(digest, tags=["v1"])
    done = world.copy()
    assert (done.state, done.progress.manifests) == (JobState.SUCCEEDED, 1202)


# ---------------------------------------------------------------------- what is refused, or goes wrong
def test_rights_are_asked_for_again_when_the_job_runs(world: CopyWorld) -> None:
    world.whole_image()
    for org, permission in (("demo", "pull"), ("prod", "create")):
        job = world.ask()
        world.revoke(org)
        failed(world, job, f"lacks the permission {permission}")
        world.grant(org, permission)
    assert world.manifests(NEAR) == set()
    job = world.ask()
    copier = world.table.find(Kind.SERVICE_ACCOUNT, "demo", "copier")
    assert copier is not None
    world.table.delete(copier)
    failed(world, job, "who asked for the copy")


def test_rights_are_asked_for_again_in_each_round(world: CopyWorld) -> None:
    world.whole_image()
    job = world.ask()
    assert world.worker().run(job.id, never) is Outcome.CONTINUE
    world.revoke("prod")
    failed(world, job, "lacks the permission create")


def test_a_document_that_somebody_wrote_grants_nothing(world: CopyWorld) -> None:
    world.whole_image()
    for name in (new_job_id(), "not a job", "../x", ""):
        world.stores[DEFAULT_STORE].put(document_key(name), b'{"job": "x", "requester": "/org/demo/user/x"}')
        assert world.worker().run(name, always) is Outcome.ABSENT
    job = world.ask()
    world.stores[DEFAULT_STORE].put(document_key(job.id), b'{"destinationOrg": "remote", "state": "failed"}')
    assert world.run(job).state is JobState.SUCCEEDED
    assert world.manifests(FAR) == set()


def test_a_job_row_of_somebody_without_rights_gets_nothing(world: CopyWorld) -> None:
    world.whole_image()
    order = CopyOrder("/org/demo/user/nobody@example.com", SOURCE, NEAR, "v1", 1)
    digest = world.tag(SOURCE)
    assert digest is not None
    now = world.clock()
    made = CopyJob(new_job_id(), order, now, now)
    job = world.table.create_job(made, [CopyItem(digest, "v1", "v1")], None)
    failed(world, job, "who asked for the copy")


def test_a_tag_that_moves_meanwhile_at_the_source_is_copied_as_it_was(world: CopyWorld) -> None:
    digest = world.image("a", "v1")
    job = world.ask()
    world.image("b", "v1")
    assert world.run(job).state is JobState.SUCCEEDED
    assert world.tag(NEAR) == digest


@BOTH
def test_a_tag_that_is_set_meanwhile_at_the_destination_stays(world: CopyWorld, to: Repository) -> None:
    world.whole_image()
    job = world.ask(to=to)
    other = world.image("b", "v1", repository=to)
    failed(world, job, "the tag v1 at the destination names another image by now")
    assert world.tag(to) == other
    first = world.ask(to=to, replaceTag=True)
    third = world.image("c", "v1", repository=to)
    failed(world, first, "names another image by now")
    assert world.tag(to) == third
    assert world.copy(to=to, replaceTag=True).state is JobState.SUCCEEDED
    assert world.tag(to) == world.tag(SOURCE)


def test_a_tag_that_becomes_immutable_meanwhile_stays(world: CopyWorld) -> None:
    world.image("a", "v1")
    other = world.image("b", "v1", repository=NEAR)
    job = world.ask(replaceTag=True)
    world.keep_tags("prod", "v*")
    failed(world, job, "the tag v1 is immutable")
    assert world.tag(NEAR) == other


def test_other_signatures_at_the_destination_are_replaced_only_when_asked_to(world: CopyWorld) -> None:
    index = world.whole_image()
    tag = f"sha256-{index.encoded}.sig"
    other = world.image("own signature", tag, repository=NEAR)
    failed(world, world.ask(), f"the tag {tag} at the destination names another image")
    assert world.tag(NEAR, tag) == other
    assert world.copy(replaceTag=True).state is JobState.SUCCEEDED
    assert world.tag(NEAR, tag) == world.tag(SOURCE, tag)


def test_a_source_that_is_deleted_meanwhile_fails_the_job(world: CopyWorld) -> None:
    index = world.whole_image()
    job = world.ask()
    world.table.delete_manifest(SOURCE, index)
    failed(world, job, f"the image {index} was deleted at the source")


@BOTH
def test_a_blob_that_is_deleted_meanwhile_fails_the_job(world: CopyWorld, to: Repository) -> None:
    world.whole_image()
    job = world.ask(to=to)
    gone = Digest.of(b"layer of arm64" * 9)
    world.table.remove_link(SOURCE, gone)
    failed(world, job, f"the source does not hold {gone}")


def test_an_object_that_is_gone_fails_the_job(world: CopyWorld) -> None:
    digest = world.image("a", "v1")
    link = world.table.find_link(SOURCE, Digest.of(b"layer of a" * 9))
    assert link is not None
    job = world.ask(to=FAR)
    world.stores[DEFAULT_STORE].delete([link.key])
    done = world.run(job)
    assert (done.state, f"does not hold {link.digest}" in str(done.reason)) == (JobState.FAILED, True)
    assert world.tag(FAR) is None
    assert (FAR, digest) not in world.table._manifests


def test_a_missing_child_fails_the_job_and_is_named(world: CopyWorld) -> None:
    children = [world.image("amd64"), world.image("arm64")]
    world.index(*children, tags=["v1"])
    world.table.delete_manifest(SOURCE, children[1])
    failed(world, world.ask(), f"the source does not hold {children[1]}")


def test_a_referrer_or_signature_that_is_gone_is_left_out(world: CopyWorld) -> None:
    index = world.whole_image()
    (listed,) = world.services.referrers.page(SOURCE, index, None, None).descriptors
    # Rows that a crash has left, and that lead to nothing.
    del world.table._manifests[SOURCE, Digest.parse(str(listed["digest"]))]
    signature = world.tag(SOURCE, f"sha256-{index.encoded}.sig")
    assert signature is not None
    del world.table._manifests[SOURCE, signature]
    done = world.copy()
    assert (done.state, done.progress.manifests) == (JobState.SUCCEEDED, 3)
    assert list(world.tags(NEAR)) == ["v1"]


def test_forged_rows_fail_the_job_cleanly(world: CopyWorld) -> None:
    index = world.whole_image()
    record = world.table.find_manifest(SOURCE, index)
    assert record is not None
    # A circle, which no honest digests can make.
    content = b'{"schemaVersion":2,"mediaType":"%s","manifests":[{"mediaType":"%s","digest":"%s","size":2}]}'
    forged = content % (OCI_INDEX.encode(), OCI_INDEX.encode(), str(index).encode())
    world.table._manifests[SOURCE, index] = replace(record, body=forged)
    job = world.ask()
    done = world.run(job)
    assert (done.state, "the source's content is damaged" in str(done.reason)) == (JobState.FAILED, True)
    assert list(world.tags(NEAR)) == []


def test_referrer_rows_in_a_circle_end(world: CopyWorld) -> None:
    first, second = world.image("a", "v1"), world.image("b")
    for subject, digest in ((first, second), (second, first)):
        record = world.table.find_manifest(SOURCE, digest)
        assert record is not None
        put_manifest(world.table, SOURCE, record, uses=[], referrer=refers(subject, digest))
    done = world.copy()
    assert (done.state, done.progress.manifests) == (JobState.SUCCEEDED, 2)


def refers(subject: Digest, digest: Digest) -> Referrer:
    return Referrer(subject, digest, MEDIA, {"digest": str(digest)})


def test_a_manifest_that_would_not_be_taken_today_fails_the_job(world: CopyWorld) -> None:
    world.image("a", "v1")
    content = b'{"schemaVersion":2}'
    record = world.table.find_manifest(SOURCE, world.tag(SOURCE) or Digest.of(b""))
    assert record is not None
    old = replace(record, digest=Digest.of(content), body=content, size=len(content))
    put_manifest(world.table, SOURCE, old, uses=[], referrer=None)
    failed(world, world.ask(f"app@{old.digest}", destinationTag="v1"), "cannot be stored any more")


def test_an_image_of_too_many_manifests_is_refused(world: CopyWorld) -> None:
    world = CopyWorld(limits=CopyLimits(max_manifests=4))
    world.whole_image()
    failed(world, world.ask(), "more than 4 manifests belong to one image")
    assert world.copy(referrers=False).state is JobState.SUCCEEDED


def test_images_that_are_too_many_together_are_copied_one_after_the_other() -> None:
    world = CopyWorld(limits=CopyLimits(max_manifests=4))
    for number in range(9):
        world.image(f"a{number}", f"v{number}")
    done = world.copy("app", allTags=True)
    assert (done.state, done.progress.manifests_total, len(world.tags(NEAR))) == (JobState.SUCCEEDED, 9, 9)


@BOTH
def test_a_destination_that_is_deleted_meanwhile_fails_the_job(world: CopyWorld, to: Repository) -> None:
    world.whole_image()
    job = world.ask(to=to)
    assert world.worker().run(job.id, never) is Outcome.CONTINUE
    world.administration.remove_organisation(to.org, force=True)
    done = world.run(job)
    assert (done.state, "was deleted since" in str(done.reason)) == (JobState.FAILED, True)
    world.clock.advance(timedelta(hours=1))
    assert world.administration.remove_organisation(to.org, force=True).finished
    assert not [link for link in world.table._links.values() if link.repository.org == to.org]
    assert not [name for name, _ in world.table._manifests if name.org == to.org]
    assert world.problems(undisturbed=False) == []


def test_items_that_are_lost_fail_the_job(world: CopyWorld) -> None:
    world.image("a", "v1")
    job = world.ask()
    world.table._items.clear()
    failed(world, job, "not known any more")


# ---------------------------------------------------------------------- the work of workers
@BOTH
def test_without_time_a_job_goes_on_step_by_step(world: CopyWorld, to: Repository) -> None:
    index = world.whole_image()
    job = world.ask(to=to)
    seen = []
    while world.worker().run(job.id, never) is Outcome.CONTINUE:
        standing = world.job(job)
        assert (standing.state, standing.lease, standing.moving) == (JobState.RUNNING, None, False)
        # The next worker is called, and until the end nothing can be seen by its tag.
        assert world.called() == [job.id]
        world.stores[DEFAULT_STORE].delete([document_key(job.id)])
        assert list(world.tags(to)) == []
        seen.append((standing.progress.manifests, standing.progress.size))
        world.clock.advance(timedelta(seconds=2))
    done = world.job(job)
    assert (done.state, world.tag(to)) == (JobState.SUCCEEDED, index)
    assert seen == sorted(seen)
    assert done.rounds == len(seen) + 1 > 3
    assert world.called() == []
    assert world.problems() == []


def test_many_tags_go_on_where_they_stopped(world: CopyWorld) -> None:
    for number in range(120):
        world.image(f"a{number}", f"v{number:03}")
    job, positions = world.ask("app", allTags=True), []
    while world.worker().run(job.id, never) is Outcome.CONTINUE:
        progress = world.job(job).progress
        positions.append(progress.position)
        assert progress.manifests <= progress.manifests_total
        assert len(world.tags(NEAR)) == progress.position
        world.clock.advance(timedelta(seconds=2))
    done = world.job(job)
    assert (done.progress.manifests, done.progress.manifests_total) == (120, 120)
    assert set(positions) == {0, 50, 100}
    assert world.problems() == []


def test_a_job_that_never_ends_is_given_up() -> None:
    world = CopyWorld(limits=CopyLimits(max_rounds=2))
    world.whole_image()
    job = world.ask()
    assert world.worker().run(job.id, never) is Outcome.CONTINUE
    assert world.worker().run(job.id, never) is Outcome.CONTINUE
    failed(world, job, "not complete after 2 rounds")


def test_another_worker_finds_the_job_busy_until_the_lease_is_over(world: CopyWorld) -> None:
    world.whole_image()
    job = world.ask()
    assert world.table.take_job(job, "another", world.clock()) is not None
    assert world.worker().run(job.id, always) is Outcome.BUSY
    assert 1 < world.worker().busy_seconds(job.id) <= 91
    assert list(world.tags(NEAR)) == []
    world.let_leases_end()
    assert world.worker().busy_seconds(job.id) == 1
    assert world.run(job).state is JobState.SUCCEEDED
    assert world.worker().busy_seconds(job.id) == world.worker().busy_seconds("absent") == 1


def test_a_job_that_has_ended_is_not_run_again(world: CopyWorld) -> None:
    world.whole_image()
    done = world.copy()
    world.table.delete_tag(NEAR, "v1")
    assert world.worker().run(done.id, always) is Outcome.ABSENT
    assert world.tag(NEAR) is None
    cancelled = world.ask()
    world.table.cancel_job(cancelled.id, world.clock())
    assert world.worker().run(cancelled.id, always) is Outcome.ABSENT
    assert world.tag(NEAR) is None


@pytest.mark.parametrize("lost", [False, True])
def test_a_dependency_that_fails_is_no_failure_of_the_job(lost: bool) -> None:
    faults = Faults()
    world = CopyWorld(faults.wrap)
    index = world.whole_image()
    job, point = world.ask(to=FAR), 0
    while True:
        with faults.failing(at=point, lost=lost):
            try:
                outcome = world.worker().run(job.id, always)
            except Unavailable:
                outcome = None
        standing = world.job(job)
        assert standing.state is not JobState.FAILED
        if outcome is not None and point >= len(faults.calls):
            break
        if standing.state.is_open and standing.is_taken(world.clock()):
            world.let_leases_end()
        point += 7
    if world.job(job).state.is_open:
        world.run(job)
    assert world.tag(FAR) == index
    assert world.problems() == []


def test_a_policy_of_the_source_may_name_principals_of_others(world: CopyWorld) -> None:
    """Whoever belongs to the destination may come and get it, if the source lets them."""
    image = world.image("a", "v1")
    puller = "/org/prod/serviceaccount/admin"
    world.table.create(policy("visitors", puller, org="demo"))
    wish = CopyWish("prod", "app")
    job = world.requests.request(Caller(puller), "demo", "app:v1", wish, None)
    assert world.run(job).state is JobState.SUCCEEDED
    assert world.tag(NEAR) == image
