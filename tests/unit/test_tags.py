"""Tags and manifests under many writers: the last one wins, and no tag points at nothing."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial

import pytest

from moorage.domain.digests import Digest
from moorage.domain.errors import ManifestUnknown, NameUnknown
from moorage.domain.manifests import OCI_MANIFEST
from moorage.services.manifests import MAX_TAGS_PER_PAGE
from tests.unit.store import APP, CONFIG, SIDE, WHO, Store, image


def images(store: Store, count: int, **more: object) -> list[bytes]:
    config = store.push(APP, CONFIG)
    return [image((config, CONFIG), annotations={"number": str(number)}, **more) for number in range(count)]


def at_once(actions: list[Callable[[], object]]) -> None:
    barrier = threading.Barrier(len(actions))

    def run(action: Callable[[], object]) -> None:
        barrier.wait(20)
        with suppress(ManifestUnknown):
            action()

    threads = [threading.Thread(target=run, args=(action,)) for action in actions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)


def test_of_many_pushes_to_one_tag_one_wins_and_all_manifests_stay() -> None:
    store = Store()
    contents = images(store, 100)
    at_once([partial(store.manifests.push, APP, WHO, content, OCI_MANIFEST, "v1") for content in contents])
    tagged = store.manifests.content(store.manifests.find(APP, "v1"))
    assert tagged in contents
    for content in contents:
        assert store.manifests.content(store.manifests.find(APP, Digest.of(content))) == content
    assert store.manifests.tags(APP, None, 10) == (["v1"], False)
    store.check()


def test_of_many_referrers_none_is_lost() -> None:
    store = Store()
    subject = {"mediaType": OCI_MANIFEST, "digest": str(Digest.of(b"subject")), "size": 7}
    contents = images(store, 60, subject=subject)
    at_once(
        [
            partial(store.manifests.push, APP, WHO, content, OCI_MANIFEST, Digest.of(content))
            for content in contents
        ]
    )
    page = store.referrers.page(APP, Digest.of(b"subject"), None, None)
    assert {item["digest"] for item in page.descriptors} == {str(Digest.of(content)) for content in contents}


def test_pushing_and_deleting_one_manifest_leaves_no_tag_without_it() -> None:
    for _ in range(20):
        store = Store()
        (content,) = images(store, 1)
        digest = Digest.of(content)
        store.manifests.push(APP, WHO, content, OCI_MANIFEST, digest)
        at_once(
            [
                partial(store.manifests.push, APP, WHO, content, OCI_MANIFEST, "v1"),
                partial(store.deletions.manifest, APP, digest),
            ]
        )
        store.check()


def test_pages_have_a_largest_size_whatever_is_asked_for() -> None:
    store = Store()
    (content,) = images(store, 1)
    tags = sorted(f"t{number}" for number in range(MAX_TAGS_PER_PAGE + 1))
    store.manifests.push(APP, WHO, content, OCI_MANIFEST, Digest.of(content), tags)
    for limit in (MAX_TAGS_PER_PAGE, MAX_TAGS_PER_PAGE + 1, 10**12):
        assert store.manifests.tags(APP, None, limit) == (tags[:MAX_TAGS_PER_PAGE], True)
    assert store.manifests.tags(APP, tags[-2], 10**12) == (tags[-1:], False)
    assert store.manifests.tags(APP, None, 0) == ([], True)


def test_an_unknown_repository_has_neither_tags_nor_manifests() -> None:
    store = Store()
    with pytest.raises(NameUnknown):
        store.manifests.tags(SIDE, None, 10)
    for reference in ("v1", Digest.of(b"x")):
        with pytest.raises(ManifestUnknown):
            store.manifests.find(SIDE, reference)
        with pytest.raises(ManifestUnknown):
            store.deletions.manifest(SIDE, reference)


def test_a_manifest_whose_content_was_deleted_since_it_was_found_is_unknown() -> None:
    store = Store()
    config = store.push(APP, CONFIG)
    content = image((config, CONFIG), annotations={"long": "x" * 100_000})
    store.manifests.push(APP, WHO, content, OCI_MANIFEST, "v1")
    record = store.manifests.find(APP, "v1")
    assert record.body_key is not None
    store.storage.delete([record.body_key])
    with pytest.raises(ManifestUnknown):
        store.manifests.content(record)
