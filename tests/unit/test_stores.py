"""Organisations in a second store: all that they store lies there, and nothing crosses over."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace

import pytest

from moorage.adapters.memory import MemoryStores
from moorage.bootstrap import registry, sweeper
from moorage.domain.blobs import DEFAULT_STORE, Way, object_key, reaches
from moorage.domain.digests import Algorithm, Digest
from moorage.domain.errors import BlobUnknown, DigestMismatch, NameUnknown, Unavailable
from moorage.domain.names import Repository
from moorage.domain.receipts import stream_prefix
from moorage.domain.resources import Kind
from moorage.domain.sessions import SESSION_LIFETIME, SessionState
from moorage.ports import ObjectPlace
from moorage.services.finalizing import Outcome
from moorage.services.image_content import ImageContents
from moorage.services.sweeping import Swept
from moorage.services.uploads import chunk_prefix
from tests.protocol.world import SECOND
from tests.unit.store import APP, CONFIG, CONTENT, FOREIGN, SIDE, STRANGER, WHO, Store, image
from tests.unit.test_sweeping import OVER, few_shards

__all__ = ["few_shards"]

DIGEST = Digest.of(CONTENT)
PART = 5 * 1024**2
# Nobody sends a blob straight through the front door into another store.
NAMED = (Way.API, Way.PRESIGNED)
by_named_ways = pytest.mark.parametrize("way", NAMED)


@pytest.fixture
def store() -> Iterator[Store]:
    store = Store(SECOND)
    yield store
    store.check()


def keys(store: Store, name: str) -> list[str]:
    return list(store.stores[name].list_keys("", 10**6))


def require_all_in(store: Store, name: str) -> None:
    """What is stored of ``demo`` is in one store, by its content and by its rows."""
    others = [each for each in store.stores.names() if each != name]
    assert keys(store, name)
    assert [keys(store, other) for other in others] == [[]] * len(others)
    table = store.table
    named = {each.store for each in table._objects.values()} | {each.store for each in table._links.values()}
    assert named | {each.store for each in table._sessions.values()} == {name}


def in_parts(store: Store) -> None:
    upload = store.presigned.begin(APP, WHO, DIGEST, len(CONTENT), PART)
    key = object_key(Way.PRESIGNED, upload.session.repository_id, DIGEST, upload.session.id)
    assert upload.announced.upload_id is not None
    store.storage.put_part(key, upload.announced.upload_id, 1, CONTENT)
    assert store.presigned.complete(APP, WHO, upload.session.id).state == "linked"


def in_one_put(store: Store) -> None:
    session = store.begin(Way.PRESIGNED)
    store.put(session, DIGEST, CONTENT)
    assert store.presigned.complete(APP, WHO, session.id).state == "linked"


def in_chunks(store: Store) -> None:
    session = store.session(APP, CONTENT[:100], CONTENT[100:])
    assert len(keys(store, store.home)) == 2
    store.uploads.finish(APP, WHO, session.id, DIGEST, b"", None)


def in_one_request(store: Store) -> None:
    assert store.push(APP, CONTENT) == DIGEST


def as_sha512(store: Store) -> None:
    session = store.session(APP, CONTENT[:100])
    digest = Digest.of(CONTENT, Algorithm.SHA512)
    store.uploads.finish(APP, WHO, session.id, digest, CONTENT[100:], None)
    in_one_request(store)


PUSHES = [in_one_request, in_chunks, as_sha512, in_one_put, in_parts]


# ------------------------------------------------------------------ pushes
@pytest.mark.parametrize("home", [DEFAULT_STORE, SECOND])
@pytest.mark.parametrize("push", PUSHES, ids=lambda push: push.__name__)
def test_a_push_lies_in_the_store_of_its_organisation(home, push) -> None:
    store = Store(home)
    push(store)
    require_all_in(store, home)
    assert store.content(APP, DIGEST) == CONTENT
    store.check()


def test_each_organisation_has_its_own_store_for_the_same_content(store: Store) -> None:
    for repository in (APP, FOREIGN):
        store.push(repository, CONTENT)
    ours, theirs = (store.table.find_link(repository, DIGEST) for repository in (APP, FOREIGN))
    assert ours is not None
    assert theirs is not None
    assert (ours.store, theirs.store) == (SECOND, DEFAULT_STORE)
    assert keys(store, SECOND) == [ours.key]
    assert keys(store, DEFAULT_STORE) == [theirs.key]


def test_an_organisation_stores_a_digest_once_in_its_store(store: Store) -> None:
    store.push(APP, CONTENT)
    store.push(SIDE, CONTENT)
    assert len(keys(store, SECOND)) == 1


def test_wrong_content_stays_where_it_is_and_is_not_linked(store: Store) -> None:
    session = store.session(APP, b"other content")
    with pytest.raises(DigestMismatch):
        store.uploads.finish(APP, WHO, session.id, DIGEST, b"", None)
    assert not store.holds(APP, DIGEST)


def test_a_put_that_an_attempt_has_left_is_found_in_the_store(store: Store) -> None:
    session = store.session(APP, CONTENT)
    store.put(session, DIGEST, CONTENT, unproven=True)
    link = store.uploads.finish(APP, WHO, session.id, DIGEST, b"", None)
    assert link.store == SECOND


def test_an_upload_that_is_cancelled_leaves_nothing_in_the_store(store: Store) -> None:
    store.cancel(store.session(APP, CONTENT))
    upload = store.presigned.begin(APP, WHO, DIGEST, len(CONTENT), PART)
    store.cancel(upload.session)
    assert keys(store, SECOND) == []
    assert store.storage.unfinished_uploads("") == []


@pytest.mark.parametrize("way", list(Way))
@pytest.mark.parametrize("home", [DEFAULT_STORE, SECOND, "third"])
def test_only_the_default_store_is_reached_straight_through_the_front_door(way: Way, home: str) -> None:
    assert reaches(way, home) == (way is not Way.DIRECT or home == DEFAULT_STORE)


@pytest.mark.parametrize(
    ("ways", "taken"),
    [
        ((Way.DIRECT, Way.STREAM, Way.API), Way.STREAM),
        ((Way.DIRECT, Way.API), Way.API),
        ((Way.STREAM, Way.API), Way.STREAM),
        ((Way.API,), Way.API),
    ],
)
def test_a_session_is_for_the_best_way_into_its_store(ways: tuple[Way, ...], taken: Way) -> None:
    for home in (DEFAULT_STORE, SECOND):
        session = Store(home).uploads.start(APP, WHO, ways=ways)
        assert (session.way, session.store) == (taken if home == SECOND else ways[0], home)


# ------------------------------------------------------------------ pulls
def test_a_pull_is_sent_to_the_store_of_the_repository(store: Store) -> None:
    for repository, host in ((APP, "second.invalid"), (FOREIGN, "storage.invalid")):
        store.push(repository, CONTENT)
        assert store.blobs.location(repository, DIGEST, None).startswith(f"https://{host}/api/")


# ------------------------------------------------------------------ settling and finalizing
@by_named_ways
@pytest.mark.parametrize("unproven", [False, True])
def test_what_was_stored_and_not_linked_is_found_in_the_store(store, way, unproven) -> None:
    key = store.leave(CONTENT, way=way, unproven=unproven)
    link = store.blobs.find(APP, DIGEST)
    assert (link.key, link.store) == (key, SECOND)
    require_all_in(store, SECOND)


def test_nothing_is_looked_for_below_direct_in_another_store() -> None:
    for home, lists in ((DEFAULT_STORE, 3), (SECOND, 2)):
        store = Store(home)
        store.session()
        store.faults.calls.clear()
        with pytest.raises(BlobUnknown):
            store.blobs.find(APP, DIGEST)
        assert store.faults.calls.count("list_keys") == lists


@by_named_ways
def test_what_lies_under_the_same_key_in_the_wrong_store_settles_nothing(store: Store, way: Way) -> None:
    session = store.begin(way)
    key = object_key(way, session.repository_id, DIGEST, session.id)
    store.stores[DEFAULT_STORE].put(key, CONTENT)
    with pytest.raises(BlobUnknown):
        store.blobs.find(APP, DIGEST)


@by_named_ways
@pytest.mark.parametrize("unproven", [False, True])
def test_the_event_of_the_store_links_what_lies_there(store: Store, way: Way, unproven: bool) -> None:
    key = store.leave(CONTENT, way=way, unproven=unproven)
    assert store.finalize(key) is Outcome.LINKED
    assert store.content(APP, DIGEST) == CONTENT
    require_all_in(store, SECOND)


def test_the_event_of_another_store_links_nothing_and_what_lies_there_goes(store: Store) -> None:
    key = store.leave(CONTENT, way=Way.PRESIGNED)
    store.stores[DEFAULT_STORE].put(key, CONTENT)
    assert store.finalizing.finalize(ObjectPlace(DEFAULT_STORE, key)) is Outcome.REMOVED
    assert not store.holds(APP, DIGEST)
    assert keys(store, DEFAULT_STORE) == []
    assert store.finalize(key) is Outcome.LINKED
    # Linked by its row, so that no event may remove it, whatever store it is of.
    assert store.finalizing.finalize(ObjectPlace(DEFAULT_STORE, key)) is Outcome.KEPT
    assert store.content(APP, DIGEST) == CONTENT


def test_what_is_wrong_is_removed_from_the_store(store: Store) -> None:
    key = store.leave(b"wrong", DIGEST, way=Way.PRESIGNED, unproven=True)
    assert store.finalize(key) is Outcome.MISMATCHED
    assert keys(store, SECOND) == []
    session = store.session_of(key)
    assert session is not None
    assert session.state is SessionState.FAILED


# ------------------------------------------------------------------ mounts
@pytest.mark.parametrize("home", [DEFAULT_STORE, SECOND])
@pytest.mark.parametrize("source", [SIDE, None], ids=["from", "without from"])
def test_a_blob_is_mounted_within_its_organisation(home: str, source: Repository | None) -> None:
    store = Store(home)
    store.push(SIDE, CONTENT)
    link = store.blobs.mount(APP, WHO, DIGEST, source)
    assert link is not None
    assert link.store == home
    assert len(keys(store, home)) == 1
    store.check()


@pytest.mark.parametrize("known", [False, True], ids=["new repository", "known repository"])
@pytest.mark.parametrize("reverse", [False, True], ids=["into the second store", "into the default store"])
def test_a_blob_is_not_mounted_from_one_store_into_another(store: Store, known: bool, reverse: bool) -> None:
    source, target, who = (FOREIGN, APP, WHO) if not reverse else (APP, FOREIGN, STRANGER)
    store.push(source, CONTENT)
    if known:
        store.push(target, b"something else")
    allow_all(store)
    references = set(store.table._references)
    assert store.blobs.mount(target, who, DIGEST, source) is None
    assert not store.holds(target, DIGEST)
    assert set(store.table._references) == references


def test_the_same_mount_within_one_store_links() -> None:
    """What makes the difference is the store, and not the right to mount."""
    store = Store(DEFAULT_STORE)
    store.push(FOREIGN, CONTENT)
    allow_all(store)
    assert store.blobs.mount(APP, WHO, DIGEST, FOREIGN) is not None


def allow_all(store: Store) -> None:
    """Everybody may pull everything; what is tested is what happens then."""
    store.blobs._authorization = _Allowing()  # type: ignore[assignment]


class _Allowing:
    def allows(self, *_: object) -> bool:
        return True


# ------------------------------------------------------------------ manifests and images
LARGE = {"annotations": {"filling": "x" * 100_000}}


@pytest.mark.parametrize("home", [DEFAULT_STORE, SECOND])
def test_a_large_manifest_lies_in_the_store_and_is_read_from_there(home: str) -> None:
    store = Store(home)
    config = store.push(APP, CONFIG)
    content = image((config, CONFIG), **LARGE)
    for _ in range(2):
        store.manifests.push(APP, WHO, content, None, "v1")
    record = store.manifests.find(APP, "v1")
    assert record.store == home
    assert record.body_key in keys(store, home)
    assert store.manifests.content(record) == content
    require_all_in(store, home)
    assert len([key for key in keys(store, home) if key.startswith("manifests/")]) == 1
    store.check()


def test_an_image_is_shown_with_what_lies_in_its_store(store: Store) -> None:
    config = json.dumps({"os": "linux", "architecture": "arm64"}).encode()
    digest = store.push(APP, config)
    layer = {
        "mediaType": "application/vnd.oci.image.config.v1+json",
        "digest": str(digest),
        "size": len(config),
    }
    content = image((digest, config), **{**LARGE, "config": layer})
    store.manifests.push(APP, WHO, content, None, "v1")
    record = store.table.find_image(APP, "v1")
    assert record is not None
    shown = ImageContents(store.table, store.table, store.stores).read(record)
    assert shown is not None
    assert shown.platforms == ("linux/arm64",)
    assert shown.manifest == json.loads(content)


# ------------------------------------------------------------------ sweeping
@pytest.mark.usefixtures("few_shards")
def test_what_expired_uploads_have_left_in_the_store_goes(store: Store) -> None:
    store.leave(CONTENT)
    store.leave(CONTENT, way=Way.PRESIGNED)
    store.session(APP, b"one", b"two")
    store.presigned.begin(APP, WHO, DIGEST, len(CONTENT), PART)
    streaming = store.begin(Way.STREAM)
    store.storage.put(stream_prefix(streaming.repository_id, streaming.id) + "0f" * 16, CONTENT)
    store.storage.begin_multipart(stream_prefix(streaming.repository_id, streaming.id) + "1f" * 16)
    assert {session.store for session in store.table._sessions.values()} == {SECOND}
    store.clock.advance(OVER)
    found = store.sweeping.sweep(dry_run=True)
    assert found == Swept(sessions=5, objects=5)
    assert store.sweeping.sweep() == found
    assert keys(store, SECOND) == []
    assert store.storage.unfinished_uploads("") == []
    assert store.table._sessions == {}


@pytest.mark.usefixtures("few_shards")
def test_sweeping_one_store_leaves_the_other_as_it_is(store: Store) -> None:
    ours, theirs = store.leave(CONTENT), store.leave(CONTENT, repository=FOREIGN)
    for home, other in ((SECOND, ours), (DEFAULT_STORE, theirs)):
        wrong = DEFAULT_STORE if home == SECOND else SECOND
        store.stores[wrong].put(other, b"the same key, of somebody else")
    store.clock.advance(OVER)
    assert store.sweeping.sweep() == Swept(sessions=2, objects=2)
    assert keys(store, DEFAULT_STORE) == [ours]
    assert keys(store, SECOND) == [theirs]


@pytest.mark.usefixtures("few_shards")
def test_a_closed_session_leaves_nothing_in_the_store_but_its_blob(store: Store) -> None:
    key = store.leave(CONTENT, way=Way.PRESIGNED)
    store.push(SIDE, CONTENT)
    assert store.blobs.find(APP, DIGEST).key != key
    store.clock.advance(OVER)
    assert store.sweeping.sweep() == Swept(sessions=1, objects=1)
    assert key not in keys(store, SECOND)
    assert store.content(APP, DIGEST) == CONTENT


@pytest.mark.usefixtures("few_shards")
def test_a_store_that_is_gone_from_the_deployment_keeps_its_sessions_and_stops_no_other(store: Store) -> None:
    store.leave(CONTENT)
    theirs = store.leave(CONTENT, repository=FOREIGN)
    store.clock.advance(OVER)
    stores = MemoryStores()
    stores[DEFAULT_STORE].put(theirs, CONTENT)
    swept = sweeper.assemble(store.table, stores, store.clock).sweep()
    assert swept == Swept(sessions=1, objects=1, failed=1)
    assert stores[DEFAULT_STORE].list_keys("", 10) == []
    assert [session.repository for session in store.table._sessions.values()] == [APP]
    assert store.sweeping.sweep() == Swept(sessions=1, objects=1)


# ------------------------------------------------------------------ repositories
def test_the_organisation_is_read_for_its_store_when_a_repository_begins_and_never_again(
    store: Store,
) -> None:
    calls = []
    for repository in (APP, APP, SIDE, APP):
        store.faults.calls.clear()
        store.uploads.start(repository, WHO)
        calls.append(list(store.faults.calls))
    first = ["find_repository", "find", "create_repository", "create_session"]
    again = ["find_repository", "create_session"]
    assert calls == [first, again, first, again]


def test_a_repository_of_an_organisation_that_is_not_there_is_not_made(store: Store) -> None:
    with pytest.raises(NameUnknown):
        store.uploads.start(Repository("absent", "app"), WHO)


def test_an_organisation_from_before_there_were_stores_is_in_the_default_one(store: Store) -> None:
    organisation = store.table.find(*_named("other"))
    assert organisation is not None
    before = {key: value for key, value in organisation.spec.items() if key != "store"}
    store.table.replace(organisation, replace(organisation, version=organisation.version + 1, spec=before))
    store.push(FOREIGN, CONTENT)
    record = store.table.find_repository(FOREIGN)
    assert record is not None
    assert record.store == DEFAULT_STORE


def test_a_repository_stays_in_its_store(store: Store) -> None:
    """Where its blobs lie is what its own row says, also should that of its organisation say something else."""
    store.push(APP, b"one")
    organisation = store.table.find(*_named("demo"))
    assert organisation is not None
    changed = {**organisation.spec, "store": DEFAULT_STORE}
    store.table.replace(organisation, replace(organisation, version=organisation.version + 1, spec=changed))
    store.push(APP, CONTENT)
    require_all_in(store, SECOND)


def test_a_store_that_is_gone_from_the_deployment_is_unavailable_and_nothing_goes_elsewhere(
    store: Store,
) -> None:
    store.push(APP, b"one")
    stores = MemoryStores()
    services = registry.assemble(store.table, stores, store.clock)
    digest = Digest.of(b"one")
    assert services.blobs.find(APP, digest).size == 3
    with pytest.raises(Unavailable):
        services.blobs.location(APP, digest, None)
    with pytest.raises(Unavailable):
        services.uploads.put_whole(APP, WHO, DIGEST, CONTENT)
    with pytest.raises(Unavailable):
        services.presigned.begin(APP, WHO, DIGEST, len(CONTENT), None)
    with pytest.raises(Unavailable):
        services.blobs.find(APP, DIGEST)
    assert stores[DEFAULT_STORE].list_keys("", 10) == []


def test_a_session_lives_as_long_in_any_store(store: Store) -> None:
    session = store.session(APP, CONTENT)
    assert session.expires - session.created == SESSION_LIFETIME
    assert keys(store, SECOND) == [session.chunks[0].key]
    assert session.chunks[0].key.startswith(chunk_prefix(session))


def _named(org: str) -> tuple[Kind, str, str]:
    return Kind.ORG, org, org
