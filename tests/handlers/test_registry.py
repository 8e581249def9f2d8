"""``registry`` as Lambda runs it, over the emulators: whole answers, what they cost, and ugly requests."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote
from urllib.request import Request, urlopen

import pytest

from moorage import __version__
from moorage.domain.manifests import MAX_MANIFEST_SIZE, OCI_INDEX, OCI_MANIFEST
from moorage.domain.sessions import MAX_BODY_SIZE
from tests.handlers.conftest import Answer, Functions
from tests.handlers.prepared import HOST, Counted, basic, prepare

V2 = "/v2/demo/app"
BLOB = bytes(range(256)) * 8
READ = "dynamodb.GetItem"


def sha256(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def image(blob: bytes, **more: Any) -> bytes:
    described = {"mediaType": "application/vnd.example", "digest": sha256(blob), "size": len(blob)}
    document = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": described, "layers": [], **more}
    return json.dumps(document, indent=3).encode()


IMAGE = image(BLOB)


@dataclass
class Desk:
    """The function, and a token for everything in ``demo/app``."""

    functions: Counted
    headers: dict[str, str]
    token: Callable[..., dict[str, str]]

    def __call__(self, method: str, target: str, body: bytes = b"", **more: Any) -> Answer:
        headers = self.headers | more.pop("headers", {})
        answer = self.functions.http(method, target, headers, body, **more)
        assert answer.headers["moorage-version"] == __version__
        return answer

    def push_blob(self, content: bytes) -> str:
        digest = sha256(content)
        assert self("POST", f"{V2}/blobs/uploads/?digest={quote(digest)}", content).status == 201
        return digest


@pytest.fixture(scope="module")
def desk(functions: Functions) -> Iterator[Desk]:
    keys = prepare(functions)
    counted = Counted(functions.settings)

    def token(org: str = "demo", *scopes: str) -> dict[str, str]:
        query = "&".join(f"scope={quote(scope)}" for scope in scopes)
        answer = counted.http("GET", f"/token?{query}", basic(keys[org]), function="token")
        assert answer.status == 200, answer.body
        return {"authorization": f"Bearer {answer.json()['token']}"}

    try:
        desk = Desk(counted, token("demo", "repository:demo/app:*", "repository:demo/side:*"), token)
        desk.push_blob(BLOB)
        pushed = desk("PUT", f"{V2}/manifests/v1", IMAGE, headers={"content-type": OCI_MANIFEST})
        assert pushed.status == 201, pushed.body
        yield desk
    finally:
        counted.stop()


def require_error(answer: Answer, status: int, code: str) -> None:
    assert answer.status == status, answer
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["content-length"] == str(len(answer.body))
    ((entry),) = answer.json()["errors"]
    assert entry["code"] == code


# ------------------------------------------------------------------ whole answers
def test_the_whole_answer_to_a_ping_without_a_token(desk: Desk) -> None:
    desk.functions.http("GET", "/v2/")
    body = '{"errors": [{"code": "UNAUTHORIZED", "message": "authentication is required"}]}'
    assert desk.functions.raw == {
        "statusCode": 401,
        "headers": {
            "content-type": "application/json",
            "cache-control": "no-store",
            "content-length": str(len(body)),
            "www-authenticate": f'Bearer realm="https://{HOST}/token",service="{HOST}"',
            "docker-distribution-api-version": "registry/2.0",
            "moorage-version": __version__,
        },
        "body": body,
        "isBase64Encoded": False,
    }
    assert desk.functions.sent == []


def test_the_whole_answer_to_a_manifest_comes_in_base64(desk: Desk) -> None:
    desk("GET", f"{V2}/manifests/v1")
    assert desk.functions.raw == {
        "statusCode": 200,
        "headers": {
            "content-type": OCI_MANIFEST,
            "content-length": str(len(IMAGE)),
            "docker-content-digest": sha256(IMAGE),
            "etag": f'"{sha256(IMAGE)}"',
            "moorage-version": __version__,
        },
        "body": base64.b64encode(IMAGE).decode(),
        "isBase64Encoded": True,
    }


def test_the_whole_answer_to_head_has_the_length_of_what_get_would_carry(desk: Desk) -> None:
    for path, media_type, length in (
        (f"manifests/{sha256(IMAGE)}", OCI_MANIFEST, len(IMAGE)),
        (f"blobs/{sha256(BLOB)}", "application/octet-stream", len(BLOB)),
    ):
        desk("HEAD", f"{V2}/{path}")
        raw = desk.functions.raw
        assert (raw["statusCode"], raw["body"]) == (200, "")
        assert raw["headers"]["content-length"] == str(length)
        assert raw["headers"]["content-type"] == media_type
        assert raw["headers"]["docker-content-digest"] == path.partition("/")[2]


def test_head_of_what_is_absent_has_no_body(desk: Desk) -> None:
    for path, status in (
        ("manifests/none", 404),
        (f"blobs/{sha256(b'none')}", 404),
        ("manifests/sha256:x", 400),
    ):
        answer = desk("HEAD", f"{V2}/{path}")
        assert (answer.status, answer.body) == (status, b"")
        assert int(answer.headers["content-length"]) > 0


def test_an_upload_in_chunks_and_its_status(desk: Desk) -> None:
    content = b"\xff\0" * 700
    opened = desk("POST", f"{V2}/blobs/uploads/")
    assert (opened.status, opened.body, opened.headers["range"]) == (202, b"", "0-0")
    location = opened.headers["location"]
    first = desk("PATCH", location, content[:1000], headers={"content-range": "0-999"})
    assert (first.status, first.headers["range"]) == (202, "0-999")
    again = desk("PATCH", location, content[:1000], headers={"content-range": "0-999"})
    require_error(again, 416, "BLOB_UPLOAD_INVALID")
    assert (again.headers["range"], again.headers["location"]) == ("0-999", location)
    status = desk("GET", location)
    assert (status.status, status.headers["range"], status.body) == (204, "0-999", b"")
    wrong = desk("PUT", f"{location}?digest={quote(sha256(b'x'))}", content[1000:])
    require_error(wrong, 400, "DIGEST_INVALID")
    for _ in range(2):
        closed = desk("PUT", f"{location}?digest={quote(sha256(content))}", content[1000:])
        assert closed.status == 201, closed.body
        assert closed.headers["location"] == f"{V2}/blobs/{sha256(content)}"
        assert closed.headers["docker-content-digest"] == sha256(content)
    require_error(desk("GET", location), 404, "BLOB_UPLOAD_UNKNOWN")


def test_a_blob_of_the_largest_body_arrives_and_is_served_by_the_store(desk: Desk) -> None:
    content = hashlib.shake_128(b"large").digest(MAX_BODY_SIZE)
    digest = desk.push_blob(content)
    redirect = desk("GET", f"{V2}/blobs/{digest}")
    assert (redirect.status, redirect.body) == (307, b"")
    assert redirect.headers["docker-content-digest"] == digest
    with urlopen(Request(redirect.headers["location"], headers={"Range": "bytes=10-19"}), timeout=10) as part:
        assert (part.status, part.read()) == (206, content[10:20])
    require_error(
        desk("POST", f"{V2}/blobs/uploads/?digest={quote(digest)}", content + b"\0"), 413, "UNSUPPORTED"
    )


def test_a_manifest_of_4_mib_goes_both_ways_and_fits_what_a_function_may_answer(desk: Desk) -> None:
    content = image(BLOB, annotations={"long": ""})
    content = image(BLOB, annotations={"long": "x" * (MAX_MANIFEST_SIZE - len(content))})
    assert len(content) == MAX_MANIFEST_SIZE
    put = desk("PUT", f"{V2}/manifests/large", content, headers={"content-type": OCI_MANIFEST})
    assert put.status == 201, put.body
    assert desk("GET", f"{V2}/manifests/large").body == content
    assert len(json.dumps(desk.functions.raw)) < 6 * 1024 * 1024
    require_error(desk("PUT", f"{V2}/manifests/larger", content + b" "), 413, "MANIFEST_INVALID")


def test_a_manifest_may_come_as_text(desk: Desk) -> None:
    content = image(BLOB, annotations={"text": "é"})
    put = desk("PUT", f"{V2}/manifests/text", content, base64_encoded=False)
    assert put.status == 201, put.body
    assert desk("GET", f"{V2}/manifests/text").body == content


def test_referrers_in_other_scripts_and_with_odd_types(desk: Desk) -> None:
    subject = {"mediaType": OCI_MANIFEST, "digest": sha256(IMAGE), "size": len(IMAGE)}
    for number, artifact_type in enumerate(["a/b", "ünï/cödé#~", "x" * 255]):
        content = json.dumps(
            json.loads(
                image(BLOB, subject=subject, artifactType=artifact_type, annotations={"é": "日本" * 30_000})
            ),
            ensure_ascii=number == 0,
        ).encode()
        put = desk("PUT", f"{V2}/manifests/{sha256(content)}", content)
        assert (put.status, put.headers.get("oci-subject")) == (201, sha256(IMAGE)), put.body
        listed = desk("GET", f"{V2}/referrers/{sha256(IMAGE)}?artifactType={quote(artifact_type, safe='')}")
        assert listed.headers["content-type"] == OCI_INDEX
        ((described),) = listed.json()["manifests"]
        assert described["digest"] == sha256(content)
        assert described["artifactType"] == artifact_type
        assert described["annotations"] == {"é": "日本" * 30_000}
    assert len(json.dumps(desk.functions.raw)) < 6 * 1024 * 1024


# ------------------------------------------------------------------ what a request costs
@pytest.mark.parametrize(
    ("method", "path", "status", "sent"),
    [
        ("GET", "/v2/", 200, []),
        ("GET", f"{V2}/manifests/{sha256(IMAGE)}", 200, [READ]),
        ("HEAD", f"{V2}/manifests/{sha256(IMAGE)}", 200, [READ]),
        ("GET", f"{V2}/manifests/v1", 200, [READ] * 2),
        ("HEAD", f"{V2}/manifests/v1", 200, [READ] * 2),
        ("GET", f"{V2}/manifests/none", 404, [READ]),
        ("GET", f"{V2}/blobs/{sha256(BLOB)}", 307, [READ]),
        ("HEAD", f"{V2}/blobs/{sha256(BLOB)}", 200, [READ]),
        # One LIST for each way that the stack has: the API and presigned, for want of a front door.
        ("HEAD", f"{V2}/blobs/{sha256(b'absent')}", 404, [READ, READ, *["s3.ListObjectsV2"] * 2, READ]),
        ("GET", f"{V2}/tags/list", 200, ["dynamodb.Query"]),
        ("GET", f"{V2}/blobs/sha256:bad", 400, []),
        ("GET", f"{V2}/manifests/-", 400, []),
        ("GET", "/v2/Demo/App/manifests/v1", 400, []),
        ("GET", "/nowhere", 404, []),
    ],
)
def test_a_request_asks_as_little_of_aws_as_it_can(
    desk: Desk, method: str, path: str, status: int, sent: list[str]
) -> None:
    # The verification keys have been read by the requests before this one.
    answer = desk(method, path)
    assert answer.status == status
    assert desk.functions.sent == sent


def test_a_second_push_of_an_image_writes_little(desk: Desk) -> None:
    assert desk("PUT", f"{V2}/manifests/v1", IMAGE).status == 201
    assert len(desk.functions.sent) <= 8
    assert not [each for each in desk.functions.sent if each.startswith("s3.")]


def test_an_invented_kid_is_not_a_read_for_each_request(desk: Desk) -> None:
    header = base64.urlsafe_b64encode(b'{"alg":"ES256","kid":"invented"}').decode().rstrip("=")
    reads = []
    for _ in range(5):
        answer = desk("GET", "/v2/", headers={"authorization": f"Bearer {header}.e30.AAAA"})
        require_error(answer, 401, "UNAUTHORIZED")
        reads += desk.functions.sent
    assert len(reads) <= 1


# ------------------------------------------------------------------ ugly requests, over the real table and store
@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", f"{V2}/blobs/uploads/{'x' * 5000}", 404),
        ("PUT", f"{V2}/blobs/uploads/%F0%9F%98%80?digest={quote(sha256(BLOB))}", 404),
        ("DELETE", f"{V2}/blobs/uploads/%00", 404),
        ("PATCH", f"{V2}/blobs/uploads/%0d%0aX-Evil:1", 404),
        ("GET", f"{V2}/tags/list?last={quote(chr(0x1F600) * 120)}", 200),
        ("GET", f"{V2}/tags/list?last=%FF%00", 200),
        ("GET", f"{V2}/tags/list?last={'a' * 128}", 200),
        ("GET", f"{V2}/tags/list?n={10**12}", 200),
        ("GET", f"{V2}/tags/list?n=0", 200),
        ("GET", f"{V2}/tags/list?n=-1", 400),
        ("GET", f"{V2}/referrers/{sha256(IMAGE)}?artifactType={'x' * 4000}", 200),
        ("GET", f"{V2}/referrers/{sha256(IMAGE)}?artifactType=%00%FF", 200),
        ("GET", f"{V2}/referrers/{sha256(IMAGE)}?next=%00", 400),
        ("GET", f"{V2}/manifests/{'a' * 128}", 404),
        ("GET", f"{V2}/manifests/%00", 400),
        # Escaped twice, as some layer between may decode once more: rights and routes see the same name.
        ("GET", "/v2/other%252fapp/manifests/v1", 401),
        ("GET", "/v2/demo/app%00/manifests/v1", 400),
        ("GET", "/v2/demo/..%2f..%2fother/app/manifests/v1", 400),
        ("GET", f"/v2/demo/{'a' * 300}/manifests/v1", 400),
        ("POST", f"{V2}/blobs/uploads/?mount={quote(sha256(BLOB))}&from=%00", 202),
        ("POST", f"{V2}/blobs/uploads/?mount={quote(sha256(BLOB))}&from={'x' * 3000}", 202),
        ("POST", f"{V2}/blobs/uploads/?digest=sha256:bad", 400),
    ],
)
def test_an_ugly_request_is_answered_like_any_other(desk: Desk, method: str, path: str, status: int) -> None:
    answer = desk(method, path)
    assert answer.status == status, answer
    assert "x-evil" not in answer.headers
    if status >= 400:
        assert answer.json()["errors"]


def test_mounts_and_deletes_over_the_real_rows(desk: Desk) -> None:
    digest = desk.push_blob(b"to be mounted and deleted")
    for source in ("&from=demo/app", ""):
        mounted = desk("POST", f"/v2/demo/side/blobs/uploads/?mount={quote(digest)}{source}")
        assert (mounted.status, mounted.headers["location"]) == (201, f"/v2/demo/side/blobs/{digest}")
        assert desk("DELETE", f"/v2/demo/side/blobs/{digest}").status == 202
        require_error(desk("GET", f"/v2/demo/side/blobs/{digest}"), 404, "BLOB_UNKNOWN")
        assert desk("HEAD", f"{V2}/blobs/{digest}").status == 200
    foreign = desk.token("other", "repository:other/app:*", "repository:demo/app:pull")
    for source in ("&from=demo/app", ""):
        refused = desk("POST", f"/v2/other/app/blobs/uploads/?mount={quote(digest)}{source}", headers=foreign)
        assert refused.status == 202
        assert desk("HEAD", f"/v2/other/app/blobs/{digest}", headers=foreign).status == 404
    require_error(desk("GET", f"{V2}/blobs/{digest}", headers=foreign), 403, "DENIED")
    assert desk("DELETE", f"{V2}/blobs/{digest}").status == 202
    for _ in range(2):
        assert desk("HEAD", f"{V2}/blobs/{digest}").status == 404
        assert desk.push_blob(b"to be mounted and deleted") == digest
        assert desk("HEAD", f"{V2}/blobs/{digest}").status == 200
        assert desk("DELETE", f"{V2}/blobs/{digest}").status == 202


def test_while_the_table_cannot_be_reached_nothing_is_allowed(functions: Functions, desk: Desk) -> None:
    apart = Counted(functions.settings | {"AWS_ENDPOINT_URL": "http://127.0.0.1:1"})
    try:
        for method, path in (
            ("GET", "/v2/"),
            ("GET", f"{V2}/manifests/v1"),
            ("HEAD", f"{V2}/blobs/{sha256(BLOB)}"),
        ):
            answer = apart.http(method, path, desk.headers)
            assert answer.status == 503, answer
            assert int(answer.headers["retry-after"]) > 0
    finally:
        apart.stop()


def test_while_the_store_cannot_be_reached_a_blob_is_neither_taken_nor_missing(
    functions: Functions, desk: Desk
) -> None:
    apart = Counted(functions.settings | {"AWS_ENDPOINT_URL_S3": "http://127.0.0.1:1"})
    new = b"while the store is away"
    try:
        for method, path, body in (
            ("POST", f"{V2}/blobs/uploads/?digest={quote(sha256(new))}", new),
            ("HEAD", f"{V2}/blobs/{sha256(new)}", b""),
        ):
            answer = apart.http(method, path, desk.headers, body)
            assert answer.status == 503, answer
            assert int(answer.headers["retry-after"]) > 0
        assert apart.http("HEAD", f"{V2}/blobs/{sha256(BLOB)}", desk.headers).status == 200
    finally:
        apart.stop()
    assert desk("HEAD", f"{V2}/blobs/{sha256(new)}").status == 404
