"""The order of writes holds against a collector: what is linked is never taken away.

The collector is the one of the design: condemn an object, then look for references to it, strongly; with any it
is live again, without it is deleted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from moorage.domain.blobs import ObjectState, Way
from moorage.domain.digests import Algorithm, Digest
from moorage.domain.errors import RegistryError
from tests.unit.store import APP, CONTENT, SIDE, WHO, Store, live

Push = Callable[[Store], object]


def collector(store: Store) -> Iterator[None]:
    """One run over all objects, in two steps."""
    keys = list(store.table._objects)
    for key in keys:
        live(store, key, ObjectState.CONDEMNED)
    yield
    for key in keys:
        if store.table.references(key, 1):
            live(store, key, ObjectState.LIVE)
        else:
            store.storage.delete([key])
    yield


def pushed_while_collected(prepare: Push, push: Push, first: int, second: int) -> tuple[Store, bool]:
    """A push before whose calls ``first`` and ``second`` the collector makes its two steps."""
    store = Store()
    prepare(store)
    run, call, made = collector(store), store.faults.call, list[str]()

    def interrupt(name, method, *arguments, **named):
        for at in (first, second):
            if len(made) == at:
                next(run, None)
        made.append(name)
        return call(name, method, *arguments, **named)

    store.faults.call = interrupt  # type: ignore[method-assign]
    try:
        push(store)
    finally:
        store.faults.call = call  # type: ignore[method-assign]
    happened = len(made) > second
    for _ in run:
        pass
    return store, happened


def known_and_unlinked(store: Store) -> None:
    store.push(SIDE, CONTENT)
    store.deletions.blob(SIDE, Digest.of(CONTENT))


def known_and_linked(store: Store) -> None:
    store.push(SIDE, CONTENT)


def mount(store: Store) -> object:
    return store.blobs.mount(APP, WHO, Digest.of(CONTENT), SIDE)


def upload(store: Store) -> object:
    return store.push(APP, CONTENT)


def upload_in_chunks(store: Store) -> object:
    session = store.session(APP, CONTENT[:3])
    return store.uploads.finish(APP, WHO, session.id, Digest.of(CONTENT), CONTENT[3:], None)


def settle_direct(store: Store) -> object:
    store.leave(CONTENT, way=Way.DIRECT)
    return store.blobs.find(APP, Digest.of(CONTENT))


def finalize(store: Store) -> object:
    key = store.leave(CONTENT, way=Way.PRESIGNED, unproven=True)
    return store.finalize(key)


@pytest.mark.parametrize("prepare", [known_and_unlinked, known_and_linked])
@pytest.mark.parametrize("push", [upload, upload_in_chunks, mount, settle_direct, finalize])
def test_whenever_the_collector_makes_its_steps_what_is_linked_is_there(prepare: Push, push: Push) -> None:
    first, pairs = 0, 0
    while True:
        second, happened = first, True
        while happened:
            store, happened = pushed_while_collected(prepare, push, first, second)
            if push is not mount:
                assert store.content(APP, Digest.of(CONTENT)) == CONTENT
            store.check()
            second += 1
            pairs += 1
        if second == first + 1:
            break
        first += 1
    assert pairs > 10


@pytest.mark.parametrize("algorithm", Algorithm)
def test_a_link_is_written_after_its_reference_and_after_the_object_was_read(algorithm: Algorithm) -> None:
    store = Store()
    store.push(APP, CONTENT, algorithm)
    calls = store.faults.calls
    # The object is read before, too; what counts is the last time.
    last = {name: len(calls) - 1 - calls[::-1].index(name) for name in calls}
    order = [last[name] for name in ("put_once", "add_object", "add_reference", "find_object", "put_link")]
    assert order == sorted(order)


def test_a_condemned_object_that_is_referenced_again_can_be_linked_again() -> None:
    store = Store()
    known_and_linked(store)
    run = collector(store)
    next(run)
    assert mount(store) is None
    next(run)
    assert mount(store) is not None
    with pytest.raises(RegistryError):
        store.blobs.find(APP, Digest.of(b"another"))
    store.check()
