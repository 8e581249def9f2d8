"""The object stores, as the environments of several functions tell them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

from moorage.adapters.s3 import AddressingStyle, Bucket
from moorage.adapters.stores import S3Stores, connect_stores
from moorage.domain.blobs import DEFAULT_STORE

_STORE = re.compile(r"([a-z][-a-z0-9]{0,62}[a-z0-9])=([^=@]+)(?:@([^=@]+))?", re.ASCII)


@dataclass(frozen=True, slots=True)
class StoreSettings:
    """The buckets by the names of their stores, and how URLs name them."""

    buckets: Mapping[str, Bucket]
    addressing_style: AddressingStyle

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> StoreSettings:
        """The settings in ``environ``.

        Raises:
            KeyError: the name of the stack's own bucket is missing.
            ValueError: see ``other_buckets``; or one bucket is that of two stores.
        """
        buckets = {
            DEFAULT_STORE: Bucket(environ["BUCKET_NAME"]),
            **other_buckets(environ.get("STORES", "")),
        }
        if len({bucket.name for bucket in buckets.values()}) < len(buckets):
            raise ValueError("STORES names a bucket twice")
        style = environ.get("S3_ADDRESSING_STYLE", "auto")
        return cls(buckets, cast("AddressingStyle", style))

    def store_of(self, bucket: str) -> str:
        """The store whose bucket has that name.

        Raises:
            LookupError: there is none.
        """
        for store, each in self.buckets.items():
            if each.name == bucket:
                return store
        raise LookupError(f"the bucket {bucket!r} belongs to no store of this function")

    def connect(self) -> S3Stores:
        """The stores; no request is sent before one of them is used."""
        return connect_stores(self.buckets, self.addressing_style)


def other_buckets(text: str) -> dict[str, Bucket]:
    """The buckets in ``NAME=BUCKET,NAME=BUCKET@REGION``, by the names of their stores.

    Raises:
        ValueError: it is no such list, or it names a store twice, or the one that there always is.
    """
    buckets: dict[str, Bucket] = {}
    for each in text.split(",") if text else ():
        match = _STORE.fullmatch(each)
        if match is None:
            raise ValueError("STORES is a list of NAME=BUCKET or NAME=BUCKET@REGION, with commas between")
        name, bucket, region = match.groups()
        if name in buckets or name == DEFAULT_STORE:
            raise ValueError(f"STORES names the store {name} twice")
        buckets[name] = Bucket(bucket, region)
    return buckets
