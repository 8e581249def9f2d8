"""An image of random layers, as a folder that skopeo reads."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import random
import tarfile
from dataclasses import dataclass
from pathlib import Path

MEDIA_TYPE = "application/vnd.oci.image.manifest.v1+json"
_CONFIG = "application/vnd.oci.image.config.v1+json"
_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"


@dataclass(frozen=True)
class Image:
    """Its blobs, the configuration first, and the manifest that names them."""

    blobs: list[bytes]
    manifest: bytes

    @property
    def size(self) -> int:
        """All bytes of the blobs."""
        return sum(map(len, self.blobs))

    def write(self, folder: Path) -> None:
        """Write it as skopeo's ``dir:`` does."""
        folder.mkdir(parents=True)
        (folder / "version").write_text("Directory Transport Version: 1.1\n", "utf-8")
        (folder / "manifest.json").write_bytes(self.manifest)
        for blob in self.blobs:
            (folder / hashlib.sha256(blob).hexdigest()).write_bytes(blob)


def build(layers: int, layer_bytes: int, seed: str = "") -> Image:
    """An image with that many layers, another for each ``seed``; of random content, so that nothing on the
    way can make it smaller.
    """
    tars = [_tar(random.Random(f"{seed}/{number}").randbytes(layer_bytes)) for number in range(layers)]
    packed = [gzip.compress(tar, 0, mtime=0) for tar in tars]
    rootfs = {"type": "layers", "diff_ids": [_digest(tar) for tar in tars]}
    config = json.dumps({"architecture": "amd64", "os": "linux", "config": {}, "rootfs": rootfs}).encode()
    manifest = {
        "schemaVersion": 2,
        "mediaType": MEDIA_TYPE,
        "config": _descriptor(_CONFIG, config),
        "layers": [_descriptor(_LAYER, blob) for blob in packed],
    }
    return Image([config, *packed], json.dumps(manifest).encode())


def _tar(content: bytes) -> bytes:
    output = io.BytesIO()
    with tarfile.open(fileobj=output, mode="w") as archive:
        member = tarfile.TarInfo("content")
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content))
    return output.getvalue()


def _descriptor(media_type: str, content: bytes) -> dict[str, object]:
    return {"mediaType": media_type, "digest": _digest(content), "size": len(content)}


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"
