"""The bucket, as the environments of several functions tell it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

from moorage.adapters.s3 import AddressingStyle, S3Storage, connect_storage


@dataclass(frozen=True, slots=True)
class BucketSettings:
    """The bucket of blobs, and how URLs name it."""

    name: str
    addressing_style: AddressingStyle

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> BucketSettings:
        """The settings in ``environ``.

        Raises:
            KeyError: the bucket's name is missing.
        """
        style = environ.get("S3_ADDRESSING_STYLE", "auto")
        return cls(environ["BUCKET_NAME"], cast("AddressingStyle", style))

    def connect(self) -> S3Storage:
        """The store on the bucket; no request is sent before it is used."""
        return connect_storage(self.name, addressing_style=self.addressing_style)
