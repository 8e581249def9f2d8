"""An image to push, and what came back of it.

The layers are random, so that they do not shrink, and seeded, so that no two clients push the same blob: a blob
that the registry knows already would be mounted and not uploaded. Clients compress layers each in their own way,
so what is compared is each layer's uncompressed tar. Nothing here holds a layer in memory, and each layer stands on
the disk once, until a client wants an archive.
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
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any, Protocol, cast

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
_PIECE = 1 << 20


@dataclass(frozen=True, slots=True)
class Image:
    """An image in an OCI layout, and the digests of its uncompressed layers, lowest first; ``size`` is what the
    layers have at least, compressed or not.
    """

    layout: Path
    name: str
    layers: tuple[str, ...]
    size: int

    @property
    def oci_archive(self) -> Path:
        """The layout in one file, which is made when it is first wanted."""
        return _made(self.layout.with_name("oci.tar"), lambda file: pack(file, _files_below(self.layout)))

    @property
    def docker_archive(self) -> Path:
        """The same image as ``docker save`` writes it, with uncompressed layers; made when it is first wanted."""
        return _made(self.layout.with_name("docker.tar"), self._write_docker_archive)

    def _write_docker_archive(self, output: IO[bytes]) -> None:
        with _opened(self.layout) as content:
            config, layers = _from_layout(content)
            names = [f"{number}/layer.tar" for number in range(len(layers))]
            configuration = f"{digest(config).removeprefix('sha256:')}.json"
            entry = {"Config": configuration, "RepoTags": [f"{self.name}:{TAG}"], "Layers": names}

            def members() -> Iterator[Member]:
                yield member(configuration, config)
                for name, layer in zip(names, layers, strict=True):
                    with tempfile.TemporaryFile(dir=self.layout.parent) as plain:
                        with layer() as packed, _uncompressed(packed) as source:
                            shutil.copyfileobj(source, plain, _PIECE)
                        size = plain.tell()
                        plain.seek(0)
                        yield name, size, plain
                yield member("manifest.json", _json([entry]))

            pack(output, members())


def build(
    folder: Path, name: str, sizes: Sequence[int] = LAYER_SIZES, architecture: str = OWN_ARCHITECTURE
) -> Image:
    """An image ``name`` tagged ``TAG`` whose content depends on ``name`` and ``sizes`` alone."""
    layout = folder / "layout"
    blobs = layout / "blobs" / "sha256"
    blobs.mkdir(parents=True)
    layers = [_layer(blobs, f"{name}/{number}", size) for number, size in enumerate(sizes)]
    digests = tuple(diff for diff, _ in layers)
    config = _json(
        {
            "architecture": architecture,
            "os": "linux",
            "config": {"Cmd": ["/bin/none"]},
            "rootfs": {"type": "layers", "diff_ids": list(digests)},
            "history": [{"created_by": f"layer {number}"} for number in range(len(layers))],
        }
    )
    manifest = {
        "schemaVersion": 2,
        "mediaType": _MANIFEST,
        "config": _stored(blobs, _CONFIG, config),
        "layers": [descriptor for _, descriptor in layers],
    }
    top = {**_stored(blobs, _MANIFEST, _json(manifest)), "annotations": _names(name)}
    (layout / "oci-layout").write_bytes(_json({"imageLayoutVersion": "1.0.0"}))
    (layout / "index.json").write_bytes(_json({"schemaVersion": 2, "manifests": [top]}))
    return Image(layout, name, digests, sum(sizes))


@dataclass(frozen=True, slots=True)
class MultiPlatform:
    """An index ``name`` tagged ``TAG`` of two images, as a layout, and the images by architecture."""

    layout: Path
    images: dict[str, Image]

    @property
    def oci_archive(self) -> Path:
        """The layout in one file, which is made when it is first wanted."""
        return _made(self.layout.with_name("oci.tar"), lambda file: pack(file, _files_below(self.layout)))


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
    top = {**_stored(layout / "blobs" / "sha256", _INDEX, index), "annotations": _names(name)}
    (layout / "index.json").write_bytes(_json({"schemaVersion": 2, "manifests": [top]}))
    return MultiPlatform(layout, images)


def layers_of(place: Path) -> tuple[str, ...]:
    """The digests of the uncompressed layers in an OCI layout, or an archive of one, or a docker archive; of a folder
    of charts those of the charts.

    Raises:
        ValueError: the layers are not what the image's own configuration names.
    """
    with _opened(place) as content:
        if charts := [file for name, file in sorted(content.items()) if name.endswith(".tgz")]:
            return tuple(_digest_of(chart) for chart in charts)
        if "index.json" in content:
            config, layers = _from_layout(content)
        else:
            (entry,) = json.loads(_read(content["manifest.json"]))
            config = _read(content[entry["Config"]])
            layers = [content[name] for name in entry["Layers"]]
        found = tuple(_digest_of(layer, uncompressed=True) for layer in layers)
    if list(found) != json.loads(config)["rootfs"]["diff_ids"]:
        raise ValueError(f"{place}: the layers are not those of the configuration")
    return found


def digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def file_digest(file: Path) -> str:
    """The digest of a file's content."""
    return _digest_of(partial(_file, file))


class Writable(Protocol):
    """Where bytes go."""

    def write(self, piece: bytes, /) -> Any: ...


class Readable(Protocol):
    """Where bytes come from."""

    def read(self, length: int, /) -> bytes: ...


class Noise:
    """Bytes that do not shrink and are the same each time, as many as are read."""

    def __init__(self, seed: str) -> None:
        self._random = random.Random(seed)

    def read(self, length: int, /) -> bytes:
        return self._random.randbytes(length)


# What an archive has under a name: how long it is, and where it comes from.
Member = tuple[str, int, Readable]


def member(name: str, content: bytes) -> Member:
    return name, len(content), io.BytesIO(content)


def pack(output: Writable, members: Iterable[Member]) -> None:
    """Write an archive of files, the same each time."""
    with tarfile.open(fileobj=cast("IO[bytes]", output), mode="w|", bufsize=_PIECE) as archive:
        for name, size, source in members:
            info = tarfile.TarInfo(name)
            info.size = size
            archive.addfile(info, cast("IO[bytes]", source))


def pack_compressed(output: IO[bytes], members: Iterable[Member]) -> tuple[str, str]:
    """Write an archive as ``pack`` does, in gzip's form but no smaller, because noise would only cost time; the
    digests of the archive and of what was written.
    """
    packed = _Hashing(output)
    with gzip.GzipFile("", "wb", 0, cast("IO[bytes]", packed), 0) as compressed:
        plain = _Hashing(compressed)
        pack(plain, members)
    return plain.digest, packed.digest


class _Hashing:
    """Passes on what is written, and knows its digest."""

    def __init__(self, output: Writable) -> None:
        self._output = output
        self._hash = hashlib.sha256()

    def write(self, piece: bytes, /) -> int:
        self._hash.update(piece)
        self._output.write(piece)
        return len(piece)

    def flush(self) -> None:
        """Nothing is kept back."""

    @property
    def digest(self) -> str:
        return f"sha256:{self._hash.hexdigest()}"


def _layer(blobs: Path, seed: str, size: int) -> tuple[str, dict[str, Any]]:
    """The digest of a new layer when it is uncompressed, and the descriptor of its blob."""
    draft = blobs / "draft"
    with draft.open("wb") as output:
        members = ((f"{seed}/noise", size, Noise(seed)), member(f"{seed}/name", seed.encode()))
        diff, blob = pack_compressed(output, members)
    length = draft.stat().st_size
    draft.rename(blobs / blob.removeprefix("sha256:"))
    return diff, {"mediaType": _LAYER, "digest": blob, "size": length}


def _stored(blobs: Path, media_type: str, content: bytes) -> dict[str, Any]:
    (blobs / digest(content).removeprefix("sha256:")).write_bytes(content)
    return {"mediaType": media_type, "digest": digest(content), "size": len(content)}


def _json(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _names(name: str) -> dict[str, str]:
    """One name for whoever reads the layout itself, one for containerd, which imports under a whole reference."""
    return {
        "org.opencontainers.image.ref.name": TAG,
        "io.containerd.image.name": f"local.invalid/{name}:{TAG}",
    }


def _made(target: Path, write: Callable[[IO[bytes]], None]) -> Path:
    if not target.exists():
        with target.open("wb") as output:
            write(output)
    return target


def _files_below(folder: Path) -> Iterator[Member]:
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            with path.open("rb") as file:
                yield str(path.relative_to(folder)), path.stat().st_size, file


# Opens a file of a folder or an archive anew each time.
_Opener = Callable[[], IO[bytes]]


@contextmanager
def _opened(place: Path) -> Iterator[dict[str, _Opener]]:
    """The files of a folder or an archive by name."""
    if place.is_dir():
        files = (path for path in place.rglob("*") if path.is_file())
        yield {str(path.relative_to(place)): partial(_file, path) for path in files}
        return
    with tarfile.open(place) as archive:
        yield {
            info.name: partial(_extracted, archive, info) for info in archive.getmembers() if not info.isdir()
        }


def _file(path: Path) -> IO[bytes]:
    return path.open("rb")


def _extracted(archive: tarfile.TarFile, info: tarfile.TarInfo) -> IO[bytes]:
    file = archive.extractfile(info)
    assert file is not None
    return file


def _read(opener: _Opener) -> bytes:
    with opener() as file:
        return file.read()


@contextmanager
def _uncompressed(file: IO[bytes]) -> Iterator[IO[bytes]]:
    compressed = file.read(2) == b"\x1f\x8b"
    file.seek(0)
    if not compressed:
        yield file
        return
    with gzip.GzipFile(fileobj=file) as plain:
        yield cast("IO[bytes]", plain)


def _digest_of(opener: _Opener, *, uncompressed: bool = False) -> str:
    found = hashlib.sha256()
    with opener() as file, _uncompressed(file) if uncompressed else nullcontext(file) as source:
        while piece := source.read(_PIECE):
            found.update(piece)
    return f"sha256:{found.hexdigest()}"


def _from_layout(content: dict[str, _Opener]) -> tuple[bytes, list[_Opener]]:
    def blob(descriptor: dict[str, Any]) -> _Opener:
        found = content["blobs/" + descriptor["digest"].replace(":", "/")]
        if _digest_of(found) != descriptor["digest"]:
            raise ValueError(f"{descriptor['digest']} has other content")
        return found

    (top,) = json.loads(_read(content["index.json"]))["manifests"]
    manifest = json.loads(_read(blob(top)))
    if "manifests" in manifest:  # what was left out belongs to other platforms
        (top,) = (
            entry
            for entry in manifest["manifests"]
            if "blobs/" + entry["digest"].replace(":", "/") in content
        )
        manifest = json.loads(_read(blob(top)))
    return _read(blob(manifest["config"])), [blob(layer) for layer in manifest["layers"]]
