"""Requests for copies: who may ask, what is resolved, and that the same request makes one job."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from moorage.domain.blobs import DEFAULT_STORE
from moorage.domain.copy_wishes import CopyWish
from moorage.domain.digests import Digest
from moorage.domain.errors import Conflict, Denied, InvalidInput, NotFound, TagImmutable
from moorage.domain.images import Pushed
from moorage.domain.jobs import JOB_LIFETIME, CopyItem, JobState, document_key
from moorage.domain.manifests import OCI_MANIFEST
from moorage.domain.names import Repository
from moorage.domain.resources import ResourceRecord
from moorage.services.callers import Caller
from tests.contract.samples import policy
from tests.unit.copy_world import FAR, NEAR, SOURCE, WHO, CopyWorld
from tests.unit.faults import Faults


@pytest.fixture
def world() -> CopyWorld:
    return CopyWorld()


def items(world: CopyWorld, job: Any) -> list[CopyItem]:
    found: list[CopyItem] = []
    while more := world.table.copy_items(job, len(found)):
        found += more
    return found


def test_a_tag_is_resolved_and_a_job_made_and_a_worker_called(world: CopyWorld) -> None:
    digest = world.image("a", "v1")
    job = world.ask("app:v1", destinationTag="v2")
    assert (job.state, job.order.requester, job.order.source, job.order.destination) == (
        JobState.QUEUED,
        WHO,
        SOURCE,
        NEAR,
    )
    assert (job.order.selection, job.order.destination_tag, job.order.items) == ("v1", "v2", 1)
    assert items(world, job) == [CopyItem(digest, "v2", "v1")]
    document = world.stores[DEFAULT_STORE].read(document_key(job.id))
    assert json.loads(b"".join(document or ())) == {"job": job.id}


def test_a_name_alone_is_its_latest_image(world: CopyWorld) -> None:
    digest = world.image("a", "latest")
    assert items(world, world.ask("app")) == [CopyItem(digest, "latest", "latest")]


def test_a_digest_leaves_no_tag_unless_one_is_given(world: CopyWorld) -> None:
    digest = world.image("a")
    job = world.ask(f"app@{digest}")
    assert items(world, job) == [CopyItem(digest, None)]
    assert (job.order.selection, job.order.destination_tag) == (str(digest), None)
    assert items(world, world.ask(f"app@{digest}", destinationTag="v1")) == [CopyItem(digest, "v1")]


def test_a_tag_that_is_pinned_has_to_name_that_digest(world: CopyWorld) -> None:
    first, second = world.image("a", "v1"), world.image("b")
    assert items(world, world.ask(f"app:v1@{first}")) == [CopyItem(first, "v1", "v1")]
    with pytest.raises(NotFound):
        world.ask(f"app:v1@{second}")


def test_many_tags_are_copied_under_their_names(world: CopyWorld) -> None:
    found = {tag: world.image(tag, tag) for tag in ("v1.0", "v1.1", "v2.0")}
    job = world.ask("app", tagPattern="v1.*")
    assert items(world, job) == [CopyItem(found[tag], tag, tag) for tag in ("v1.0", "v1.1")]
    assert (job.order.selection, job.order.destination_tag) == ("v1.*", None)
    job = world.ask("app", allTags=True)
    assert [item.tag for item in items(world, job)] == ["v1.0", "v1.1", "v2.0"]
    assert job.order.selection == "*"


@pytest.mark.parametrize("text", ["app:v9", "app", "absent:v1", f"app@sha256:{'0' * 64}"])
def test_what_is_not_there_is_not_found_by_who_may_see_it(world: CopyWorld, text: str) -> None:
    world.image("a", "v1")
    with pytest.raises(NotFound):
        world.ask(text)
    with pytest.raises(NotFound):
        world.ask("app", tagPattern="x*")
    assert world.called() == []


def test_without_pull_at_the_source_nothing_tells_what_is_there(world: CopyWorld) -> None:
    world.image("a", "v1")
    world.revoke("demo")
    messages = set()
    for text in ("app:v1", "app:v9", "absent:v1"):
        with pytest.raises(Denied) as refused:
            world.ask(text)
        messages.add(refused.value.message)
    with pytest.raises(Denied) as refused:
        world.ask("app:v1", org="nowhere")
    assert messages == {refused.value.message}
    assert world.called() == []


def test_without_create_at_the_destination_nothing_tells_what_is_there(world: CopyWorld) -> None:
    world.image("a", "v1")
    world.image("b", "v1", repository=NEAR)
    world.revoke("prod")
    world.grant("prod", "pull")
    messages = set()
    for destination in (NEAR, Repository("prod", "absent"), Repository("nowhere", "app")):
        with pytest.raises(Denied) as refused:
            world.ask("app:v1", destination)
        messages.add(refused.value.message)
    assert len(messages) == 1
    assert world.called() == []


def test_an_organisation_that_is_being_removed_takes_and_gives_nothing(world: CopyWorld) -> None:
    world.image("a", "v1")
    world.table.begin_removal("prod", world.clock())
    with pytest.raises(Denied):
        world.ask("app:v1")
    world.table.begin_removal("demo", world.clock())
    with pytest.raises(Denied):
        world.ask("app:v1", FAR)


def test_an_image_is_not_copied_to_itself_but_to_another_tag_or_name(world: CopyWorld) -> None:
    world.table.create(own_policy())
    digest = world.image("a", "v1")
    for more in ({}, {"destinationTag": "v1"}, {"destinationName": "app"}):
        with pytest.raises(InvalidInput, match="are the same"):
            world.requests.request(caller(), "demo", "app:v1", wish(destinationOrg="demo", **more), None)
    for text, many in (("app", {"allTags": True}), (f"app@{digest}", {})):
        with pytest.raises(InvalidInput, match="are the same"):
            world.requests.request(caller(), "demo", text, wish(destinationOrg="demo", **many), None)
    for more in ({"destinationTag": "v2"}, {"destinationName": "other"}):
        made = world.requests.request(caller(), "demo", "app:v1", wish(destinationOrg="demo", **more), None)
        assert world.run(made).state is JobState.SUCCEEDED
    assert world.tag(SOURCE, "v2") == world.tag(Repository("demo", "other"), "v1") == digest
    assert world.problems() == []


def test_a_tag_that_names_another_image_is_replaced_only_when_asked_to(world: CopyWorld) -> None:
    digest, other = world.image("a", "v1"), world.image("b", "v1", repository=NEAR)
    with pytest.raises(Conflict, match=r"v1 names another image.*replaceTag"):
        world.ask()
    assert items(world, world.ask(replaceTag=True)) == [CopyItem(digest, "v1", "v1", replaces=other)]
    world.image("a", "v2", repository=NEAR)
    assert items(world, world.ask(destinationTag="v2")) == [CopyItem(digest, "v2", "v1")]


def test_of_many_tags_that_would_be_replaced_some_are_named(world: CopyWorld) -> None:
    for number in range(7):
        world.image(f"a{number}", f"v{number}")
        world.image(f"b{number}", f"v{number}", repository=NEAR)
    with pytest.raises(Conflict, match="v0, v1, v2, v3, v4 and 2 more name other images"):
        world.ask("app", allTags=True)


def test_a_tag_that_must_not_move_is_refused_at_once(world: CopyWorld) -> None:
    world.image("a", "v1")
    world.image("b", "v1", repository=NEAR)
    world.keep_tags("prod", "v*")
    for replace in (False, True):
        with pytest.raises(TagImmutable):
            world.ask(replaceTag=replace)
    assert world.called() == []
    assert world.ask(destinationTag="v2").state is JobState.QUEUED


def test_the_same_key_is_the_same_job_whatever_has_changed(world: CopyWorld) -> None:
    world.image("a", "v1")
    first = world.ask(key="once")
    assert world.ask(key="once") == first
    assert world.ask(key="twice").id != first.id
    done = world.run(first)
    world.table.delete_tag(SOURCE, "v1")
    assert world.ask(key="once") == done
    assert done.state is JobState.SUCCEEDED
    assert [job.id for job in world.table.jobs_of("demo", None, 10, world.clock()).jobs].count(first.id) == 1


def test_the_same_key_for_another_request_is_a_conflict(world: CopyWorld) -> None:
    world.image("a", "v1")
    world.ask(key="once")
    for more in ({"referrers": False}, {"destinationTag": "v2"}, {"replaceTag": True}):
        with pytest.raises(Conflict, match="idempotency key"):
            world.ask(key="once", **more)


def test_a_key_is_its_callers_own_and_ends_with_its_job(world: CopyWorld) -> None:
    world.image("a", "v1")
    first = world.ask(key="once")
    other = "/org/demo/serviceaccount/other"
    world.administration.create_service_account("demo", "other")
    world.table.create(own_policy("others", other, org="demo", permission="pull"))
    world.table.create(own_policy("others", other, org="prod", permission="create"))
    made = world.requests.request(caller(other), "demo", "app:v1", wish(destinationOrg="prod"), "once")
    assert made.id != first.id
    world.clock.advance(JOB_LIFETIME + timedelta(seconds=1))
    assert world.ask(key="once").id != first.id


def test_a_repeated_request_calls_a_worker_again_whose_call_was_lost(world: CopyWorld) -> None:
    world.image("a", "v1")
    job = world.ask(key="once")
    world.stores[DEFAULT_STORE].delete([document_key(job.id)])
    assert world.ask(key="once") == job
    assert world.called() == [job.id]
    world.run(job)
    world.stores[DEFAULT_STORE].delete([document_key(job.id)])
    world.ask(key="once")
    assert world.called() == []


def test_rights_are_asked_for_before_a_key(world: CopyWorld) -> None:
    world.image("a", "v1")
    world.ask(key="once")
    world.revoke("demo")
    with pytest.raises(Denied):
        world.ask(key="once")


def many_tags(world: CopyWorld, count: int, repository: Repository = SOURCE) -> Digest:
    digest = world.image("a", repository=repository)
    pushed = Pushed(digest, OCI_MANIFEST, 1, WHO, world.clock())
    tags = [f"v{number:05}" for number in range(count)]
    world.table.put_tags(repository, tags, pushed, lambda tag: None)
    return digest


def test_ten_thousand_tags_are_one_request_and_more_are_refused() -> None:
    faults = Faults()
    world = CopyWorld(faults.wrap)
    many_tags(world, 10_000)
    faults.calls.clear()
    job = world.ask("app", allTags=True)
    assert job.order.items == 10_000
    # Pages of a thousand images, one batch of what stands at the destination: not a call for each tag.
    assert len(faults.calls) < 30
    assert [item.tag for item in items(world, job)][::5000] == ["v00000", "v05000"]
    world.image("one more", "w")
    with pytest.raises(InvalidInput, match=r"more than 10000 tags.*tagPattern"):
        world.ask("app", allTags=True)
    assert world.ask("app", tagPattern="v*").order.items == 10_000


def test_a_repository_with_too_many_tags_is_not_looked_through(
    world: CopyWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("moorage.services.copy_requests.TAGS_LOOKED_AT", 2000)
    many_tags(world, 2001)
    with pytest.raises(InvalidInput, match="more than 2000 tags"):
        world.ask("app", tagPattern="x*")


def test_a_request_that_dies_anywhere_is_the_same_when_it_is_repeated() -> None:
    faults = Faults()
    CopyWorld(faults.wrap).image("a", "v1")
    point, reached = 0, True
    while reached:
        world = CopyWorld(faults.wrap)
        digest = world.image("a", "v1")
        for lost in (False, True):
            with faults.failing(at=point, lost=lost, error=Dead):
                try:
                    world.ask(key="once")
                except Dead:
                    pass
                else:
                    reached = False
        job = world.ask(key="once")
        assert [each.id for each in world.table.jobs_of("prod", None, 10, world.clock()).jobs] == [job.id]
        assert world.called() == [job.id]
        assert world.run(job).state is JobState.SUCCEEDED
        assert world.tag(NEAR) == digest
        point += 1
    assert point > 5


class Dead(Exception):
    pass


def caller(principal: str = WHO) -> Caller:
    return Caller(principal)


def wish(**body: Any) -> CopyWish:
    return CopyWish.parse(body)


def own_policy(
    name: str = "own", principal: str = WHO, org: str = "demo", permission: str = "create"
) -> ResourceRecord:
    return policy(name, principal, org=org, permission=permission)
