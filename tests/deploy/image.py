"""An image of several layers as an OCI layout, made of random bytes."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import random
import tarfile
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

_OCI = "application/vnd.oci.image"


def write_layout(folder: Path, tag: str, sizes: list[int], *, seed: int) -> bytes:
    """Write the layout; the content of its manifest. Each layer is a little larger than its size in bytes."""
    blobs = folder / "blobs" / "sha256"
    blobs.mkdir(parents=True)
    source = random.Random(seed)

    def add(content: bytes, media_type: str) -> dict[str, Any]:
        digest = hashlib.sha256(content).hexdigest()
        (blobs / digest).write_bytes(content)
        return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(content)}

    archives = [_archive(f"layer-{number}", source.randbytes(size)) for number, size in enumerate(sizes)]
    layers = [add(gzip.compress(archive, mtime=0), f"{_OCI}.layer.v1.tar+gzip") for archive in archives]
    config = {
        "architecture": "amd64",
        "os": "linux",
        "config": {},
        "rootfs": {
            "type": "layers",
            "diff_ids": [f"sha256:{hashlib.sha256(archive).hexdigest()}" for archive in archives],
        },
    }
    manifest = {
        "schemaVersion": 2,
        "mediaType": f"{_OCI}.manifest.v1+json",
        "config": add(json.dumps(config).encode(), f"{_OCI}.config.v1+json"),
        "layers": layers,
    }
    content = json.dumps(manifest).encode()
    entry = add(content, f"{_OCI}.manifest.v1+json") | {
        "annotations": {"org.opencontainers.image.ref.name": tag}
    }
    (folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [entry]}))
    (folder / "oci-layout").write_text(json.dumps({"imageLayoutVersion": "1.0.0"}))
    return content


def _archive(name: str, content: bytes) -> bytes:
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w") as archive:
        entry = tarfile.TarInfo(name)
        entry.size = len(content)
        archive.addfile(entry, io.BytesIO(content))
    return written.getvalue()
