"""What was stored by any way becomes a blob when somebody asks for it, if its session vouches for it."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from functools import partial

import pytest

from moorage.adapters.memory import MemoryStores, MemoryTable
from moorage.bootstrap import registry
from moorage.domain.blobs import NAMED_BY_DIGEST, ObjectState, Way, object_key
from moorage.domain.digests import Algorithm, Digest
from moorage.domain.errors import (
    BeingVerified,
    BlobUnknown,
    BlobUploadUnknown,
    ManifestBlobUnknown,
    RegistryError,
    Unavailable,
)
from moorage.domain.manifests import OCI_MANIFEST
from moorage.ports import ObjectHead
from moorage.services.finalizing import Outcome
from moorage.services.settling import HASHED_IN_A_REQUEST
from tests.contract.samples import make_organisation
from tests.protocol.world import Clock
from tests.unit.faults import Faults
from tests.unit.store import APP, FOREIGN, SIDE, STRANGER, WHO, Store, image, live

CONTENT = b"layer" * 100
DIGEST, LONG = Digest.of(CONTENT), Digest.of(CONTENT, Algorithm.SHA512)
ENDS = ("closed", "failed", "expired", "cancelled")


@pytest.fixture
def store() -> Iterator[Store]:
    store = Store()
    yield store
    store.check()


def push_manifest(store: Store, *digests: Digest) -> object:
    return store.manifests.push(
        APP, WHO, image(*[(digest, CONTENT) for digest in digests or (DIGEST,)]), OCI_MANIFEST, "v1"
    )


ASKING: dict[str, Callable[[Store], object]] = {
    "HEAD": lambda store: store.blobs.find(APP, DIGEST),
    "GET": lambda store: store.blobs.location(APP, DIGEST, None),
    "mount": lambda store: store.blobs.mount(SIDE, WHO, DIGEST, APP),
    "manifest": push_manifest,
}
asking = pytest.mark.parametrize("ask", ASKING.values(), ids=list(ASKING))
by_all_ways = pytest.mark.parametrize("way", NAMED_BY_DIGEST)


def refused(store: Store) -> None:
    """Nobody is given what was stored, by any kind of question; and nothing is written about it, for a reference
    would keep the object for ever.
    """
    rows = dict(store.table._objects), set(store.table._references)
    for ask in ASKING.values():
        with suppress(BlobUnknown, ManifestBlobUnknown):
            assert ask(store) is None
    assert not store.table._links.keys() & {(APP, DIGEST), (SIDE, DIGEST)}
    assert (store.table._objects, store.table._references) == rows
    assert store.table.find_tag(APP, "v1") is None


@asking
@pytest.mark.parametrize("way", [Way.DIRECT, Way.PRESIGNED])
def test_whenever_the_stores_event_comes_whoever_asks_gets_the_blob(
    way: Way, ask: Callable[[Store], object]
) -> None:
    """It may close the session between the look for the link and the look for the session."""
    at = 0
    while True:
        store = Store()
        key = store.leave(CONTENT, way=way)
        with store.faults.interrupted(at, partial(store.finalize, key)) as happened:
            assert ask(store)
        assert store.content(APP, DIGEST) == CONTENT
        store.check()
        if not happened():
            break
        at += 1
    assert at > 5


# ------------------------------------------------------------------ who vouches
@asking
@by_all_ways
@pytest.mark.parametrize("unproven", [False, True])
def test_what_was_stored_by_any_way_is_settled_by_whoever_asks(
    store: Store, way: Way, ask: Callable[[Store], object], unproven: bool
) -> None:
    key = store.leave(CONTENT, way=way, unproven=unproven)
    assert ask(store)
    link = store.table.find_link(APP, DIGEST)
    assert link is not None
    assert link.key == key
    assert store.table.find_organisation_blob("demo", DIGEST) == key


@pytest.mark.parametrize(
    ("opened", "stored"),
    [(one, other) for one in NAMED_BY_DIGEST for other in NAMED_BY_DIGEST if one is not other],
)
def test_what_lies_under_another_way_than_its_sessions_is_nobodys(
    store: Store, opened: Way, stored: Way
) -> None:
    session = store.begin(opened, APP, CONTENT)
    key = store.put(session, DIGEST, CONTENT, way=stored)
    refused(store)
    assert store.finalize(key) is Outcome.REMOVED
    # The session goes on as if nothing had been there.
    store.put(session, DIGEST, CONTENT)
    assert store.blobs.find(APP, DIGEST).key != key


def test_what_was_announced_is_the_only_thing_that_can_be_stored(store: Store) -> None:
    session = store.begin(Way.PRESIGNED, APP, b"announced")
    key = store.put(session, DIGEST, CONTENT)
    refused(store)
    assert store.finalize(key) is Outcome.REMOVED
    good = store.put(session, Digest.of(b"announced"), b"announced")
    assert store.blobs.find(APP, Digest.of(b"announced")).key == good


@by_all_ways
@pytest.mark.parametrize("end", ENDS)
def test_what_a_session_that_has_ended_left_is_not_settled(store: Store, way: Way, end: str) -> None:
    key = store.leave(CONTENT, way=way)
    session = store.session_of(key)
    assert session is not None
    store.end(session, end)
    refused(store)
    # Nor what comes after its end.
    store.storage.delete([key])
    store.put(session, DIGEST, CONTENT)
    refused(store)


@by_all_ways
def test_a_session_of_another_repository_vouches_for_nothing(store: Store, way: Way) -> None:
    store.push(APP, b"makes the repository")
    record = store.table.find_repository(APP)
    assert record is not None
    for repository in (SIDE, FOREIGN):
        session = store.begin(way, repository, CONTENT)
        store.storage.put(object_key(way, record.id, DIGEST, session.id), CONTENT)
    refused(store)


@by_all_ways
@pytest.mark.parametrize("digest", [DIGEST, LONG], ids=["sha256", "sha512"])
@pytest.mark.parametrize("content", [b"", b"other", CONTENT + b"\0", CONTENT[:-1]])
def test_other_content_than_the_digest_says_is_not_settled(
    store: Store, way: Way, digest: Digest, content: bytes
) -> None:
    store.leave(content, digest, way=way, unproven=True)
    with pytest.raises(BlobUnknown):
        store.blobs.find(APP, digest)
    with pytest.raises(ManifestBlobUnknown):
        push_manifest(store, digest)
    assert not store.table._links


@by_all_ways
@pytest.mark.parametrize("encoding", ["gzip", "zstd", "identity"])
def test_content_that_the_store_would_call_encoded_is_no_blob(store: Store, way: Way, encoding: str) -> None:
    """Clients would unpack what they have to verify."""
    key = store.leave(CONTENT, way=way)
    store.storage.put_encoded(key, CONTENT, encoding)
    refused(store)
    assert store.finalize(key) is Outcome.MISMATCHED
    assert store.storage.head(key) is None


@pytest.mark.parametrize("size", [0, len(CONTENT) - 1, len(CONTENT) + 1, 10**9])
def test_content_of_another_length_than_announced_is_not_what_was_announced(store: Store, size: int) -> None:
    session = store.presigned.begin(APP, WHO, DIGEST, size, None).session
    key = store.put(session, DIGEST, CONTENT)
    refused(store)
    assert store.finalize(key) is Outcome.MISMATCHED
    assert store.storage.head(key) is None


# ------------------------------------------------------------------ organisations
@by_all_ways
@pytest.mark.parametrize("timing", ["before the event", "after the event", "after it was settled", "deleted"])
def test_a_blob_of_one_organisation_is_refused_in_a_manifest_of_another(
    store: Store, way: Way, timing: str
) -> None:
    key = store.leave(CONTENT, way=way)
    if timing == "after the event":
        assert store.finalize(key) is Outcome.LINKED
    elif timing != "before the event":
        store.blobs.find(APP, DIGEST)
    if timing == "deleted":
        store.deletions.blob(APP, DIGEST)
    with pytest.raises(ManifestBlobUnknown) as caught:
        store.manifests.push(FOREIGN, STRANGER, image((DIGEST, CONTENT)), OCI_MANIFEST, "v1")
    assert str(DIGEST) in str(caught.value.detail)
    assert key not in str(caught.value.detail) + caught.value.message
    for source in (APP, None):
        assert store.blobs.mount(FOREIGN, STRANGER, DIGEST, source) is None
    with pytest.raises(BlobUnknown):
        store.blobs.find(FOREIGN, DIGEST)
    assert not store.holds(FOREIGN, DIGEST)


@by_all_ways
def test_two_organisations_that_upload_the_same_content_have_an_object_each(store: Store, way: Way) -> None:
    ours, theirs = store.leave(CONTENT, way=way), store.leave(CONTENT, repository=FOREIGN, way=way)
    assert store.blobs.find(APP, DIGEST).key == ours
    assert store.blobs.find(FOREIGN, DIGEST).key == theirs


# ------------------------------------------------------------------ once for each organisation
@by_all_ways
@asking
def test_content_that_the_organisation_has_is_linked_to_the_object_it_has(
    store: Store, way: Way, ask: Callable[[Store], object]
) -> None:
    store.push(SIDE, CONTENT)
    known = store.table.find_link(SIDE, DIGEST)
    assert known is not None
    store.deletions.blob(SIDE, DIGEST)
    fresh = store.leave(CONTENT, way=way)
    assert ask(store)
    link = store.table.find_link(APP, DIGEST)
    assert link is not None
    assert link.key == known.key
    assert store.unrecorded() == [fresh]
    assert store.finalize(fresh) is Outcome.REMOVED
    assert store.content(APP, DIGEST) == CONTENT


@by_all_ways
def test_a_known_object_that_is_condemned_gives_way_to_the_fresh_one(store: Store, way: Way) -> None:
    store.push(SIDE, CONTENT)
    known = store.table.find_organisation_blob("demo", DIGEST)
    assert known is not None
    live(store, known, ObjectState.CONDEMNED)
    fresh = store.leave(CONTENT, way=way)
    assert store.blobs.find(APP, DIGEST).key == fresh
    assert store.table.find_organisation_blob("demo", DIGEST) == fresh
    # No reference is left that would keep the condemned one.
    assert store.table.references(known, 10) == [(SIDE, DIGEST)]


@by_all_ways
def test_whenever_the_known_object_is_condemned_what_is_linked_is_there(way: Way) -> None:
    at = 0
    while True:
        store = Store()
        store.push(SIDE, CONTENT)
        store.deletions.blob(SIDE, DIGEST)
        known = store.table.find_organisation_blob("demo", DIGEST)
        assert known is not None
        fresh = store.leave(CONTENT, way=way)
        with store.faults.interrupted(at, partial(live, store, known, ObjectState.CONDEMNED)) as happened:
            link = store.blobs.find(APP, DIGEST)
        if link.key == known:
            # Its reference was there first, so the collector lets it live again.
            assert store.table.references(known, 1)
        else:
            assert link.key == fresh
        store.check()
        if not happened():
            break
        at += 1
    assert at > 5


# ------------------------------------------------------------------ a repository that was made anew
def make_anew(store: Store) -> None:
    """What deleting a repository and pushing to it again comes to."""
    record = store.table._repositories[APP]
    store.table._repositories[APP] = replace(record, id=uuid.uuid4().hex)


@by_all_ways
def test_what_was_stored_for_a_repository_that_was_deleted_is_not_its_successors(
    store: Store, way: Way
) -> None:
    key = store.leave(CONTENT, way=way)
    make_anew(store)
    refused(store)
    assert store.finalize(key) is Outcome.REMOVED
    assert store.storage.head(key) is None
    refused(store)


@by_all_ways
def test_a_session_of_the_repository_that_was_deleted_vouches_for_nothing_in_its_successor(
    store: Store, way: Way
) -> None:
    session = store.begin(way, APP, CONTENT)
    make_anew(store)
    record = store.table.find_repository(APP)
    assert record is not None
    store.storage.put(object_key(way, record.id, DIGEST, session.id), CONTENT)
    refused(store)


def test_no_upload_that_was_begun_before_a_repository_was_made_anew_comes_to_its_end(store: Store) -> None:
    """Whoever may push now may be somebody else."""
    chunks, whole = store.session(APP, CONTENT), store.session(APP)
    presigned = store.session_of(store.leave(CONTENT, way=Way.PRESIGNED))
    assert presigned is not None
    make_anew(store)
    for finish in (
        lambda: store.uploads.finish(APP, WHO, chunks.id, DIGEST, b"", None),
        lambda: store.uploads.finish(APP, WHO, whole.id, DIGEST, CONTENT, None),
        lambda: store.presigned.complete(APP, WHO, presigned.id),
    ):
        with pytest.raises(BlobUploadUnknown):
            finish()
    assert not store.holds(APP, DIGEST)
    store.push(APP, CONTENT)
    assert store.content(APP, DIGEST) == CONTENT


def test_whenever_a_repository_is_made_anew_what_is_linked_is_there() -> None:
    """Between any two calls of a request that settles, with the store's event right behind it."""
    at, linked = 0, 0
    while True:
        store = Store()
        session = store.session_of(store.leave(CONTENT, way=Way.PRESIGNED))
        assert session is not None
        key = object_key(Way.PRESIGNED, session.repository_id, DIGEST, session.id)

        def anew(store: Store = store, key: str = key) -> None:
            make_anew(store)
            store.finalize(key)

        with store.faults.interrupted(at, anew) as happened, suppress(RegistryError):
            store.presigned.complete(APP, WHO, session.id)
        if store.holds(APP, DIGEST):
            assert store.content(APP, DIGEST) == CONTENT
            linked += 1
        if not happened():
            break
        at += 1
    assert at >= linked > 0


# ------------------------------------------------------------------ many at once
def contents(count: int) -> list[bytes]:
    return [b"layer %d" % number for number in range(count)]


@by_all_ways
def test_the_blobs_of_a_manifest_are_settled_side_by_side(store: Store, way: Way) -> None:
    blobs = contents(40)
    keys = {store.leave(content, way=way) for content in blobs}
    push_manifest(store, *map(Digest.of, blobs))
    assert {store.table._links[APP, Digest.of(content)].key for content in blobs} == keys


def test_more_blobs_than_one_request_settles_are_named_and_settled_by_the_next(store: Store) -> None:
    blobs = contents(130)
    for number, content in enumerate(blobs):
        store.leave(content, way=NAMED_BY_DIGEST[number % 3])
    with pytest.raises(ManifestBlobUnknown) as caught:
        push_manifest(store, *map(Digest.of, blobs))
    assert caught.value.detail == [{"digest": str(Digest.of(content))} for content in blobs[128:]]
    assert store.table.find_tag(APP, "v1") is None
    push_manifest(store, *map(Digest.of, blobs))
    assert store.table.find_tag(APP, "v1") is not None


def test_one_of_many_blobs_that_is_not_there_keeps_the_manifest_out_and_no_other_blob(store: Store) -> None:
    blobs = contents(12)
    for content in blobs[1:]:
        store.leave(content, way=Way.DIRECT)
    with pytest.raises(ManifestBlobUnknown) as caught:
        push_manifest(store, *map(Digest.of, blobs))
    assert caught.value.detail == [{"digest": str(Digest.of(blobs[0]))}]
    assert all(store.holds(APP, Digest.of(content)) for content in blobs[1:])


@pytest.mark.parametrize("named", ["list_keys", "find_session", "head", "put_link", "find_organisation_blob"])
def test_a_dependency_that_fails_for_one_of_many_blobs_is_an_outage(store: Store, named: str) -> None:
    blobs = contents(12)
    for content in blobs:
        store.leave(content, way=Way.DIRECT)
    with store.faults.failing(named=named), pytest.raises(Unavailable):
        push_manifest(store, *map(Digest.of, blobs))
    assert store.table.find_tag(APP, "v1") is None
    push_manifest(store, *map(Digest.of, blobs))


@pytest.mark.parametrize("way", [Way.API, Way.DIRECT])
@pytest.mark.parametrize("others", [0, 7])
def test_what_is_too_long_is_being_verified_until_the_finalizer_has_read_it(
    store: Store, way: Way, others: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for content in contents(others):
        store.leave(content, way=way)
    key = store.leave(CONTENT, way=way, unproven=True)
    digests = [Digest.of(content) for content in contents(others)]
    head = store.storage.head
    with monkeypatch.context() as patch:
        patch.setattr(
            store.storage,
            "head",
            lambda asked: ObjectHead(HASHED_IN_A_REQUEST + 1, None) if asked == key else head(asked),
        )
        for _ in range(2):
            with pytest.raises(BeingVerified) as caught:
                push_manifest(store, DIGEST, *digests)
            assert caught.value.retry_after > 0
            assert not store.holds(APP, DIGEST)
    assert store.finalize(key) is Outcome.LINKED
    push_manifest(store, DIGEST, *digests)


def test_where_there_is_no_front_door_nothing_is_looked_for_below_direct() -> None:
    faults, stores = Faults(), MemoryStores()
    table = MemoryTable()
    make_organisation(table, APP.org)
    services = registry.assemble(table, faults.wrap(stores), Clock())
    services.uploads.start(APP, WHO)
    with pytest.raises(BlobUnknown):
        services.blobs.find(APP, DIGEST)
    assert faults.calls == ["list_keys"] * 2


def test_a_blob_that_is_absent_costs_nothing_where_there_is_no_repository(store: Store) -> None:
    store.faults.calls.clear()
    with pytest.raises(BlobUnknown):
        store.blobs.find(APP, DIGEST)
    assert store.faults.calls == ["find_link", "find_repository"]


# ------------------------------------------------------------------ deleting
@by_all_ways
def test_a_blob_that_nobody_has_linked_yet_is_deleted_for_good(store: Store, way: Way) -> None:
    keys = [store.leave(CONTENT, way=way) for _ in range(3)]
    store.deletions.blob(APP, DIGEST)
    refused(store)
    for key in keys:
        assert store.finalize(key) in (Outcome.REMOVED, Outcome.KEPT)
    refused(store)
    with pytest.raises(RegistryError):
        store.deletions.blob(APP, DIGEST)


def test_the_largest_number_of_rivals_for_one_digest_hides_no_good_one(store: Store) -> None:
    """Whoever may push could store bad objects of a digest; at worst the blob is uploaded once more."""
    for _ in range(25):
        store.leave(b"torn", DIGEST, way=Way.DIRECT, unproven=True)
    good = store.leave(CONTENT, way=Way.DIRECT)
    # More than one question looks at: the finalizer links what its event names, whatever lies beside it.
    assert store.finalize(good) is Outcome.LINKED
    assert store.blobs.find(APP, DIGEST).key == good


@asking
@pytest.mark.parametrize("known", [False, True])
def test_a_blob_that_the_finalizer_links_between_any_two_calls_of_a_request_is_there(
    ask: Callable[[Store], object], known: bool
) -> None:
    """Where the organisation knows the content, the object that was stored goes at once."""
    at = 0
    while True:
        store = Store()
        if known:
            store.push(SIDE, CONTENT)
        key = store.leave(CONTENT, way=Way.DIRECT)
        with store.faults.interrupted(at, partial(store.finalize, key)) as happened:
            assert ask(store)
        if not happened():
            break
        store.check()
        at += 1
    assert at > 5
