"""Manifests: kept byte for byte, and refused when two readers could disagree about them."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage.domain.digests import Digest
from moorage.domain.errors import ManifestInvalid, ManifestTooLarge, RegistryError
from moorage.domain.manifests import (
    DOCKER_LIST,
    DOCKER_MANIFEST,
    MAX_MANIFEST_SIZE,
    MAX_REFERENCES,
    OCI_INDEX,
    OCI_MANIFEST,
    Manifest,
)

CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar+gzip"
BLOB, OTHER = Digest.of(b"blob"), Digest.of(b"other")


def descriptor(digest: Any = BLOB, media_type: str = LAYER_TYPE, **more: Any) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": str(digest), "size": 4, **more}


def image(**changes: Any) -> dict[str, Any]:
    return {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": descriptor(media_type=CONFIG_TYPE),
        "layers": [descriptor(OTHER)],
        **changes,
    }


def index(**changes: Any) -> dict[str, Any]:
    child = descriptor(media_type=OCI_MANIFEST)
    return {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [child], **changes}


def without(document: dict[str, Any], *keys: str) -> dict[str, Any]:
    return {key: value for key, value in document.items() if key not in keys}


def parse(document: Any, content_type: str | None = None) -> Manifest:
    return Manifest.parse(json.dumps(document).encode(), content_type)


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.parametrize("constant", ["NaN", "Infinity", "-Infinity", "1e999", "-1e999"])
def test_what_python_reads_and_json_does_not_have_is_refused(constant: str) -> None:
    content = json.dumps(image()).replace("{", '{"x": ' + constant + ", ", 1).encode()
    with pytest.raises(ManifestInvalid):
        Manifest.parse(content, None)


@given(st.dictionaries(st.text("xyz-ü ", min_size=1, max_size=6), json_values, max_size=4), st.integers(0, 4))
def test_every_byte_is_kept_whatever_else_stands_in_it(unknown: dict[str, Any], indent: int) -> None:
    content = json.dumps(image(**unknown), indent=indent, ensure_ascii=False).encode() + b"\n " * indent
    manifest = Manifest.parse(content, OCI_MANIFEST)
    assert manifest.content == content
    assert [blob.digest for blob in manifest.blobs] == [BLOB, OTHER]


@given(st.binary(max_size=200))
def test_no_bytes_bring_another_error_than_that_of_a_bad_manifest(content: bytes) -> None:
    with pytest.raises(ManifestInvalid):
        Manifest.parse(content, OCI_MANIFEST)


@given(
    st.dictionaries(
        st.sampled_from([*image(), *index(), "subject", "annotations", "artifactType"]), json_values
    )
)
def test_no_json_brings_another_error_than_that_of_a_bad_manifest(document: dict[str, Any]) -> None:
    try:
        manifest = parse({"schemaVersion": 2, **document}, None)
    except ManifestInvalid:
        return
    assert manifest.media_type in (OCI_MANIFEST, OCI_INDEX, DOCKER_MANIFEST, DOCKER_LIST)


@pytest.mark.parametrize(
    ("document", "sent"),
    [
        (index(layers=[]), OCI_INDEX),
        (index(layers=[descriptor()]), OCI_INDEX),
        (index(layers=None), OCI_INDEX),
        (index(config=descriptor()), OCI_INDEX),
        (index(config=None), OCI_INDEX),
        (index(Layers=[descriptor()]), OCI_INDEX),
        (index(LAYERS=[]), OCI_INDEX),
        (index() | {"layer\u017f": []}, OCI_INDEX),
        (index(Config=descriptor()), OCI_INDEX),
        (image(manifests=[]), OCI_MANIFEST),
        (image(manifests=[descriptor()]), OCI_MANIFEST),
        (image(manifests=None), OCI_MANIFEST),
        (image(Manifests=[descriptor()]), OCI_MANIFEST),
        (image() | {"manifest\u017f": [descriptor()]}, OCI_MANIFEST),
        (image(mediaType=OCI_INDEX), OCI_INDEX),
        (index(mediaType=OCI_MANIFEST), OCI_MANIFEST),
        (without(index(layers=[], config=descriptor()), "mediaType"), OCI_MANIFEST),
        (without(index(layers=[], config=descriptor()), "mediaType"), OCI_INDEX),
        (without(index(layers=[], config=descriptor()), "mediaType"), None),
        ({**index(layers=[]), "mediaType": DOCKER_LIST}, DOCKER_LIST),
        ({**image(manifests=[]), "mediaType": DOCKER_MANIFEST}, DOCKER_MANIFEST),
    ],
)
def test_what_is_manifest_to_one_and_index_to_another_is_refused(document: Any, sent: str | None) -> None:
    """CVE-2021-41190."""
    with pytest.raises(ManifestInvalid):
        parse(document, sent)


@pytest.mark.parametrize("stored", [OCI_MANIFEST, OCI_INDEX, DOCKER_MANIFEST, DOCKER_LIST])
@pytest.mark.parametrize("sent", [OCI_MANIFEST, OCI_INDEX, DOCKER_MANIFEST, DOCKER_LIST, "application/json"])
def test_the_type_that_is_sent_and_the_type_inside_agree(stored: str, sent: str) -> None:
    document = index(mediaType=stored) if stored in (OCI_INDEX, DOCKER_LIST) else image(mediaType=stored)
    if stored == sent:
        assert parse(document, sent).media_type == stored
        assert parse(document, f"{sent.upper()} ; charset=utf-8").media_type == stored
        assert parse(document, None).media_type == stored
        assert parse(document, "").media_type == stored
    else:
        with pytest.raises(ManifestInvalid):
            parse(document, sent)


@pytest.mark.parametrize(
    ("document", "sent", "expected"),
    [
        (image(), DOCKER_MANIFEST, DOCKER_MANIFEST),
        (image(), None, OCI_MANIFEST),
        (index(), DOCKER_LIST, DOCKER_LIST),
        (index(), None, OCI_INDEX),
    ],
)
def test_without_a_type_inside_the_sent_one_counts_and_then_the_shape(
    document: Any, sent: str | None, expected: str
) -> None:
    assert parse(without(document, "mediaType"), sent).media_type == expected
    assert parse(document | {"mediaType": ""}, sent).media_type == expected
    assert parse(document | {"mediaType": None}, sent).media_type == expected


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b" ",
        b"{",
        b"[]",
        b"null",
        b"2",
        b'"text"',
        b"<html>",
        b"{}",
        b'{"schemaVersion": 1}',
        b'{"schemaVersion": "2"}',
        b'{"schemaVersion": true}',
        json.dumps(image()).encode()[:-1],
        json.dumps(image()).encode() + b"x",
        json.dumps(image()).encode() + b"\0",
        json.dumps(image()).encode("utf-16"),
        json.dumps(image()).encode("utf-16-le"),
        json.dumps(image()).encode("utf-32"),
        b"\xef\xbb\xbf" + json.dumps(image()).encode(),
        json.dumps(image(comment="é"), ensure_ascii=False).encode("latin-1"),
        json.dumps(image()).encode()[:-1] + b', "x": "\xff"}',
        b"[" * 1_000_000,
        b'{"schemaVersion": 2, "x": ' + b"[" * 200_000 + b"]" * 200_000 + b"}",
        b'{"schemaVersion": 2, "x":' * 100_000,
        b'{"schemaVersion": 2, "x": ' + b"9" * 1_000_000 + b"}",
    ],
    ids=lambda content: f"{len(content)} bytes {content[:24]!r}",
)
def test_it_is_no_manifest_whatever_it_is_sent_as(content: bytes) -> None:
    for sent in (OCI_MANIFEST, OCI_INDEX, None):
        with pytest.raises(ManifestInvalid):
            Manifest.parse(content, sent)


@pytest.mark.parametrize(
    "bad",
    [
        None,
        [],
        "text",
        5,
        {},
        without(descriptor(), "size"),
        without(descriptor(), "digest"),
        without(descriptor(), "mediaType"),
        descriptor(size=4.0),
        descriptor(size=1e300),
        descriptor(size=True),
        descriptor(size="4"),
        descriptor(size=None),
        descriptor(size=-1),
        descriptor(digest=None),
        descriptor(digest=[str(BLOB)]),
        descriptor(digest=str(BLOB).upper()),
        descriptor(digest=str(BLOB)[:-1]),
        descriptor(digest="sha1:" + "0" * 40),
        descriptor(mediaType=None),
        descriptor(mediaType=""),
        descriptor(mediaType=7),
    ],
)
def test_a_bad_descriptor_is_refused_wherever_it_stands(bad: Any) -> None:
    for document in (
        image(config=bad),
        image(layers=[bad]),
        image(layers=[descriptor(), bad]),
        index(manifests=[bad]),
        index(manifests=[descriptor(), bad]),
        *([] if bad is None else [image(subject=bad), index(subject=bad)]),
    ):
        with pytest.raises(ManifestInvalid):
            parse(document)


@pytest.mark.parametrize("escape", [r"\ud800", r"\uDFFF", r"\udc00\ud800", r"x\uDbffx"])
@pytest.mark.parametrize("where", ["artifactType", "unknown"])
def test_half_a_character_is_no_text(escape: str, where: str) -> None:
    content = json.dumps(image(**{where: "HERE"})).replace("HERE", escape).encode()
    with pytest.raises(ManifestInvalid):
        Manifest.parse(content, OCI_MANIFEST)


def test_a_whole_character_may_be_written_as_two_escapes() -> None:
    content = json.dumps(image(annotations={"smile": "HERE"})).replace("HERE", r"\ud83d\ude00").encode()
    manifest = Manifest.parse(content, OCI_MANIFEST)
    assert manifest.annotations == {"smile": "\U0001f600"}
    assert manifest.content == content


def test_nan_and_infinity_are_no_sizes() -> None:
    for number in ("NaN", "Infinity", "-Infinity", "1e999"):
        content = json.dumps(image()).replace('"size": 4', f'"size": {number}').encode()
        with pytest.raises(ManifestInvalid):
            Manifest.parse(content, OCI_MANIFEST)


@pytest.mark.parametrize(
    "changes",
    [
        {"layers": {}},
        {"layers": "x"},
        {"layers": 0},
        {"annotations": []},
        {"annotations": {"a": 1}},
        {"annotations": {"a": None}},
        {"artifactType": 5},
        {"artifactType": ["x"]},
        {"mediaType": 5},
        {"mediaType": [OCI_MANIFEST]},
        {"mediaType": "application/vnd.oci.image.layer.v1.tar"},
        {"mediaType": OCI_MANIFEST.upper()},
    ],
)
def test_fields_of_the_wrong_kind_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ManifestInvalid):
        parse(image(**changes))


def test_an_image_needs_a_config_and_no_layers() -> None:
    with pytest.raises(ManifestInvalid):
        parse(without(image(), "config"))
    assert [blob.digest for blob in parse(without(image(), "layers")).blobs] == [BLOB]
    assert parse(image(layers=[])).blobs == parse(image(layers=None)).blobs
    assert (
        parse(index(manifests=[])).manifests
        == parse(without(index(), "manifests"), OCI_INDEX).manifests
        == ()
    )


def test_of_a_repeated_key_the_last_counts_as_it_does_for_clients() -> None:
    content = (
        json.dumps(image()).encode()[:-1] + b', "config": ' + json.dumps(descriptor(OTHER)).encode() + b"}"
    )
    manifest = Manifest.parse(content, OCI_MANIFEST)
    assert manifest.blobs[0].digest == OTHER
    assert manifest.content == content
    confused = json.dumps(image()).encode()[:-1] + b', "mediaType": "%s"}' % OCI_INDEX.encode()
    for sent in (OCI_MANIFEST, OCI_INDEX):
        with pytest.raises(ManifestInvalid):
            Manifest.parse(confused, sent)


def test_what_is_called_manifest_in_an_inner_object_does_not_matter() -> None:
    assert parse(image(annotations={"manifests": "x"})).annotations == {"manifests": "x"}
    assert parse(index(annotations={"layers": "x"}, x={"config": 1})).media_type == OCI_INDEX


def test_the_largest_manifest_is_taken_and_one_byte_more_is_not() -> None:
    content = json.dumps(image()).encode()
    content += b" " * (MAX_MANIFEST_SIZE - len(content))
    assert Manifest.parse(content, OCI_MANIFEST).content == content
    with pytest.raises(ManifestTooLarge):
        Manifest.parse(content + b" ", OCI_MANIFEST)


def test_as_many_references_as_allowed_and_not_one_more() -> None:
    most = [descriptor(Digest.of(str(number).encode())) for number in range(MAX_REFERENCES)]
    assert len(parse(image(layers=most)).blobs) == MAX_REFERENCES + 1
    assert len(parse(index(manifests=most)).manifests) == MAX_REFERENCES
    for document in (image(layers=[*most, descriptor()]), index(manifests=[*most, descriptor()])):
        with pytest.raises(ManifestInvalid):
            parse(document)


@pytest.mark.parametrize(
    ("document", "artifact_type"),
    [
        (image(), CONFIG_TYPE),
        (image(artifactType="application/x"), "application/x"),
        (image(artifactType=""), CONFIG_TYPE),
        (image(artifactType=None), CONFIG_TYPE),
        (
            image(config=descriptor(media_type="application/vnd.oci.empty.v1+json")),
            "application/vnd.oci.empty.v1+json",
        ),
        (index(), None),
        (index(artifactType="application/x"), "application/x"),
        (index(artifactType=""), None),
    ],
)
def test_the_artifact_type_is_declared_or_that_of_the_config(
    document: Any, artifact_type: str | None
) -> None:
    manifest = parse(document)
    assert manifest.artifact_type == artifact_type
    described = manifest.descriptor(BLOB)
    assert described.get("artifactType") == artifact_type
    assert ("artifactType" in described) == (artifact_type is not None)


def test_a_referrer_is_described_with_all_its_annotations() -> None:
    subject = Digest.of(b"subject")
    annotations = {f"a{number}": "ü" * number for number in range(20)}
    manifest = parse(image(subject=descriptor(subject), annotations=annotations, artifactType="a/b"))
    assert manifest.subject == subject
    assert manifest.descriptor(OTHER) == {
        "mediaType": OCI_MANIFEST,
        "digest": str(OTHER),
        "size": len(manifest.content),
        "artifactType": "a/b",
        "annotations": annotations,
    }


def test_only_layers_that_are_not_distributable_may_be_absent() -> None:
    types = {
        "application/vnd.oci.image.layer.nondistributable.v1.tar": True,
        "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip": True,
        "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip": True,
        LAYER_TYPE: False,
        "application/vnd.docker.image.rootfs.diff.tar.gzip": False,
    }
    manifest = parse(image(layers=[descriptor(media_type=name) for name in types]))
    assert [blob.optional for blob in manifest.blobs[1:]] == list(types.values())


@given(st.text(min_size=1, max_size=20))
def test_a_media_type_of_any_length_makes_a_short_message(text: str) -> None:
    for document, sent in ((image(mediaType="é" * 100_000 + text), None), (image(), "x" * 100_000)):
        with pytest.raises(RegistryError) as caught:
            parse(document, sent)
        assert len(caught.value.message) < 500


@pytest.mark.parametrize("length", [255, 256])
@pytest.mark.parametrize("where", ["artifactType", "config", "layers"])
def test_media_type_has_at_most_as_many_characters_as_one_can_have(length: int, where: str) -> None:
    long = "application/".ljust(length, "x")
    changes = {
        "artifactType": long,
        "config": descriptor(media_type=long),
        "layers": [descriptor(media_type=long)],
    }
    content = json.dumps(image(**{where: changes[where]})).encode()
    if length == 255:
        assert Manifest.parse(content, OCI_MANIFEST).content == content
    else:
        with pytest.raises(ManifestInvalid):
            Manifest.parse(content, OCI_MANIFEST)
