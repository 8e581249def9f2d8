"""Copies and what was removed and made anew under the same name: it shares nothing with what was there before."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest

from moorage.domain.blobs import DEFAULT_STORE
from moorage.domain.errors import NameUnknown, WriteConflict
from moorage.domain.jobs import JobState
from moorage.domain.names import Repository
from moorage.domain.principals import SUPERUSERS
from moorage.domain.resources import Kind
from moorage.services.copying import CopyLimits
from moorage.services.linking import Linking
from tests.contract.samples import policy
from tests.protocol.world import SECOND
from tests.unit.copy_world import FAR, NEAR, SOURCE, WHO, CopyWorld, always, described_blob, manifest_of

PATIENCE = 5
STORES = {"prod": DEFAULT_STORE, "remote": SECOND, "demo": DEFAULT_STORE}


def remove(world: CopyWorld, org: str) -> None:
    """Remove an organisation as far as that is possible at once, and then for good."""
    assert not world.administration.remove_organisation(org, force=True).finished
    world.clock.advance(timedelta(minutes=11))
    assert world.administration.remove_organisation(org, force=True).finished


def make(world: CopyWorld, org: str, store: str | None = None) -> None:
    world.administration.create_organisation(org, store or STORES[org])
    world.administration.create_service_account(org, "admin", groups=[SUPERUSERS])


def left_in(world: CopyWorld, org: str) -> list[Any]:
    """What the table says that an organisation has."""
    table = world.table
    return [
        *(link for link in table._links.values() if link.repository.org == org),
        *(digest for name, digest in table._manifests if name.org == org),
        *(digest for name, digest in table._organisation_blobs if name == org),
        *(name for name in table._repositories if name.org == org),
    ]


def test_nothing_comes_into_an_organisation_that_was_made_anew_while_an_object_was_copied() -> None:
    """One request to the store took a quarter of an hour, and the worker kept its job meanwhile."""
    world = CopyWorld(limits=CopyLimits(renew_seconds=0.005))
    world.image("secret", "v1")
    job, copied = world.ask(to=FAR), world.stores.copy_object
    saved, renewed = world.table.save_progress, threading.Semaphore(0)
    first, anew = threading.Lock(), threading.Event()

    def noted(*arguments: Any, **named: Any) -> Any:
        renewed.release()
        return saved(*arguments, **named)

    def slow(*arguments: Any) -> bool:
        done = copied(*arguments)
        if first.acquire(blocking=False):
            world.administration.remove_organisation("remote", force=True)
            for _ in range(25):
                world.clock.advance(timedelta(seconds=30))
                assert renewed.acquire(timeout=PATIENCE)
            assert world.administration.remove_organisation("remote", force=True).finished
            make(world, "remote")
            anew.set()
        assert anew.wait(PATIENCE)
        return done

    world.table.save_progress = noted  # type: ignore[method-assign]
    world.stores.copy_object = slow  # type: ignore[assignment, method-assign]
    world.worker().run(job.id, always)
    done = world.job(job)
    assert (done.state, "destination was deleted" in str(done.reason)) == (JobState.FAILED, True)
    assert left_in(world, "remote") == []
    assert world.copies() == []


@pytest.mark.parametrize("named", ["put_link", "put_manifest"])
def test_what_is_written_at_the_moment_of_the_removal_is_refused(named: str) -> None:
    world = CopyWorld()
    world.whole_image()
    job, write = world.ask(), getattr(world.table, named)
    happened: list[int] = []

    def late(*arguments: Any, **more: Any) -> None:
        if not happened:
            happened.append(1)
            remove(world, "prod")
            make(world, "prod")
            # Somebody opens the repository there again.
            world.image("own", "own", repository=NEAR)
        write(*arguments, **more)

    setattr(world.table, named, late)
    with suppress(WriteConflict):
        # Other steps may find first that what they need is not there any more.
        world.worker().run(job.id, always)
    done = world.job(job) if not world.job(job).state.is_open else world.run(job)
    assert (done.state, "deleted" in str(done.reason)) == (JobState.FAILED, True)
    assert world.tags(NEAR) == ["own"]
    assert len(world.manifests(NEAR)) == 1
    assert len([link for link in world.table._links.values() if link.repository == NEAR]) == 2


@pytest.mark.parametrize("org", ["demo", "prod"])
def test_a_job_does_not_go_on_at_an_organisation_founded_after_it(org: str) -> None:
    world = CopyWorld()
    world.whole_image()
    job = world.ask()
    remove(world, org)
    make(world, org)
    if org == "demo":
        world.administration.create_service_account("demo", "copier")
        world.grant("demo", "pull")
        world.whole_image()
    else:
        world.grant("prod", "create")
    done = world.run(job)
    assert (done.state, "made anew" in str(done.reason)) == (JobState.FAILED, True)
    assert world.tags(NEAR) == []
    # Who asks now gets it.
    assert world.copy().state is JobState.SUCCEEDED


def made_anew(world: CopyWorld) -> None:
    """The requester, by the same name."""
    record = world.table.find(Kind.SERVICE_ACCOUNT, "demo", "copier")
    assert record is not None
    world.table.delete(record)
    world.clock.advance(timedelta(seconds=1))
    world.administration.create_service_account("demo", "copier")


def test_a_job_does_not_go_on_for_a_requester_that_was_made_anew() -> None:
    world = CopyWorld()
    world.whole_image()
    job = world.ask()
    made_anew(world)
    done = world.run(job)
    assert (done.state, "made anew" in str(done.reason)) == (JobState.FAILED, True)
    assert world.tags(NEAR) == []


def organisation_anew(world: CopyWorld) -> None:
    remove(world, "prod")
    make(world, "prod")
    world.table.create(policy("copying", WHO, org="prod", permission="create"))


@pytest.mark.parametrize("anew", [made_anew, organisation_anew])
def test_a_key_does_not_lead_to_the_job_of_others_of_the_same_names(
    anew: Callable[[CopyWorld], None],
) -> None:
    world = CopyWorld()
    world.whole_image()
    first = world.ask(key="once")
    assert world.ask(key="once").id == first.id
    anew(world)
    second = world.ask(key="once", referrers=False)
    assert second.id != first.id
    assert world.ask(key="once", referrers=False).id == second.id
    assert world.run(second).state is JobState.SUCCEEDED


def test_an_object_of_another_store_is_never_linked() -> None:
    """The organisation has lived in another store, and its row for the digest is left."""
    world = CopyWorld()
    content = b"shared" * 20
    digest = world.blob(content)
    world.push(manifest_of([described_blob(digest, content)]), "v1")
    assert world.copy(to=FAR).state is JobState.SUCCEEDED
    rows = dict(world.table._organisation_blobs)
    remove(world, "remote")
    make(world, "remote", DEFAULT_STORE)
    world.table._organisation_blobs.update(rows)
    world.grant("remote", "create")
    assert world.copy(to=FAR).state is JobState.SUCCEEDED
    link = world.table.find_link(FAR, digest)
    assert link is not None
    assert link.store == DEFAULT_STORE
    assert world.problems(undisturbed=False) == []


def test_an_upload_into_a_repository_made_anew_links_nothing() -> None:
    world = CopyWorld()
    digest = world.blob(b"content", NEAR)
    into = world.table.find_repository(NEAR)
    key = world.table.find_organisation_blob("prod", digest)
    assert into is not None
    assert key is not None
    remove(world, "prod")
    make(world, "prod")
    world.blob(b"other", NEAR)
    with pytest.raises(NameUnknown):
        Linking(world.table, world.clock).link(into, digest, key)
    assert world.table.find_link(NEAR, digest) is None
    assert world.table.find_link(Repository("demo", "other"), digest) is None
    assert world.table.find_link(SOURCE, digest) is None
