"""What pushes record of images, and what is read when one is shown."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from moorage.domain.digests import Digest
from moorage.domain.errors import NameUnknown, ResourceProtected, TagImmutable
from moorage.domain.images import MAX_SIZE, ImageRecord
from moorage.domain.manifests import OCI_INDEX, OCI_MANIFEST
from moorage.domain.resources import Kind
from moorage.services.image_content import CONFIG_MAX, ImageContents
from tests.unit.store import APP, SIDE, WHO, Store, image

OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
CONFIG = json.dumps({"os": "linux", "architecture": "arm64", "variant": "v8", "rootfs": {}}).encode()
LAYER = b"layer" * 100


@pytest.fixture
def store():
    return Store()


@pytest.fixture
def contents(store):
    return ImageContents(store.table, store.table, store.stores)


def described(content: bytes, media_type: str, **more: Any) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": str(Digest.of(content)), "size": len(content), **more}


def push(
    store: Store, config: bytes = CONFIG, *layers: bytes, tag: str = "v1", media_type: str = OCI_CONFIG
) -> bytes:
    """Push an image, and whatever it names."""
    for blob in (config, *layers):
        store.push(APP, blob)
    document = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": described(config, media_type),
        "layers": [described(layer, "application/vnd.oci.image.layer.v1.tar") for layer in layers],
    }
    content = json.dumps(document).encode()
    store.manifests.push(APP, WHO, content, OCI_MANIFEST, tag)
    return content


def index(store: Store, *manifests: bytes, tag: str = "v1") -> bytes:
    entries = [
        described(each, OCI_MANIFEST, platform={"os": "linux", "architecture": f"a{number}"})
        for number, each in enumerate(manifests)
    ]
    content = json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries}).encode()
    store.manifests.push(APP, WHO, content, OCI_INDEX, tag)
    return content


def record(store: Store, tag: str = "v1") -> ImageRecord:
    found = store.table.find_image(APP, tag)
    assert found is not None
    return found


# ------------------------------------------------------------------ what is recorded
def test_push_records_who_when_and_of_what_size(store):
    content = push(store, CONFIG, LAYER, LAYER, b"other")
    found = record(store)
    # The layer that is named twice is there once.
    assert found.size == len(content) + len(CONFIG) + len(LAYER) + len(b"other")
    assert (found.media_type, found.pushed_by, found.pushed) == (OCI_MANIFEST, WHO, store.clock())
    assert found.platforms is None


def test_size_is_what_is_stored_and_not_what_the_client_claims(store):
    blob = store.push(APP, LAYER)
    lie = {"mediaType": OCI_CONFIG, "digest": str(blob), "size": 10**30}
    content = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": lie,
            "layers": [
                {
                    "mediaType": "application/vnd.oci.image.layer.nondistributable.v1.tar",
                    "digest": str(Digest.of(b"elsewhere")),
                    "size": 10**30,
                }
            ],
        }
    ).encode()
    store.manifests.push(APP, WHO, content, OCI_MANIFEST, "v1")
    assert record(store).size == len(content) + len(LAYER)


def test_index_has_the_sizes_and_platforms_of_its_manifests(store):
    one, two = push(store, CONFIG, LAYER, tag="one"), push(store, b"{}", LAYER, tag="two")
    content = index(store, one, two)
    found = record(store)
    assert found.size == len(content) + record(store, "one").size + record(store, "two").size
    assert (found.media_type, found.platforms) == (OCI_INDEX, ("linux/a0", "linux/a1"))
    outer = index(store, content, tag="outer")
    assert record(store, "outer").size == len(outer) + found.size


def test_index_of_layers_has_their_sizes(store):
    store.push(APP, LAYER)
    content = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": OCI_INDEX,
            "manifests": [described(LAYER, "application/vnd.oci.image.layer.v1.tar")],
        }
    ).encode()
    store.manifests.push(APP, WHO, content, OCI_INDEX, "cache")
    assert record(store, "cache").size == len(content) + len(LAYER)
    assert record(store, "cache").platforms == ()


def test_size_has_a_bound(store, monkeypatch):
    one = push(store, CONFIG, tag="one")
    digest = Digest.of(one)
    standing = store.table._manifests[APP, digest]
    monkeypatch.setitem(
        store.table._manifests, (APP, digest), type(standing)(**{**_fields(standing), "total_size": MAX_SIZE})
    )
    index(store, one)
    assert record(store).size == MAX_SIZE


def _fields(standing: Any) -> dict[str, Any]:
    return {name: getattr(standing, name) for name in standing.__dataclass_fields__}


def test_tag_that_moves_is_known_as_pushed_by_the_mover(store):
    push(store)
    before = record(store)
    store.clock.advance(timedelta(hours=1))
    content = json.loads(push(store, tag="v1"))
    assert record(store) == before
    content["annotations"] = {"a": "b"}
    ada = "/org/demo/user/ada@example.com"
    store.manifests.push(APP, ada, json.dumps(content).encode(), OCI_MANIFEST, "v2", ["v1"])
    after = record(store)
    assert (after.id, after.created, after.version) == (before.id, before.created, 2)
    assert (after.pushed_by, after.pushed) == (ada, store.clock())
    assert record(store, "v2").pushed_by == ada


# ------------------------------------------------------------------ what must stay
def rule(store: Store, repository: str, *tags: str) -> None:
    """Let tags of the organisation be immutable."""
    organisation = store.table.find(Kind.ORG, "demo", "demo")
    assert organisation is not None
    spec = {**organisation.spec, "immutableTags": [{"repository": repository, "tags": list(tags)}]}
    fields = {name: getattr(organisation, name) for name in organisation.__dataclass_fields__}
    after = type(organisation)(**{**fields, "spec": spec, "version": organisation.version + 1})
    store.table.replace(organisation, after)


def other(content: bytes, number: int = 1) -> bytes:
    return json.dumps({**json.loads(content), "annotations": {"n": str(number)}}).encode()


def test_immutable_tag_moves_by_no_way_and_says_so(store):
    content = push(store, tag="v1")
    push(store, tag="latest")
    rule(store, "a*", "v*")
    before = record(store)
    moved = other(content)
    for reference, tags in [
        ("v1", []),
        ("latest", ["v1"]),
        ("new", ["v1"]),
        (Digest.of(moved), ["v9", "v1"]),
    ]:
        with pytest.raises(
            TagImmutable, match=r"the tag v1 is immutable .* push under another tag, or delete"
        ):
            store.manifests.push(APP, WHO, moved, OCI_MANIFEST, reference, tags)
        assert record(store) == before
        # Nor has any other tag of that push moved.
        assert record(store, "latest").version == 1
        assert store.table.find_tag(APP, "new") is store.table.find_tag(APP, "v9") is None


def test_immutable_tag_is_pushed_once_and_again_as_it_is(store):
    rule(store, "app", "v1")
    content = push(store)
    store.manifests.push(APP, WHO, content, OCI_MANIFEST, "v1", ["latest"])
    assert record(store).version == 1
    moved = other(content)
    store.manifests.push(APP, WHO, moved, OCI_MANIFEST, "latest", ["v2"])
    with pytest.raises(TagImmutable):
        store.manifests.push(APP, WHO, moved, OCI_MANIFEST, "v1")


def test_immutable_tag_may_be_deleted_and_then_pushed_anew(store):
    rule(store, "*", "*")
    content = push(store)
    store.deletions.manifest(APP, "v1")
    store.manifests.push(APP, WHO, other(content), OCI_MANIFEST, "v1")
    assert record(store).version == 1


def test_rules_are_those_of_the_repository(store):
    content = push(store)
    rule(store, "side", "v1")
    store.manifests.push(APP, WHO, other(content), OCI_MANIFEST, "v1")
    rule(store, "app", "V1", "1")
    store.manifests.push(APP, WHO, content, OCI_MANIFEST, "v1")
    assert record(store).version == 3
    assert store.table.find_image(SIDE, "v1") is None


def test_tag_does_not_move_when_its_organisation_is_gone(store, monkeypatch):
    content = push(store)
    monkeypatch.setattr(type(store.table), "find", lambda *_: None)
    with pytest.raises(NameUnknown):
        store.manifests.push(APP, WHO, other(content), OCI_MANIFEST, "v1")
    assert record(store).version == 1


def test_organisation_is_read_once_and_only_for_tags_that_would_move(store, monkeypatch):
    reads: list[tuple[str, ...]] = []
    find = store.table.find

    def noting(kind: Kind, org: str, name: str) -> Any:
        reads.append((kind, org, name))
        return find(kind, org, name)

    store.push(APP, CONFIG)
    monkeypatch.setattr(store.table, "find", noting)
    content = image((Digest.of(CONFIG), CONFIG))
    store.manifests.push(APP, WHO, content, OCI_MANIFEST, "v1", ["v2", "v3"])
    reads.clear()
    store.manifests.push(APP, WHO, content, OCI_MANIFEST, "v1", ["v2", "new"])
    assert reads == []
    store.manifests.push(APP, WHO, other(content), OCI_MANIFEST, "v1", ["v2", "v3", "newer"])
    assert reads == [(Kind.ORG, "demo", "demo")]


def test_protected_image_is_deleted_neither_by_tag_nor_by_digest(store):
    content = push(store)
    store.manifests.push(APP, WHO, content, OCI_MANIFEST, "v2")
    store.table.replace_metadata(record(store), {"moorage/protected": True}, store.clock())
    for reference in ("v1", Digest.of(content)):
        with pytest.raises(ResourceProtected):
            store.deletions.manifest(APP, reference)
    assert record(store, "v2").digest == record(store).digest
    store.deletions.manifest(APP, "v2")
    store.table.replace_metadata(record(store), {}, store.clock())
    store.deletions.manifest(APP, Digest.of(content))
    assert store.table.find_image(APP, "v1") is None


# ------------------------------------------------------------------ what is shown
def test_image_is_shown_with_its_manifest_and_the_platform_of_its_config(store, contents):
    content = push(store)
    shown = contents.read(record(store))
    assert shown.manifest == json.loads(content)
    assert shown.platforms == ("linux/arm64/v8",)


def test_index_is_shown_with_the_platforms_that_it_lists(store, contents):
    listed = index(store, push(store, tag="one"), push(store, b"{}", tag="two"))
    shown = contents.read(record(store))
    assert (shown.manifest, shown.platforms) == (json.loads(listed), ("linux/a0", "linux/a1"))


@pytest.mark.parametrize(
    "config",
    [b"", b"{}", b"[]", b"\xff", b'{"os": 1}', b'{"os": "linux"}', CONFIG + b" " * CONFIG_MAX],
    ids=["empty", "no platform", "a list", "no text", "wrong type", "half", "too large"],
)
def test_config_that_tells_no_platform_leaves_it_open(store, contents, config):
    push(store, config)
    assert contents.read(record(store)).platforms == ()


def test_config_of_the_largest_size_is_read(store, contents):
    push(store, CONFIG + b" " * (CONFIG_MAX - len(CONFIG)))
    assert contents.read(record(store)).platforms == ("linux/arm64/v8",)


def test_config_of_something_that_is_no_image_is_not_read(store, contents, monkeypatch):
    push(store, CONFIG, media_type="application/vnd.example.config+json")
    monkeypatch.setattr(store.table, "find_link", lambda *_: pytest.fail("nobody has to look for it"))
    assert contents.read(record(store)).platforms == ()


def test_config_that_is_gone_leaves_the_platform_open(store, contents):
    push(store)
    store.table.remove_link(APP, Digest.of(CONFIG))
    assert contents.read(record(store)).platforms == ()


def test_image_that_was_deleted_meanwhile_shows_nothing(store, contents):
    content = push(store)
    found = record(store)
    store.deletions.manifest(APP, Digest.of(content))
    assert contents.read(found) is None
