"""A small repository that most tests of the protocol begin with, and requests written as one line each."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from moorage.domain.blobs import Way, object_key
from moorage.domain.digests import Algorithm, Digest
from moorage.domain.manifests import OCI_INDEX, OCI_MANIFEST
from moorage.web.errors import ERRORS

if TYPE_CHECKING:
    from httpx2 import Response

    from tests.protocol.world import World

CODES = frozenset(
    {
        "BLOB_UNKNOWN",
        "BLOB_UPLOAD_INVALID",
        "BLOB_UPLOAD_UNKNOWN",
        "DENIED",
        "DIGEST_INVALID",
        "MANIFEST_BLOB_UNKNOWN",
        "MANIFEST_INVALID",
        "MANIFEST_UNKNOWN",
        "NAME_INVALID",
        "NAME_UNKNOWN",
        "SIZE_INVALID",
        "TOOMANYREQUESTS",
        "UNAUTHORIZED",
        "UNSUPPORTED",
    }
)
"""https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#error-codes"""

NAME = "demo/app"
BLOB = bytes(range(256)) * 8
DIGEST, LONG = str(Digest.of(BLOB)), str(Digest.of(BLOB, Algorithm.SHA512))
EMPTY, EMPTY_LONG = str(Digest.of(b"")), str(Digest.of(b"", Algorithm.SHA512))
ABSENT, ABSENT_LONG = str(Digest.of(b"absent")), str(Digest.of(b"absent", Algorithm.SHA512))
CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"


def sha256(content: bytes) -> str:
    return str(Digest.of(content))


def sha512(content: bytes) -> str:
    return str(Digest.of(content, Algorithm.SHA512))


def descriptor(digest: str = DIGEST, size: int = len(BLOB), media_type: str = "application/vnd.layer") -> Any:
    return {"mediaType": media_type, "digest": digest, "size": size}


def image(**more: Any) -> bytes:
    """An image manifest over ``BLOB``; oddly spaced, so that a registry that writes it anew is found out."""
    document = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": descriptor(media_type=CONFIG_TYPE),
        "layers": [descriptor()],
        **more,
    }
    return json.dumps(document, indent=3).encode() + b"\n \n"


def index(*manifests: bytes, **more: Any) -> bytes:
    """An index over manifests."""
    listed = [descriptor(sha256(content), len(content), OCI_MANIFEST) for content in manifests]
    document = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": listed, **more}
    return json.dumps(document, indent=1).encode()


def subject_of(content: bytes) -> dict[str, Any]:
    return {"subject": descriptor(sha256(content), len(content), OCI_MANIFEST)}


IMAGE = image()
IMAGE_DIGEST, IMAGE_LONG = sha256(IMAGE), sha512(IMAGE)
INDEX = index(IMAGE)


def push_blob(world: World, headers: Mapping[str, str], content: bytes = BLOB, name: str = NAME) -> str:
    """Push a blob in one request; its digest."""
    digest = sha256(content)
    response = world.registry.post(
        f"/v2/{name}/blobs/uploads/?digest={digest}", headers=headers, content=content
    )
    assert response.status_code == 201, response.text
    return digest


def push_manifest(
    world: World,
    headers: Mapping[str, str],
    content: bytes = IMAGE,
    reference: str | None = None,
    name: str = NAME,
) -> Response:
    """Push a manifest by its digest, or by a tag."""
    response = world.registry.put(
        f"/v2/{name}/manifests/{reference or sha256(content)}", headers=headers, content=content
    )
    assert response.status_code == 201, response.text
    return response


def fill(world: World, headers: Mapping[str, str], name: str = NAME) -> None:
    """``BLOB`` by both algorithms, and ``IMAGE`` tagged ``v1`` and ``v2``."""
    push_blob(world, headers, name=name)
    response = world.registry.post(f"/v2/{name}/blobs/uploads/?digest={LONG}", headers=headers, content=BLOB)
    assert response.status_code == 201
    for tag in ("v1", "v2"):
        push_manifest(world, headers, IMAGE, tag, name)


def session(world: World, headers: Mapping[str, str], *chunks: bytes, name: str = NAME) -> str:
    """The location of an upload that has received ``chunks``."""
    location = world.registry.post(f"/v2/{name}/blobs/uploads/", headers=headers).headers["Location"]
    for chunk in chunks:
        response = world.registry.patch(location, headers=headers, content=chunk)
        assert response.status_code == 202, response.text
    return str(location)


def announcement(content: bytes, **more: Any) -> bytes:
    """What begins a presigned upload of ``content``."""
    return json.dumps({"digest": sha256(content), "size": len(content), **more}).encode()


def presigned(world: World, headers: Mapping[str, str], content: bytes, *, in_parts: bool = False) -> str:
    """The location of a presigned upload whose content is stored, and that waits to be completed."""
    asked = announcement(content, **({"partSize": 5 * 1024**2} if in_parts else {}))
    begun = world.registry.post(f"/v2/{NAME}/blobs/uploads/_presigned/", headers=headers, content=asked)
    assert begun.status_code == 201, begun.text
    key = object_key(Way.PRESIGNED, world.repository(NAME).id, Digest.of(content), begun.json()["id"])
    if in_parts:
        (upload_id,) = [upload for held, upload in world.storage._uploads if held == key]
        world.storage.put_part(key, upload_id, 1, content)
    else:
        world.storage.put(key, content)
    return str(begun.headers["Location"])


def require_error(response: Response, status: int, *codes: str) -> Any:
    """The only entry of the error body, which has to be in the shape of the specification."""
    assert response.status_code == status, (response.status_code, response.text)
    assert response.headers["Moorage-Version"]
    assert response.headers["Content-Type"] == "application/json"
    assert int(response.headers["Content-Length"]) > 0
    if response.request.method == "HEAD":
        assert response.content == b""
        return None
    (entry,) = response.json()["errors"]
    assert set(entry) <= {"code", "message", "detail"}
    assert entry["code"] in (codes or CODES), entry
    assert 0 < len(entry["message"]) < 500
    return entry


def require_success(response: Response, status: int) -> None:
    assert response.status_code == status, (response.status_code, response.text)
    assert response.headers["Moorage-Version"]


@dataclass(frozen=True)
class Row:
    """A request to the sample repository and what comes of it."""

    says: str
    request: str
    """Method and path; ``_`` at the beginning of the path is the sample repository."""
    status: int
    headers: Mapping[str, str | None] = field(default_factory=dict)
    """Of the answer: the exact value, or None for a header that must be absent."""
    code: str | None = None
    sent: Mapping[str, str] = field(default_factory=dict)
    content: bytes | None = None
    body: bytes | None = None

    def check(self, world: World, headers: Mapping[str, str]) -> Response:
        method, _, path = self.request.partition(" ")
        path = path.replace("_", f"/v2/{NAME}", 1) if path.startswith("_") else path
        response = world.registry.request(
            method, path, headers={**headers, **self.sent}, content=self.content
        )
        if self.code is not None:
            require_error(response, self.status, self.code)
        else:
            require_success(response, self.status)
        for name, value in self.headers.items():
            assert response.headers.get(name) == value, (name, response.headers)
        if self.body is not None:
            assert response.content == self.body
        if method == "HEAD":
            assert response.content == b""
        return response


assert {code for _, code in ERRORS.values()} <= CODES
