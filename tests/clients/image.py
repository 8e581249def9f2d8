"""An image to push, and what came back of it.

The layers are random, so that they do not shrink, and seeded, so that no two clients push the same blob: a blob
that the registry knows already would be mounted and not uploaded. Clients compress layers each in their own way,
so what is compared is each layer's uncompressed tar.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import platform
import random
import shutil
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

LAYER_SIZES = (1_000_000, 2_000_000, 3_000_000, 4_000_000)
# A version as charts have it, so that all clients can have the same tags.
TAG = "1.0.0"
OWN_ARCHITECTURE, FOREIGN_ARCHITECTURE = {"x86_64": ("amd64", "arm64"), "aarch64": ("arm64", "amd64")}[
    platform.machine()
]
_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_CONFIG = "application/vnd.oci.image.config.v1+json"
_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
_INDEX = "application/vnd.oci.image.index.v1+json"


@dataclass(frozen=True, slots=True)
class Image:
    """The same image in the forms that clients take, and the digests of its uncompressed layers, lowest first;
    ``size`` is what the layers have at least, compressed or not.
    """

    layout: Path
    oci_archive: Path
    docker_archive: Path
    layers: tuple[str, ...]
    size: int


def build(
    folder: Path, name: str, sizes: Sequence[int] = LAYER_SIZES, architecture: str = OWN_ARCHITECTURE
) -> Image:
    """An image ``name`` tagged ``TAG`` whose content depends on ``name`` and ``sizes`` alone."""
    layers = [_layer(f"{name}/{number}", size) for number, size in enumerate(sizes)]
    digests = tuple(map(digest, layers))
    config = _json(
        {
            "architecture": architecture,
            "os": "linux",
            "config": {"Cmd": ["/bin/none"]},
            "rootfs": {"type": "layers", "diff_ids": list(digests)},
            "history": [{"created_by": f"layer {number}"} for number in range(len(layers))],
        }
    )
    layout = _layout(folder / "layout", name, config, layers)
    return Image(
        layout,
        _oci_archive(folder / "oci.tar", layout),
        _docker_archive(folder / "docker.tar", name, config, layers),
        digests,
        sum(sizes),
    )


@dataclass(frozen=True, slots=True)
class MultiPlatform:
    """An index ``name`` tagged ``TAG`` of two images, as a layout and as an archive, and the images by architecture."""

    layout: Path
    oci_archive: Path
    images: dict[str, Image]


def build_index(folder: Path, name: str, sizes: Sequence[int]) -> MultiPlatform:
    """An image for this machine's architecture and one for another."""
    images, entries, layout = {}, [], folder / "layout"
    for architecture in (OWN_ARCHITECTURE, FOREIGN_ARCHITECTURE):
        place = folder / architecture
        place.mkdir()
        images[architecture] = build(place, f"{name}-{architecture}", sizes, architecture)
        shutil.copytree(images[architecture].layout, layout, dirs_exist_ok=True)
        (entry,) = json.loads((layout / "index.json").read_bytes())["manifests"]
        del entry["annotations"]
        entries.append({**entry, "platform": {"os": "linux", "architecture": architecture}})
    index = _json({"schemaVersion": 2, "mediaType": _INDEX, "manifests": entries})
    (layout / "blobs" / digest(index).replace(":", "/")).write_bytes(index)
    top = {"mediaType": _INDEX, "digest": digest(index), "size": len(index), "annotations": _names(name)}
    (layout / "index.json").write_bytes(_json({"schemaVersion": 2, "manifests": [top]}))
    return MultiPlatform(layout, _oci_archive(folder / "oci.tar", layout), images)


def layers_of(place: Path) -> tuple[str, ...]:
    """The digests of the uncompressed layers in an OCI layout, or an archive of one, or a docker archive; of a folder
    of charts those of the charts.

    Raises:
        ValueError: the layers are not what the image's own configuration names.
    """
    content = _content(place)
    if charts := [file for name, file in sorted(content.items()) if name.endswith(".tgz")]:
        return tuple(map(digest, charts))
    if "index.json" in content:
        config, layers = _from_layout(content)
    else:
        (entry,) = json.loads(content["manifest.json"])
        config, layers = content[entry["Config"]], [content[name] for name in entry["Layers"]]
    found = tuple(digest(gzip.decompress(layer) if layer[:2] == b"\x1f\x8b" else layer) for layer in layers)
    if list(found) != json.loads(config)["rootfs"]["diff_ids"]:
        raise ValueError(f"{place}: the layers are not those of the configuration")
    return found


def digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _layer(seed: str, size: int) -> bytes:
    files = {f"{seed}/noise": random.Random(seed).randbytes(size), f"{seed}/name": seed.encode()}
    return tar(files)


def tar(files: dict[str, bytes]) -> bytes:
    """An archive of files with these contents, the same each time."""
    output = io.BytesIO()
    with tarfile.open(fileobj=output, mode="w") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return output.getvalue()


def _json(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _layout(folder: Path, name: str, config: bytes, layers: list[bytes]) -> Path:
    blobs = folder / "blobs" / "sha256"
    blobs.mkdir(parents=True)

    def stored(media_type: str, content: bytes) -> dict[str, Any]:
        (blobs / digest(content).removeprefix("sha256:")).write_bytes(content)
        return {"mediaType": media_type, "digest": digest(content), "size": len(content)}

    manifest = {
        "schemaVersion": 2,
        "mediaType": _MANIFEST,
        "config": stored(_CONFIG, config),
        "layers": [stored(_LAYER, gzip.compress(layer, 1, mtime=0)) for layer in layers],
    }
    top = stored(_MANIFEST, _json(manifest))
    top["annotations"] = _names(name)
    (folder / "oci-layout").write_bytes(_json({"imageLayoutVersion": "1.0.0"}))
    (folder / "index.json").write_bytes(_json({"schemaVersion": 2, "manifests": [top]}))
    return folder


def _names(name: str) -> dict[str, str]:
    """One name for whoever reads the layout itself, one for containerd, which imports under a whole reference."""
    return {
        "org.opencontainers.image.ref.name": TAG,
        "io.containerd.image.name": f"local.invalid/{name}:{TAG}",
    }


def _oci_archive(target: Path, layout: Path) -> Path:
    files = {str(path.relative_to(layout)): path.read_bytes() for path in layout.rglob("*") if path.is_file()}
    target.write_bytes(tar(files))
    return target


def _docker_archive(target: Path, name: str, config: bytes, layers: list[bytes]) -> Path:
    files = {f"{digest(config).removeprefix('sha256:')}.json": config}
    files.update({f"{number}/layer.tar": layer for number, layer in enumerate(layers)})
    configuration, *names = files
    entry = {"Config": configuration, "RepoTags": [f"{name}:{TAG}"], "Layers": names}
    target.write_bytes(tar({**files, "manifest.json": _json([entry])}))
    return target


def _content(place: Path) -> dict[str, bytes]:
    if place.is_dir():
        return {
            str(path.relative_to(place)): path.read_bytes() for path in place.rglob("*") if path.is_file()
        }
    with tarfile.open(place) as archive:
        return {
            member.name: file.read()
            for member in archive.getmembers()
            if (file := archive.extractfile(member)) is not None
        }


def _from_layout(content: dict[str, bytes]) -> tuple[bytes, list[bytes]]:
    def blob(descriptor: dict[str, Any]) -> bytes:
        found = content["blobs/" + descriptor["digest"].replace(":", "/")]
        if digest(found) != descriptor["digest"]:
            raise ValueError(f"{descriptor['digest']} has other content")
        return found

    (top,) = json.loads(content["index.json"])["manifests"]
    manifest = json.loads(blob(top))
    if "manifests" in manifest:  # what was left out belongs to other platforms
        (top,) = (
            entry
            for entry in manifest["manifests"]
            if "blobs/" + entry["digest"].replace(":", "/") in content
        )
        manifest = json.loads(blob(top))
    return blob(manifest["config"]), [blob(layer) for layer in manifest["layers"]]
