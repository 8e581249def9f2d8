"""Whatever call to a dependency fails, nothing half done is seen, and doing it again succeeds."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import pytest

from moorage.domain.blobs import Way
from moorage.domain.digests import Algorithm, Digest
from moorage.domain.errors import (
    BlobUnknown,
    BlobUploadUnknown,
    ChunkOutOfOrder,
    ManifestUnknown,
    Throttled,
    Unavailable,
)
from moorage.domain.manifests import OCI_MANIFEST
from moorage.domain.ranges import ChunkRange
from moorage.domain.sessions import UploadSession
from tests.unit.store import APP, CONFIG, SIDE, WHO, Store, image

CONTENT = b"layer" * 1000
PART = 5 * 1024**2
DIGEST, LONG = Digest.of(CONTENT), Digest.of(CONTENT, Algorithm.SHA512)


@dataclass
class Operation:
    """Something that a client does: ``prepare`` makes what it needs, ``run`` does it (any number of times)."""

    prepare: Callable[[Store], Any]
    run: Callable[[Store, Any], object]
    done: Callable[[Store, Any], bool]
    already: tuple[type[Exception], ...] = ()
    """How the repetition of one that had been done may end, besides succeeding again."""


def nothing(_: Store) -> None:
    return None


def pushed(store: Store) -> tuple[Digest, bytes]:
    config, layer = store.push(APP, CONFIG), store.push(APP, CONTENT)
    content = image((config, CONFIG), (layer, CONTENT))
    store.manifests.push(APP, WHO, content, OCI_MANIFEST, "v1", ["v2"])
    return Digest.of(content), content


def put_whole(digest: Digest) -> Operation:
    return Operation(
        nothing,
        lambda store, _: store.uploads.put_whole(APP, WHO, digest, CONTENT),
        lambda store, _: store.content(APP, digest) == CONTENT,
    )


def finish(
    digest: Digest, *chunks: bytes, last: bytes = b"", before: Callable[[Store], Any] = nothing
) -> Operation:
    def prepare(store: Store) -> Any:
        before(store)
        return store.session(APP, *chunks).id

    offset = sum(map(len, chunks))
    content_range = ChunkRange(offset, offset + len(last) - 1) if last else None
    return Operation(
        prepare,
        lambda store, session: store.uploads.finish(APP, WHO, session, digest, last, content_range),
        lambda store, _: store.content(APP, digest) == CONTENT,
    )


def append(store: Store, session: str) -> object:
    """As a client does it that asks where the upload stands when it has lost an answer."""
    return store.uploads.append(
        store.uploads.find(APP, WHO, session), CONTENT, ChunkRange(0, len(CONTENT) - 1)
    )


def push_manifest(reference: Callable[[bytes], Digest | str], **more: Any) -> Operation:
    def prepare(store: Store) -> bytes:
        config, layer = store.push(APP, CONFIG), store.push(APP, CONTENT)
        return image((config, CONFIG), (layer, CONTENT), **more)

    def done(store: Store, content: bytes) -> bool:
        digest = Digest.of(content)
        subject = more.get("subject")
        listed = subject is None or len(
            store.referrers.page(APP, Digest.parse(subject["digest"]), None, None).descriptors
        )
        return (
            all(store.table.find_tag(APP, tag) == digest for tag in ("v1", "v2"))
            and store.manifests.content(store.manifests.find(APP, digest)) == content
            and bool(listed)
        )

    return Operation(
        prepare,
        lambda store, content: store.manifests.push(
            APP, WHO, content, OCI_MANIFEST, reference(content), ["v1", "v2"]
        ),
        done,
    )


def in_parts(store: Store) -> UploadSession:
    session = store.presigned.begin(APP, WHO, DIGEST, len(CONTENT), PART).session
    ((key, upload_id),) = store.storage._uploads
    store.storage.put_part(key, upload_id, 1, CONTENT)
    return session


OPERATIONS = {
    "a blob in one request": put_whole(DIGEST),
    "a blob in one request, by sha512": put_whole(LONG),
    "a blob in one closing PUT": finish(DIGEST, last=CONTENT),
    "a blob in one stream": finish(DIGEST, CONTENT),
    "a blob in chunks": finish(DIGEST, CONTENT[:1000], CONTENT[1000:2000], last=CONTENT[2000:]),
    "a blob in chunks, by sha512": finish(LONG, CONTENT[:1000], last=CONTENT[1000:]),
    "a blob that the organisation has": finish(
        DIGEST, CONTENT[:1000], last=CONTENT[1000:], before=lambda store: store.push(SIDE, CONTENT)
    ),
    "a blob that the repository has": finish(DIGEST, CONTENT, before=lambda store: store.push(APP, CONTENT)),
    "a chunk": Operation(
        lambda store: store.session().id,
        append,
        lambda store, session: store.uploads.find(APP, WHO, session).offset == len(CONTENT),
        (ChunkOutOfOrder,),
    ),
    "a mount": Operation(
        lambda store: store.push(SIDE, CONTENT),
        lambda store, digest: store.blobs.mount(APP, WHO, digest, SIDE),
        lambda store, digest: store.content(APP, digest) == CONTENT,
    ),
    "a mount from anywhere": Operation(
        lambda store: store.push(SIDE, CONTENT),
        lambda store, digest: store.blobs.mount(APP, WHO, digest, None),
        lambda store, digest: store.content(APP, digest) == CONTENT,
    ),
    "settling": Operation(
        lambda store: store.leave(CONTENT),
        lambda store, _: store.blobs.find(APP, DIGEST),
        lambda store, _: store.content(APP, DIGEST) == CONTENT,
    ),
    "settling what has no checksum": Operation(
        lambda store: store.leave(CONTENT, unproven=True),
        lambda store, _: store.blobs.find(APP, DIGEST),
        lambda store, _: store.content(APP, DIGEST) == CONTENT,
    ),
    "settling a direct upload": Operation(
        lambda store: store.leave(CONTENT, way=Way.DIRECT),
        lambda store, _: store.blobs.find(APP, DIGEST),
        lambda store, _: store.content(APP, DIGEST) == CONTENT,
    ),
    "settling what the organisation has": Operation(
        lambda store: (store.push(SIDE, CONTENT), store.leave(CONTENT, way=Way.DIRECT)),
        lambda store, _: store.blobs.find(APP, DIGEST),
        lambda store, _: store.content(APP, DIGEST) == CONTENT,
    ),
    "beginning a presigned upload": Operation(
        nothing,
        lambda store, _: store.presigned.begin(APP, WHO, DIGEST, len(CONTENT), PART),
        lambda store, _: any(session.announced for session in store.table._sessions.values()),
    ),
    "completing one PUT": Operation(
        lambda store: store.session_of(store.leave(CONTENT, way=Way.PRESIGNED)),
        lambda store, session: store.presigned.complete(APP, WHO, session.id),
        lambda store, _: store.content(APP, DIGEST) == CONTENT,
    ),
    "completing parts": Operation(
        in_parts,
        lambda store, session: store.presigned.complete(APP, WHO, session.id),
        lambda store, _: store.content(APP, DIGEST) == CONTENT and not store.storage._uploads,
    ),
    "aborting an upload in parts": Operation(
        in_parts,
        lambda store, session: store.presigned.abort(APP, WHO, session.id),
        lambda store, session: store.session_of(session.id) is None,
        (BlobUploadUnknown,),
    ),
    "settling for a manifest": Operation(
        lambda store: (store.leave(CONFIG), store.leave(CONTENT)),
        lambda store, _: store.manifests.push(
            APP, WHO, image((Digest.of(CONFIG), CONFIG), (DIGEST, CONTENT)), OCI_MANIFEST, "v1"
        ),
        lambda store, _: store.table.find_tag(APP, "v1") is not None,
    ),
    "deleting a blob": Operation(
        lambda store: store.push(APP, CONTENT),
        lambda store, digest: store.deletions.blob(APP, digest),
        lambda store, digest: not store.holds(APP, digest),
        (BlobUnknown,),
    ),
    "a manifest by tag": push_manifest(lambda _: "v1"),
    "a manifest by digest": push_manifest(Digest.of),
    "a large manifest": push_manifest(Digest.of, annotations={"long": "x" * 100_000}),
    "a manifest with a subject": push_manifest(
        Digest.of,
        subject={"mediaType": OCI_MANIFEST, "digest": str(Digest.of(b"absent")), "size": 6},
        artifactType="application/vnd.example",
    ),
    "deleting a tag": Operation(
        pushed,
        lambda store, _: store.deletions.manifest(APP, "v1"),
        lambda store, made: (
            store.table.find_tag(APP, "v1") is None and store.table.find_tag(APP, "v2") == made[0]
        ),
        (ManifestUnknown,),
    ),
    "deleting a manifest": Operation(
        pushed,
        lambda store, made: store.deletions.manifest(APP, made[0]),
        lambda store, made: (
            store.table.find_manifest(APP, made[0]) is None and not store.table.tags_after(APP, None, 9)
        ),
        (ManifestUnknown,),
    ),
}


@pytest.mark.parametrize("error", [Unavailable, Throttled])
@pytest.mark.parametrize("lost", [False, True], ids=["before the call", "after the call"])
@pytest.mark.parametrize("operation", OPERATIONS.values(), ids=list(OPERATIONS))
def test_an_operation_that_dies_at_any_call_is_done_again_with_success(
    operation: Operation, lost: bool, error: type[Unavailable]
) -> None:
    failures = 0
    while True:
        store = Store()
        prepared = operation.prepare(store)
        with store.faults.failing(at=failures, lost=lost, error=lambda: error("down")):
            try:
                operation.run(store, prepared)
            except error:
                pass
            else:
                break
        store.check()
        with suppress(*operation.already):
            operation.run(store, prepared)
        store.check()
        assert operation.done(store, prepared), store.faults.calls
        failures += 1
    assert operation.done(store, prepared)
    assert failures > 0
    store.check()


@pytest.mark.parametrize("operation", OPERATIONS.values(), ids=list(OPERATIONS))
def test_an_operation_that_dies_again_and_again_comes_to_an_end(operation: Operation) -> None:
    """Each attempt dies one call later than the one before, on top of what those have left."""
    store = Store()
    prepared = operation.prepare(store)
    for attempt in range(200):
        with (
            store.faults.failing(at=attempt, lost=attempt % 2 == 1),
            suppress(Unavailable, *operation.already),
        ):
            operation.run(store, prepared)
            break
        store.check()
        if operation.already and operation.done(store, prepared):
            break
    store.check()
    assert operation.done(store, prepared)


def test_what_two_failed_pushes_have_left_is_one_blob() -> None:
    store = Store()
    for _ in range(2):
        with store.faults.failing(named="put_link"), pytest.raises(Unavailable):
            store.push(APP, CONTENT)
    assert not store.holds(APP, DIGEST)
    assert store.blobs.find(APP, DIGEST).size == len(CONTENT)
    store.check()


@pytest.mark.parametrize(
    "named", ["find_link", "find_links", "find_object", "list_keys", "head", "find_session"]
)
def test_a_dependency_that_is_down_is_never_taken_for_an_absent_blob(named: str) -> None:
    store = Store()
    store.leave(CONTENT)
    content = image((DIGEST, CONTENT))
    with store.faults.failing(named=named):
        if named != "find_links":
            with pytest.raises(Unavailable):
                store.blobs.find(APP, DIGEST)
        if named != "find_link":
            with pytest.raises(Unavailable):
                store.manifests.push(APP, WHO, content, OCI_MANIFEST, "v1")
    assert store.table.find_tag(APP, "v1") is None
