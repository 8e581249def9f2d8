"""Objects that are uploaded in parts, on an S3 bucket.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/mpuoverview.html
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from moorage.adapters.aws import error_code, translated, unavailable
from moorage.ports import Part

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

PERMISSION_SECONDS = 3600
"""How long a permission to upload lives. What was signed by a role may end before, with the role's
session.
"""

_ENDED = frozenset({"404", "NoSuchUpload"})
# A part was replaced, or never came to be, since the parts were listed.
_CHANGED = frozenset({"InvalidPart", "InvalidPartOrder"})


class S3Multipart:
    """The port ``MultipartStorage``."""

    _bucket: str
    client: Callable[[], S3Client]

    def begin_multipart(self, key: str) -> str:
        """Begin an upload."""
        with translated("CreateMultipartUpload"):
            answer: Any = self.client().create_multipart_upload(Bucket=self._bucket, Key=key)
        if not answer.get("UploadId"):
            raise unavailable("")
        upload_id: str = answer["UploadId"]
        return upload_id

    def presign_part(self, key: str, upload_id: str, number: int, size: int) -> str:
        """A URL for one part; its length is a signed header, which every client sends anyway."""
        with translated("presigning"):
            return self.client().generate_presigned_url(
                "upload_part",
                Params={
                    "Bucket": self._bucket,
                    "Key": key,
                    "UploadId": upload_id,
                    "PartNumber": number,
                    "ContentLength": size,
                },
                ExpiresIn=PERMISSION_SECONDS,
            )

    def list_parts(self, key: str, upload_id: str) -> Sequence[Part] | None:
        """The parts, page after page."""
        parts: list[Part] = []
        marker: dict[str, Any] = {}
        while True:
            request = {"Bucket": self._bucket, "Key": key, "UploadId": upload_id, **marker}
            try:
                with translated("ListParts"):
                    answer = _ended_or(functools.partial(self.client().list_parts, **request))
            except _EndedError:
                return None
            if "UploadId" not in answer:
                raise unavailable("")
            parts += [
                Part(each["PartNumber"], each["Size"], each["ETag"]) for each in answer.get("Parts", ())
            ]
            if not answer.get("IsTruncated"):
                return sorted(parts, key=lambda part: part.number)
            marker = {"PartNumberMarker": answer["NextPartNumberMarker"]}

    def complete_multipart(self, key: str, upload_id: str, parts: Sequence[Part]) -> bool:
        """Make one object of the parts."""
        listed: Any = [{"PartNumber": part.number, "ETag": part.etag} for part in parts]
        try:
            with translated("CompleteMultipartUpload"):
                answer: Any = _ended_or(
                    lambda: self.client().complete_multipart_upload(
                        Bucket=self._bucket, Key=key, UploadId=upload_id, MultipartUpload={"Parts": listed}
                    ),
                    _ENDED | _CHANGED,
                )
        except _EndedError:
            return False
        if "ETag" not in answer:
            raise unavailable("")
        return True

    def unfinished_uploads(self, prefix: str) -> Sequence[tuple[str, str]]:
        """What is unfinished, page after page."""
        found: list[tuple[str, str]] = []
        marker: dict[str, Any] = {}
        while True:
            with translated("ListMultipartUploads"):
                answer: Any = self.client().list_multipart_uploads(
                    Bucket=self._bucket, Prefix=prefix, **marker
                )
            if "IsTruncated" not in answer:
                raise unavailable("")
            found += [(each["Key"], each["UploadId"]) for each in answer.get("Uploads", ())]
            if not answer["IsTruncated"]:
                return found
            marker = {"KeyMarker": answer["NextKeyMarker"], "UploadIdMarker": answer["NextUploadIdMarker"]}

    def abort_multipart(self, key: str, upload_id: str) -> None:
        """Give up an upload."""
        try:
            with translated("AbortMultipartUpload"):
                answer = _ended_or(
                    lambda: self.client().abort_multipart_upload(
                        Bucket=self._bucket, Key=key, UploadId=upload_id
                    )
                )
        except _EndedError:
            return
        # There is nothing else in it by which S3's answer could be told from another's.
        if answer["ResponseMetadata"]["HTTPStatusCode"] != HTTPStatus.NO_CONTENT:
            raise unavailable("")


class _EndedError(Exception):
    """There is no such upload any more."""


def _ended_or(call: Callable[[], Any], codes: frozenset[str] = _ENDED) -> Any:
    try:
        return call()
    except ClientError as error:
        if error_code(error) in codes:
            raise _EndedError from None
        raise
