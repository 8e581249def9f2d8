"""Platforms as indexes and configs tell of them."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage.domain.manifests import DOCKER_LIST, OCI_INDEX, OCI_MANIFEST, Manifest
from moorage.domain.platforms import MAX_PLATFORMS, distinct_platforms, platform_in_config, platform_of

DIGEST = "sha256:" + "0" * 64


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ({"os": "linux", "architecture": "amd64"}, "linux/amd64"),
        ({"os": "linux", "architecture": "arm64", "variant": "v8"}, "linux/arm64/v8"),
        ({"os": "linux", "architecture": "arm64", "variant": ""}, "linux/arm64"),
        ({"os": "windows", "architecture": "amd64", "os.version": "10.0.17763.1"}, "windows/amd64"),
        ({"os": "linux", "architecture": "amd64", "rootfs": {}, "config": {"Env": []}}, "linux/amd64"),
        ({"os": "unknown", "architecture": "unknown"}, None),
        ({"os": "linux", "architecture": "unknown"}, None),
        ({"os": "linux"}, None),
        ({"architecture": "amd64"}, None),
        ({"os": "", "architecture": "amd64"}, None),
        ({"os": "linux", "architecture": "amd64", "variant": 8}, None),
        ({"os": ["linux"], "architecture": "amd64"}, None),
        ({"os": "li/nux", "architecture": "amd64"}, None),
        ({"os": "linux\n", "architecture": "amd64"}, None),
        ({"os": "l" * 33, "architecture": "amd64"}, None),
        ({"os": "\N{LATIN SMALL LETTER LONG S}", "architecture": "amd64"}, None),
        ([], None),
        ("linux/amd64", None),
        (None, None),
        (7, None),
    ],
)
def test_platform_is_what_is_well_formed_and_nothing_else(document, expected):
    assert platform_of(document) == expected
    assert platform_in_config(json.dumps(document).encode()) == expected


@given(st.binary(max_size=300))
def test_config_of_any_content_tells_a_platform_or_none(content):
    assert platform_in_config(content) is None


def test_config_that_is_nested_too_deeply_tells_none():
    assert platform_in_config(b"[" * 100_000) is None


def test_platforms_are_each_once_in_order_and_not_without_bound():
    linux, windows = {"os": "linux", "architecture": "amd64"}, {"os": "windows", "architecture": "amd64"}
    assert distinct_platforms([windows, None, linux, windows, {"os": 1}]) == ("windows/amd64", "linux/amd64")
    many = [{"os": "linux", "architecture": f"a{number}"} for number in range(2000)]
    assert len(distinct_platforms(many)) == MAX_PLATFORMS


def entry(platform) -> dict[str, object]:
    made = {"mediaType": OCI_MANIFEST, "digest": DIGEST, "size": 1}
    return made if platform is None else {**made, "platform": platform}


@pytest.mark.parametrize("media_type", [OCI_INDEX, DOCKER_LIST])
def test_index_tells_its_platforms_and_no_malformed_one_keeps_it_out(media_type):
    listed = [{"os": "linux", "architecture": "amd64"}, None, 7, {"os": "unknown", "architecture": "unknown"}]
    document = {
        "schemaVersion": 2,
        "mediaType": media_type,
        "manifests": [entry(platform) for platform in listed],
    }
    assert Manifest.parse(json.dumps(document).encode(), media_type).platforms == ("linux/amd64",)
    bare = {"schemaVersion": 2, "mediaType": media_type}
    assert Manifest.parse(json.dumps(bare).encode(), media_type).platforms == ()


def test_image_leaves_its_platform_to_its_config():
    config = {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": DIGEST, "size": 1}
    document = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": config}
    assert Manifest.parse(json.dumps(document).encode(), OCI_MANIFEST).platforms is None
