"""What lies in the buckets of a local cloud, seen as their owner sees it: not by way of the registry."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import botocore.session

DEFAULT, SECOND = "default", "second"
"""The stores of a local cloud."""


def keys(state: Path, prefix: str = "", store: str = DEFAULT) -> list[str]:
    """The keys below a prefix."""
    return [found["Key"] for found in _objects(state, prefix, store)]


def sizes(state: Path, prefix: str = "", store: str = DEFAULT) -> list[int]:
    """How many bytes each object below a prefix has."""
    return [found["Size"] for found in _objects(state, prefix, store)]


def unfinished(state: Path, store: str = DEFAULT) -> list[str]:
    """The keys of the multipart uploads that were neither completed nor given up."""
    client, bucket = _connect(state, store)
    return [found["Key"] for found in client.list_multipart_uploads(Bucket=bucket).get("Uploads", ())]


def name(state: Path, store: str = DEFAULT) -> str:
    """The bucket's name."""
    return _connect(state, store)[1]


def _objects(state: Path, prefix: str, store: str) -> list[dict[str, Any]]:
    client, bucket = _connect(state, store)
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    return [found for page in pages for found in page.get("Contents", ())]


def _connect(state: Path, store: str) -> tuple[Any, str]:
    """A client of the emulated S3, and the bucket of a store."""
    settings = json.loads((state / "admin-environment.json").read_text("utf-8"))
    client: Any = botocore.session.get_session().create_client(
        "s3",
        region_name=settings["AWS_DEFAULT_REGION"],
        endpoint_url=settings["AWS_ENDPOINT_URL_S3"],
        aws_access_key_id=settings["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=settings["AWS_SECRET_ACCESS_KEY"],
    )
    others = dict(other.split("=") for other in settings["STORES"].split(",") if other)
    return client, (others | {DEFAULT: settings["BUCKET_NAME"]})[store]
