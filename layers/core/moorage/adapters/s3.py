"""The object store on an S3 bucket."""

from __future__ import annotations

import base64
import binascii
import functools
import hashlib
import logging
import re
import ssl
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import quote

import urllib3
from botocore.exceptions import ClientError

from moorage.adapters.access import Access, in_environment
from moorage.adapters.aws import Patience, create_client, error_code, lazy, translated, unavailable
from moorage.adapters.s3_multipart import PERMISSION_SECONDS, S3Multipart
from moorage.adapters.signing import presigned
from moorage.domain.errors import DigestMismatch
from moorage.ports import ObjectHead, PresignedRequest

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

logger = logging.getLogger(__name__)

AddressingStyle = Literal["auto", "path", "virtual"]

PATIENCE = Patience(read_seconds=6.0)

_ABSENT = frozenset({"404", "NoSuchKey"})
_PIECE = 1024 * 1024
_BATCH = 1000
# As many as are read side by side: beyond its pool, botocore makes a connection for each call and drops it.
_READ_TOGETHER = 16
# A redirect is followed at once, but a client on a slow line comes back to it for the rest of a layer.
_GET_SECONDS = 600
_PUT_SECONDS = 300

# Without a dot, which no certificate would cover.
_PLAIN_BUCKET = re.compile(r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]", re.ASCII)
_OK, _TAKEN = 200, 412
# Another PUT of the same key came to its end during this one.
_BEING_TAKEN = "ConditionalRequestConflict"
_CODE = re.compile(rb"<Code>(\w+)</Code>")


@dataclass(frozen=True, slots=True)
class Bucket:
    """A bucket, and its Region where that is not the environment's."""

    name: str
    region: str | None = None


def connect_storage(
    bucket: str, addressing_style: AddressingStyle = "auto", patience: Patience = PATIENCE
) -> S3Storage:
    """The store on the bucket of that name; no request is sent before it is used."""
    client = connect_client(addressing_style, patience)
    return S3Storage(Bucket(bucket), addressing_style, patience, client)


def connect_client(
    addressing_style: AddressingStyle, patience: Patience, region: str | None = None
) -> Callable[[], S3Client]:
    """A client for all buckets of a Region, made at the first use."""
    return lazy(lambda: _create(addressing_style, patience, region))


class S3Storage(S3Multipart):
    """The port ``ObjectStore``.

    Everything raises ``Unavailable`` or one of its kinds when S3 does not do its part.
    """

    def __init__(
        self,
        bucket: Bucket,
        addressing_style: AddressingStyle,
        patience: Patience,
        client: Callable[[], S3Client],
    ) -> None:
        self._bucket = bucket.name
        self.client = client
        self._place: Callable[[], _Place | None] = lazy(lambda: _place(bucket, addressing_style))
        self._upload_limits = urllib3.Timeout(connect=patience.connect_seconds, read=patience.upload_seconds)

    def put(self, key: str, content: bytes) -> None:
        """Store or replace."""
        with translated("PutObject"):
            answer: Any = self.client().put_object(
                Bucket=self._bucket, Key=key, Body=content, ChecksumSHA256=_base64(_sha256(content))
            )
        if "ETag" not in answer:
            raise unavailable("")

    def put_once(self, key: str, content: Iterable[bytes], size: int, sha256: str) -> bool:
        """Store under a free key. The last piece leaves only when length and hash of all are right, so that
        content that breaks off or is wrong never becomes an object; and S3 checks for itself.
        """
        return self._send(key, _checked(content, size, sha256), size, sha256)

    def _send(self, key: str, pieces: Iterator[bytes], size: int, sha256: str) -> bool:
        # botocore's own call would read the whole content beforehand, to sign it.
        headers = {
            "Content-Length": str(size),
            "If-None-Match": "*",
            "x-amz-checksum-sha256": _base64(sha256),
        }
        url = self._presign_put(key, size, headers["x-amz-checksum-sha256"], _PUT_SECONDS)
        try:
            # A connection of its own: one that was kept may have been closed by S3 while the function was
            # frozen, which shows only in the middle of a body that cannot be sent again.
            with urllib3.PoolManager(
                retries=False, timeout=self._upload_limits, ssl_context=_tls(url)
            ) as connections:
                answer = connections.request(
                    "PUT",
                    url,
                    # Empty content is no iterator: without a piece urllib3 would not send the length.
                    body=pieces if size else b"".join(pieces),
                    headers={**headers, "Connection": "close"},
                    redirect=False,
                )
        except urllib3.exceptions.HTTPError as error:
            # Its text holds the URL, which is a permission to write.
            logger.warning("PutObject failed: %s", type(error).__name__)
            raise unavailable("") from None
        return _stored(answer)

    def read(self, key: str) -> Iterator[bytes] | None:
        """The content in pieces of up to 1 MiB."""
        try:
            with translated("GetObject"):
                answer: Any = _or_absent(lambda: self.client().get_object(Bucket=self._bucket, Key=key))
        except _AbsentError:
            return None
        if "ETag" not in answer:
            answer["Body"].close()
            raise unavailable("")
        return _pieces(answer["Body"])

    def read_range(self, key: str, start: int, size: int) -> bytes | None:
        """A part of the content."""
        wanted = f"bytes={start}-{start + size - 1}"
        try:
            with translated("GetObject"):
                answer: Any = _or_absent(
                    lambda: self.client().get_object(Bucket=self._bucket, Key=key, Range=wanted)
                )
        except _AbsentError:
            return None
        content = b"".join(_pieces(answer["Body"]))
        if "ETag" not in answer or len(content) != size:
            raise unavailable("")
        return content

    def head(self, key: str) -> ObjectHead | None:
        """Size and checksum."""
        try:
            with translated("HeadObject"):
                answer: Any = _or_absent(
                    lambda: self.client().head_object(Bucket=self._bucket, Key=key, ChecksumMode="ENABLED")
                )
        except _AbsentError:
            return None
        if "ETag" not in answer or "ContentLength" not in answer:
            raise unavailable("")
        checksum = None if answer.get("ChecksumType") == "COMPOSITE" else answer.get("ChecksumSHA256")
        sha256 = _hexadecimal(checksum) if checksum else None
        return ObjectHead(answer["ContentLength"], sha256, answer.get("ContentEncoding") or None)

    def list_keys(self, prefix: str, limit: int) -> Sequence[str]:
        """Keys in order."""
        keys: list[str] = []
        token: Any = {}
        while len(keys) < limit:
            with translated("ListObjectsV2"):
                answer: Any = self.client().list_objects_v2(
                    Bucket=self._bucket, Prefix=prefix, MaxKeys=min(limit - len(keys), _BATCH), **token
                )
            if "KeyCount" not in answer:
                raise unavailable("")
            keys += [each["Key"] for each in answer.get("Contents", ())]
            if not answer.get("IsTruncated"):
                break
            token = {"ContinuationToken": answer["NextContinuationToken"]}
        return keys

    def delete(self, keys: Collection[str]) -> None:
        """Remove."""
        wanted = list(dict.fromkeys(keys))
        for start in range(0, len(wanted), _BATCH):
            batch: Any = [{"Key": key} for key in wanted[start : start + _BATCH]]
            with translated("DeleteObjects"):
                answer = self.client().delete_objects(Bucket=self._bucket, Delete={"Objects": batch})
            if len(answer.get("Deleted", ())) != len(batch):
                code = next((error.get("Code", "") for error in answer.get("Errors", ())), "")
                raise unavailable(code)

    def presign_get(self, key: str) -> str:
        """A URL for ten minutes."""
        place = self._place()
        if place is not None:
            url = f"{place.url}/{quote(key)}"
            return presigned(
                url,
                seconds=_GET_SECONDS,
                service="s3",
                region=place.access.region,
                keys=place.access.keys(),
                now=datetime.now(UTC),
            )
        with translated("presigning"):
            return self.client().generate_presigned_url(
                "get_object", Params={"Bucket": self._bucket, "Key": key}, ExpiresIn=_GET_SECONDS
            )

    def presign_put(self, key: str, size: int, sha256: str) -> PresignedRequest:
        """A permission to store once."""
        checksum = _base64(sha256)
        url = self._presign_put(key, size, checksum, PERMISSION_SECONDS)
        headers = {"Content-Length": str(size), "If-None-Match": "*", "x-amz-checksum-sha256": checksum}
        return PresignedRequest(url, headers)

    def _presign_put(self, key: str, size: int, checksum: str, seconds: int) -> str:
        """The checksum is a signed header, for S3 ignores one in the query; so are the others."""
        with translated("presigning"):
            return self.client().generate_presigned_url(
                "put_object",
                Params={
                    "Bucket": self._bucket,
                    "Key": key,
                    "ContentLength": size,
                    "IfNoneMatch": "*",
                    "ChecksumSHA256": checksum,
                },
                ExpiresIn=seconds,
            )


@dataclass(frozen=True, slots=True)
class _Place:
    """The URL of a bucket, and who may sign for it."""

    access: Access
    url: str


def _place(bucket: Bucket, addressing_style: AddressingStyle) -> _Place | None:
    """Where the bucket is, if that is plain to see; else only botocore knows, slow to load and to ask."""
    access = in_environment("s3", region=bucket.region)
    if access is None:
        return None
    if addressing_style == "path":
        return _Place(access, f"{access.endpoint}/{bucket.name}")
    if access.custom or not _PLAIN_BUCKET.fullmatch(bucket.name):
        return None
    return _Place(access, access.endpoint.replace("//", f"//{bucket.name}.", 1))


class _AbsentError(Exception):
    """There is no such object."""


def _or_absent(call: Callable[[], Any]) -> Any:
    try:
        return call()
    except ClientError as error:
        if error_code(error) in _ABSENT:
            raise _AbsentError from None
        raise


def _checked(content: Iterable[bytes], size: int, sha256: str) -> Iterator[bytes]:
    """The pieces, each held back until the next one has come."""
    running, received, held = hashlib.sha256(), 0, b""
    for piece in content:
        running.update(piece)
        received += len(piece)
        if received > size:
            break
        if held and piece:
            yield held
        held = piece or held
    if received != size:
        logger.warning("PutObject given up: content of another length than announced")
        raise unavailable("")
    if running.hexdigest() != sha256:
        raise DigestMismatch("the content does not have the digest it was sent under")
    if held:
        yield held


def _stored(answer: urllib3.BaseHTTPResponse) -> bool:
    """Whether a PUT stored its content; False when the key was taken."""
    if answer.status == _OK and "ETag" in answer.headers:
        return True
    if answer.status == _TAKEN:
        return False
    match = _CODE.search(answer.data)
    code = match[1].decode() if match else str(answer.status)
    if code == _BEING_TAKEN:
        return False
    if code == "BadDigest":
        raise DigestMismatch("the content does not have the digest it was sent under")
    logger.warning("PutObject failed: %s", code)
    raise unavailable(code)


def _pieces(body: Any) -> Iterator[bytes]:
    with closing(body):
        while True:
            with translated("GetObject"):
                piece: bytes = body.read(_PIECE)
            if not piece:
                return
            yield piece


def _tls(url: str) -> ssl.SSLContext | None:
    """What all uploads verify S3 by: reading the certificates takes longer than a handshake."""
    return _certificates() if url.startswith("https:") else None


@functools.cache
def _certificates() -> ssl.SSLContext:
    return ssl.create_default_context()


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _base64(hexadecimal: str) -> str:
    return base64.b64encode(bytes.fromhex(hexadecimal)).decode()


def _hexadecimal(checksum: str) -> str | None:
    """A checksum in hexadecimal; None for the hash of the parts' hashes, which ends in ``-`` and a number."""
    try:
        content = base64.b64decode(checksum, validate=True)
    except binascii.Error:
        return None
    return content.hex() if len(content) == hashlib.sha256().digest_size else None


def _create(addressing_style: AddressingStyle, patience: Patience, region: str | None) -> S3Client:
    from botocore.config import Config  # noqa: PLC0415 - loaded with the client, when one is needed

    config = Config(
        region_name=region,
        # By default botocore may presign with the old version, which ignores what it does not know.
        signature_version="s3v4",
        s3={"addressing_style": addressing_style, "us_east_1_regional_endpoint": "regional"},
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        max_pool_connections=_READ_TOGETHER,
    )
    client: S3Client = create_client("s3", patience, config)
    client.meta.events.register_first("before-endpoint-resolution.s3", _stay_regional)
    return client


def _stay_regional(context: dict[str, Any], **_: Any) -> None:
    """Presigned URLs name the Region's host: the global one, botocore's default, answers for a bucket of
    another Region with a redirect until its name has spread.
    """
    context["use_global_endpoint"] = False
