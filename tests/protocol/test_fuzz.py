"""Requests of every shape: whatever comes, the answer is one of the protocol, and never a fault of ours."""

from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.protocol.sample import (
    BLOB,
    CODES,
    DIGEST,
    IMAGE,
    IMAGE_DIGEST,
    IMAGE_LONG,
    INDEX,
    LONG,
    NAME,
    fill,
    image,
    push_manifest,
    session,
    subject_of,
)
from tests.protocol.world import HOST, registry_in_memory


class Target:
    """A filled registry, and the pieces that requests to it are made of."""

    def __init__(self):
        with registry_in_memory() as world:
            self.world = world
        self.headers = world.all_of("demo/admin", NAME, "demo/side")
        fill(world, self.headers)
        push_manifest(world, self.headers, image(**subject_of(IMAGE)), "signature")
        self.session = session(world, self.headers, BLOB[:100]).rpartition("/")[2]


TARGET = Target()
WORDS = [
    "v2", "demo", "app", "side", "other", "blobs", "uploads", "manifests", "tags", "list", "referrers", "v1", "v2",
    DIGEST, LONG, IMAGE_DIGEST, IMAGE_LONG, TARGET.session, "..", ".", "", "_direct", "%2f", "%00", "%ff", "%", "*",
]  # fmt: skip
segments = st.sampled_from(WORDS) | st.text(max_size=6).map(lambda text: quote(text, safe=""))
tails = st.sampled_from(
    [
        f"/v2/{NAME}/blobs/{DIGEST}",
        f"/v2/{NAME}/blobs/uploads/",
        f"/v2/{NAME}/blobs/uploads/{TARGET.session}",
        f"/v2/{NAME}/manifests/v1",
        f"/v2/{NAME}/manifests/{IMAGE_DIGEST}",
        f"/v2/{NAME}/tags/list",
        f"/v2/{NAME}/referrers/{IMAGE_DIGEST}",
        "/v2/",
    ]
)
paths = tails | st.lists(segments, max_size=8).map(lambda parts: "/" + "/".join(parts))
values = st.sampled_from(
    [
        "",
        "0",
        "-1",
        "10",
        "9" * 30,
        DIGEST,
        LONG,
        NAME,
        "demo/side",
        "v1",
        "fallback-0",
        "sha512",
        "0-99",
        "100-199",
        "bytes=0-",
        "bytes=9-0",
        "application/json",
        IMAGE_DIGEST,
    ]
) | st.text(st.characters(codec="latin-1", exclude_characters="\r\n\0"), max_size=10)
queries = st.lists(
    st.tuples(
        st.sampled_from(
            ["digest", "mount", "from", "n", "last", "tag", "artifactType", "next", "digest-algorithm", "x"]
        ),
        values,
    ),
    max_size=3,
).map(lambda pairs: "&".join(f"{name}={quote(value)}" for name, value in pairs))
header_sets = st.dictionaries(
    st.sampled_from(
        ["Range", "Content-Range", "Content-Type", "Content-Length", "Accept", "User-Agent", "Authorization"]
    ),
    values.map(lambda value: value.encode("latin-1")),
    max_size=2,
)
bodies = st.sampled_from([b"", BLOB, BLOB[100:], IMAGE, INDEX, b"{}", b"\xff"]) | st.binary(max_size=20)
methods = st.sampled_from(["GET", "HEAD", "PUT", "POST", "PATCH", "DELETE", "OPTIONS", "PROPFIND"])


def require_answer(response):
    assert response.status_code < 500, response.text
    assert response.headers["Moorage-Version"]
    for name, value in response.headers.items():
        assert "\r" not in name + value
        assert "\n" not in name + value
    if response.status_code >= 400 and response.request.method != "HEAD":
        (entry,) = response.json()["errors"]
        assert entry["code"] in CODES
    if response.status_code in (429, 503):
        assert "Retry-After" in response.headers
    if response.status_code == 401:
        assert response.headers["WWW-Authenticate"]


@settings(max_examples=400)
@given(methods, paths, queries, header_sets, bodies)
def test_the_registry_answers_everything(method, path, query, headers, body):
    response = TARGET.world.registry.request(
        method, f"https://{HOST}{path}?{query}", headers={**TARGET.headers, **headers}, content=body
    )
    require_answer(response)


@settings(max_examples=100)
@given(methods, st.just("/token") | paths, queries, header_sets, bodies | values.map(str.encode))
def test_the_token_service_answers_everything(method, path, query, headers, body):
    response = TARGET.world.tokens.request(
        method, f"https://{HOST}{path}?{query}", headers=headers, content=body
    )
    require_answer(response)
    assert response.status_code >= 400


@pytest.mark.parametrize("size", [1, 2, 3])
@settings(max_examples=60)
@given(data=st.data())
def test_the_gate_does_not_open_for_any_spelling_of_authorization(size, data):
    text = data.draw(
        st.lists(
            st.sampled_from(["Bearer", "Basic", " ", "\t", ".", "e30", ",", "=", "x", "é"]), max_size=size * 3
        )
    )
    response = TARGET.world.registry.get(
        f"/v2/{NAME}/manifests/v1", headers={b"Authorization": "".join(text).encode("latin-1")}
    )
    assert response.status_code == 401
    require_answer(response)
