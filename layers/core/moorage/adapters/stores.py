"""The object stores of a deployment, on S3 buckets, and what is copied between them."""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Mapping
from typing import Any

from botocore.exceptions import ClientError

from moorage.adapters.aws import Patience, error_code, translated, unavailable
from moorage.adapters.s3 import PATIENCE, AddressingStyle, Bucket, S3Storage, connect_client
from moorage.domain.errors import Unavailable, WriteConflict
from moorage.ports import ObjectPlace, Part

# S3 answers when all is copied; while it copies, it sends a byte now and then.
_COPY_PATIENCE = Patience(read_seconds=120.0, attempts=2)

_NO_SOURCE = "NoSuchKey"
_NO_UPLOAD = "NoSuchUpload"


def connect_stores(
    buckets: Mapping[str, Bucket],
    addressing_style: AddressingStyle = "auto",
    patience: Patience = PATIENCE,
    copy_patience: Patience = _COPY_PATIENCE,
) -> S3Stores:
    """The stores by name; no request is sent before one of them is used."""
    return S3Stores(buckets, addressing_style, patience, copy_patience)


class S3Stores:
    """The port ``Stores``. The buckets of one Region share a client, which takes long to make."""

    def __init__(
        self,
        buckets: Mapping[str, Bucket],
        addressing_style: AddressingStyle,
        patience: Patience,
        copy_patience: Patience,
    ) -> None:
        regions = {bucket.region for bucket in buckets.values()}
        clients = {region: connect_client(addressing_style, patience, region) for region in regions}
        self._buckets = dict(buckets)
        self._stores = {
            name: S3Storage(bucket, addressing_style, patience, clients[bucket.region])
            for name, bucket in buckets.items()
        }
        self._copiers = {
            region: connect_client(addressing_style, copy_patience, region) for region in regions
        }

    def __getitem__(self, name: str) -> S3Storage:
        """The store of that name."""
        self._bucket(name)
        return self._stores[name]

    def names(self) -> Collection[str]:
        """The names of all of them."""
        return self._stores.keys()

    def copy_object(self, source: ObjectPlace, target: ObjectPlace) -> bool:
        """Copy an object; S3 computes the SHA-256 of the copy."""
        request = self._request(source, target)
        call = functools.partial(self._copier(target).copy_object, **request, ChecksumAlgorithm="SHA256")
        return _etag("CopyObject", "CopyObjectResult", call) is not None

    def copy_part(
        self, source: ObjectPlace, target: ObjectPlace, upload_id: str, number: int, start: int, size: int
    ) -> Part | None:
        """Make a part of an object a part of an upload."""
        request = self._request(source, target)
        call = functools.partial(
            self._copier(target).upload_part_copy,
            **request,
            CopySourceRange=f"bytes={start}-{start + size - 1}",
            UploadId=upload_id,
            PartNumber=number,
        )
        etag = _etag("UploadPartCopy", "CopyPartResult", call, ended=_NO_UPLOAD)
        return None if etag is None else Part(number, size, etag)

    def _request(self, source: ObjectPlace, target: ObjectPlace) -> dict[str, Any]:
        return {
            "Bucket": self._bucket(target.store).name,
            "Key": target.key,
            "CopySource": {"Bucket": self._bucket(source.store).name, "Key": source.key},
        }

    def _copier(self, target: ObjectPlace) -> Any:
        """Where an object is copied to is where the copy is asked for."""
        return self._copiers[self._bucket(target.store).region]()

    def _bucket(self, name: str) -> Bucket:
        bucket = self._buckets.get(name)
        if bucket is None:
            raise Unavailable("the store of this content is not part of the registry at present")
        return bucket


def _etag(operation: str, result: str, call: Callable[[], Any], ended: str | None = None) -> str | None:
    """What S3 calls the content of a copy; None when there is nothing to copy. ``ended`` is the error that
    says that there is no such upload.

    Errors inside an answer of status 200 botocore treats as the errors that they are.
    """
    with translated(operation):
        try:
            answer = call()
        except ClientError as error:
            if error_code(error) == _NO_SOURCE:
                return None
            if error_code(error) == ended:
                raise WriteConflict("somebody else has ended the upload; try again") from None
            raise
    etag: str | None = answer.get(result, {}).get("ETag")
    if not etag:
        raise unavailable("")
    # As in the list of parts, whose quotation marks not every server repeats here.
    return f'"{etag.strip(chr(34))}"'
