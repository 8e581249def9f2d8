"""Images of one platform or of several as OCI layouts, made of random bytes."""

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
    layout, source = _Layout(folder), random.Random(seed)
    layers = [_archive(f"layer-{number}", source.randbytes(size)) for number, size in enumerate(sizes)]
    entry = layout.image("amd64", layers)
    layout.finish(tag, entry)
    return layout.read(entry)


def write_platforms(folder: Path, tag: str, architectures: list[str], size: int, *, seed: int) -> str:
    """Write an index with an image for each processor, of a layer of that many bytes that all of them have and
    one of its own; the digest of the index.
    """
    layout, source = _Layout(folder), random.Random(seed)
    shared = _archive("shared", source.randbytes(size))
    images = [
        {
            **layout.image(each, [shared, _archive(each, source.randbytes(size))]),
            "platform": {"os": "linux", "architecture": each},
        }
        for each in architectures
    ]
    content = json.dumps({"schemaVersion": 2, "mediaType": f"{_OCI}.index.v1+json", "manifests": images})
    entry = layout.add(content.encode(), f"{_OCI}.index.v1+json")
    layout.finish(tag, entry)
    return str(entry["digest"])


class _Layout:
    """An OCI layout that is being written."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._blobs = folder / "blobs" / "sha256"
        self._blobs.mkdir(parents=True)

    def add(self, content: bytes, media_type: str) -> dict[str, Any]:
        digest = hashlib.sha256(content).hexdigest()
        (self._blobs / digest).write_bytes(content)
        return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(content)}

    def read(self, entry: dict[str, Any]) -> bytes:
        digest: str = entry["digest"]
        return (self._blobs / digest.removeprefix("sha256:")).read_bytes()

    def image(self, architecture: str, archives: list[bytes]) -> dict[str, Any]:
        """The manifest of an image of these layers."""
        layers = [self.add(gzip.compress(each, mtime=0), f"{_OCI}.layer.v1.tar+gzip") for each in archives]
        config = {
            "architecture": architecture,
            "os": "linux",
            "config": {},
            "rootfs": {
                "type": "layers",
                "diff_ids": [f"sha256:{hashlib.sha256(each).hexdigest()}" for each in archives],
            },
        }
        manifest = {
            "schemaVersion": 2,
            "mediaType": f"{_OCI}.manifest.v1+json",
            "config": self.add(json.dumps(config).encode(), f"{_OCI}.config.v1+json"),
            "layers": layers,
        }
        return self.add(json.dumps(manifest).encode(), f"{_OCI}.manifest.v1+json")

    def finish(self, tag: str, entry: dict[str, Any]) -> None:
        named = entry | {"annotations": {"org.opencontainers.image.ref.name": tag}}
        (self._folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [named]}))
        (self._folder / "oci-layout").write_text(json.dumps({"imageLayoutVersion": "1.0.0"}))


def _archive(name: str, content: bytes) -> bytes:
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w") as archive:
        entry = tarfile.TarInfo(name)
        entry.size = len(content)
        archive.addfile(entry, io.BytesIO(content))
    return written.getvalue()
