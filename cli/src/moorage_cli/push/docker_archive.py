"""Archives of ``docker save`` that have no manifest of their own, and the manifest that is made for them.

Their layers are uncompressed, because the engine keeps them unpacked. They are compressed here, always to the
same bytes, as every client does that pushes from an engine: what is stored and sent to each who pulls is a
third of it then. The manifest is one of the OCI, which describes docker's configuration as well as its own.

The configuration calls layers by the digests of what they unpack to. The registry never sees that, so that it
is compared here: an image that does not unpack to what it is called could be pulled by nobody.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import IO, Any, Self, cast

from moorage_cli.errors import CliError, Misused
from moorage_cli.push.content import PIECE, Content, digest_of, parse_digest
from moorage_cli.push.image import MAX_MANIFEST, OCI_LAYER, Blob, Image, made_image, parse_object
from moorage_cli.push.layout import is_called
from moorage_cli.push.places import Place
from moorage_cli.push.progress import Bar
from moorage_cli.push.scratch import Output, Scratch, writing
from moorage_cli.push.unpacking import GZIP, ZSTD, Damaged, unpacked

MANIFEST = "manifest.json"
# Of an image's configuration; docker's own have some kilobytes.
_MAX_CONFIG = 16 * 1024 * 1024
_PACKED = ((GZIP, "+gzip"), (ZSTD, "+zstd"))
_LEVEL = 6


@dataclass(frozen=True, slots=True)
class Packing:
    """How layers are made ready: whether compressed, where to, how many at once, and who is told of it.

    ``watch`` is given the name and size of a layer, and what is done with it, and gives what is told of that.
    """

    scratch: Scratch
    compress: bool
    at_once: int
    watch: Callable[[str, int, str], Bar]
    stopped: threading.Event


class DockerArchive:
    """What ``docker save`` wrote, at a place that has a ``manifest.json``."""

    def __init__(self, place: Place) -> None:
        self._place = place

    def image(self, reference: str | None, packing: Packing) -> Image:
        """The image that is called ``reference``, or the only one.

        Raises:
            Misused: there is none such, or several; or a file of it is missing or is not what it says.
            CliError: there is no room for compressed layers.
        """
        entry = self._entry(reference)
        config, diffs = self._config(entry)
        layers = entry.get("Layers") or []
        if not isinstance(layers, list) or len(layers) != len(diffs):
            raise Misused(f"{self._place} has not the layers that its configuration names", "save it again")
        contents = [self._file(name) for name in layers]
        distinct = dict(zip(diffs, contents, strict=True))
        with ThreadPoolExecutor(packing.at_once) as pool:
            try:
                made = list(pool.map(lambda diff: _layer(diff, distinct[diff], packing), distinct))
            except BaseException:
                packing.stopped.set()
                raise
        ready = dict(zip(distinct, made, strict=True))
        return made_image(config, [ready[diff] for diff in diffs], _tags(entry))

    def _entry(self, reference: str | None) -> dict[str, Any]:
        what = f"{MANIFEST} in {self._place}"
        try:
            entries = json.loads(self._file(MANIFEST).read(MAX_MANIFEST, what).decode())
        except (ValueError, RecursionError):
            entries = None
        if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
            raise Misused(f"{what} is no list of images")
        if reference is not None:
            entries = [entry for entry in entries if is_called(reference, _tags(entry))]
            if not entries:
                raise Misused(f"{self._place} has no image {reference!r}")
        if len(entries) != 1:
            called = ", ".join(tag for entry in entries for tag in _tags(entry)[:1])[:500]
            raise Misused(
                f"{self._place} has {len(entries)} images", f"add :REF of one of {called or 'them'}"
            )
        return dict(entries[0])

    def _config(self, entry: dict[str, Any]) -> tuple[bytes, list[str]]:
        name = entry.get("Config")
        config = self._file(name).read(_MAX_CONFIG, "the configuration")
        # Its name is its digest, wherever docker has put it.
        named = str(name).rpartition("/")[2].removesuffix(".json")
        if len(named) == hashlib.sha256().digest_size * 2 and digest_of(config) != f"sha256:{named}":
            raise Misused(
                f"{self._place} holds other content than its configuration {named}", "save it again"
            )
        rootfs = parse_object(config, "the configuration").get("rootfs")
        diffs = rootfs.get("diff_ids") if isinstance(rootfs, dict) else None
        if not isinstance(diffs, list):
            raise Misused(f"the configuration in {self._place} names no layers")
        return config, [parse_digest(diff) for diff in diffs]

    def _file(self, name: object) -> Content:
        found = self._place.find(name) if isinstance(name, str) else None
        if found is None:
            raise Misused(f"{self._place} lacks {str(name)[:200]!r}", "it may be cut off: save it again")
        return found


def _tags(entry: dict[str, Any]) -> tuple[str, ...]:
    tags = entry.get("RepoTags")
    return tuple(tag for tag in tags if isinstance(tag, str)) if isinstance(tags, list) else ()


def _layer(diff: str, content: Content, packing: Packing) -> tuple[str, Blob]:
    """A layer's media type and blob."""
    for magic, suffix in _PACKED:
        if content.starts_with(magic):
            return OCI_LAYER + suffix, Blob(_checked(diff, magic, content, packing), content)
    if not packing.compress:
        # The name that the configuration has for it is its digest then, and the store proves it.
        return OCI_LAYER, Blob(diff, content)
    return OCI_LAYER + "+gzip", _compressed(diff, content, packing)


def _compressed(diff: str, content: Content, packing: Packing) -> Blob:
    bar = packing.watch(diff, content.size, "compressing")
    path = packing.scratch.file()
    plain = _named(diff)
    with writing(path) as output:
        packed = _Hashing(output)
        # No name and no time, so that the same layer has the same digest each time.
        with gzip.GzipFile("", "wb", _LEVEL, packed, mtime=0) as compressing:
            for piece in _pieces(content, packing.stopped):
                plain.update(piece)
                compressing.write(piece)
                bar.advance(len(piece))
    _require(diff, plain)
    bar.end("done")
    return Blob(packed.digest, Content(output.size, path))


def _checked(diff: str, magic: bytes, content: Content, packing: Packing) -> str:
    """The digest of a layer that is compressed already, if it unpacks to what it is called."""
    bar = packing.watch(diff, content.size, "checking")
    plain, whole = _named(diff), hashlib.sha256()

    def seen(piece: bytes) -> None:
        whole.update(piece)
        bar.advance(len(piece))

    with _Reading(content, packing.stopped, seen) as packed:
        try:
            for piece in unpacked(cast("IO[bytes]", packed), magic, content.size):
                packed.look()
                plain.update(piece)
        except Damaged as error:
            raise Misused(f"the layer {diff} cannot be decompressed", "save it again") from error
    _require(diff, plain)
    bar.end("done")
    return f"sha256:{whole.hexdigest()}"


def _named(diff: str) -> Any:
    return hashlib.new(diff.partition(":")[0])


def _require(diff: str, plain: Any) -> None:
    if plain.hexdigest() != diff.partition(":")[2]:
        raise Misused(f"a layer is other content than {diff}, as the configuration calls it", "save it again")


def _pieces(content: Content, stopped: threading.Event) -> Iterator[bytes]:
    with _Reading(content, stopped) as file:
        while piece := file.read(PIECE):
            yield piece


class _Reading:
    """A file that ends where a content ends; ``seen`` is given each piece that is read."""

    def __init__(
        self,
        content: Content,
        stopped: threading.Event,
        seen: Callable[[bytes], None] = lambda _: None,
    ) -> None:
        self._file = content.open()
        self._left = content.size
        self._stopped = stopped
        self._seen = seen

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def look(self) -> None:
        """See whether anybody still wants this.

        Raises:
            CliError: nobody does.
        """
        if self._stopped.is_set():
            raise CliError("interrupted")

    def read(self, size: int = -1) -> bytes:
        """Up to so many bytes; none at the end."""
        self.look()
        piece = self._file.read(self._left if size < 0 else min(size, self._left))
        if not piece and self._left and size:
            raise Misused("a layer has become shorter while it was read")
        self._left -= len(piece)
        self._seen(piece)
        return piece


class _Hashing:
    """Writes to a temporary file, and knows the digest of what was written."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self._sha256 = hashlib.sha256()

    @property
    def digest(self) -> str:
        return f"sha256:{self._sha256.hexdigest()}"

    def write(self, piece: bytes) -> int:
        self._sha256.update(piece)
        return self._output.write(piece)

    def flush(self) -> None:
        self._output.flush()
