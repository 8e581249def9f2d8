"""OCI layouts, in folders and archives.

https://github.com/opencontainers/image-spec/blob/v1.1.1/image-layout.md
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from moorage_cli.errors import Misused
from moorage_cli.push.content import Content, parse_digest
from moorage_cli.push.image import (
    MAX_MANIFEST,
    OCI_LAYER,
    Gathering,
    Image,
    descriptors,
    is_index,
    parse_object,
)
from moorage_cli.push.places import Place, shown

INDEX = "index.json"
# What the image is called, in full by containerd and docker, else as whoever made the layout likes.
_NAMES = ("io.containerd.image.name", "org.opencontainers.image.ref.name")
_ATTESTATION = "vnd.docker.reference.type"
_PLAIN = frozenset({OCI_LAYER, "application/vnd.docker.image.rootfs.diff.tar"})

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which image of a source: ``reference`` as the source calls it, one ``platform`` of it; or whatever is
    there alone, with all its platforms. A source that is ``partial`` may lack platforms that its index lists.
    """

    reference: str | None = None
    platform: str | None = None
    partial: bool = False


class Layout:
    """The layout at a place that has an ``index.json``."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._gathering = Gathering(str(place), self._find)

    def image(self, wanted: Wanted) -> Image:
        """The image that is wanted, as it is: manifests byte for byte.

        Raises:
            Misused: there is none such, or several; or something of it is missing or is not what it says.
        """
        entries = self._entries(wanted.reference)
        chosen, note = self._chosen(entries[0], wanted)
        names = [name for entry in entries for name in _names(entry)]
        return replace(self._gathering.image(chosen), names=tuple(dict.fromkeys(names)), note=note)

    def is_plain(self, wanted: Wanted) -> bool:
        """Whether the image is one whose layers are not compressed.

        Raises:
            Misused: as ``image``.
        """
        chosen, _ = self._chosen(self._entries(wanted.reference)[0], wanted)
        manifest, document = self._gathering.manifest(chosen)
        layers = [layer.get("mediaType") for layer in descriptors(document, "layers")]
        return not is_index(manifest.media_type) and bool(layers) and _PLAIN.issuperset(layers)

    def _find(self, digest: str) -> Content | None:
        return self._place.find(f"blobs/{digest.replace(':', '/')}")

    def _entries(self, reference: str | None) -> list[dict[str, Any]]:
        """The entries of the index that name the wanted image, each by another name."""
        index = self._place.find(INDEX)
        if index is None:
            raise Misused(f"{self._place} is no OCI layout", f"it has no {INDEX}")
        what = f"{INDEX} in {self._place}"
        entries = descriptors(parse_object(index.read(MAX_MANIFEST, what), what), "manifests")
        if reference is not None:
            found = [
                entry for entry in entries if is_called(reference, [*_names(entry), entry.get("digest")])
            ]
            if not found:
                raise Misused(f"{self._place} has no image {reference!r}", _list_of(entries))
            entries = found
        if not entries:
            raise Misused(f"{self._place} has no image", f"its {INDEX} lists none")
        if len({str(entry.get("digest")) for entry in entries}) > 1:
            raise Misused(f"{self._place} has several images", _list_of(entries))
        return entries

    def _chosen(self, entry: Json, wanted: Wanted) -> tuple[Json, str]:
        """The descriptor of what is pushed of an entry, and what is to be said about it."""
        manifest, document = self._gathering.manifest(entry)
        if not is_index(manifest.media_type):
            if wanted.platform is not None:
                raise Misused(f"{self._place} has one platform alone", "leave out --platform")
            return entry, ""
        children = descriptors(document, "manifests")
        if wanted.platform is not None:
            return _of_platform(children, wanted.platform), ""
        held = [child for child in children if self._find(parse_digest(child.get("digest"))) is not None]
        if len(held) == len(children):
            return entry, ""
        images = [child for child in held if not _is_attestation(child)]
        if wanted.partial and len(images) == 1:
            only = f"only {_platform(images[0])} is there of {_platforms(children)}"
            return images[0], f"{only}: pushing that alone"
        raise Misused(
            f"{self._place} lacks some of {_platforms(children)}",
            f"choose one with --platform: {_platforms(images) or 'it has none'}",
        )


def is_called(reference: str, names: Iterable[object]) -> bool:
    """Whether one of ``names`` is what ``reference`` means, as docker reads names."""
    return any(isinstance(name, str) and _full(reference) == _full(name) for name in names)


def _full(name: str) -> str:
    if "/" not in name:
        name = f"library/{name}"
    first = name.partition("/")[0]
    if not ("." in first or ":" in first or first == "localhost"):
        name = f"docker.io/{name}"
    return name if ":" in name.rpartition("/")[2] or "@" in name else f"{name}:latest"


def _names(entry: Json) -> list[str]:
    annotations = entry.get("annotations")
    if not isinstance(annotations, dict):
        return []
    return [annotations[name] for name in _NAMES if isinstance(annotations.get(name), str)]


def _list_of(entries: Iterable[Json]) -> str:
    called = [(_names(entry) or [str(entry.get("digest"))])[0] for entry in entries]
    return f"add :REF of one of {', '.join(dict.fromkeys(called))}"[:500]


def _of_platform(children: list[dict[str, Any]], platform: str) -> dict[str, Any]:
    # `linux/arm64` is any arm64, as there is one in most indexes; `linux/arm/v6` is that alone.
    found = [child for child in children if f"{_platform(child)}/".startswith(f"{platform}/")]
    if len(found) == 1:
        return found[0]
    raise Misused(
        f"there is {'no' if not found else 'more than one'} {platform} in it",
        f"it has {_platforms(children)}",
    )


def _platform(child: Json) -> str:
    platform = child.get("platform")
    if not isinstance(platform, dict):
        return "unknown"
    parts = [platform.get(name) for name in ("os", "architecture", "variant")]
    return shown("/".join(str(part) for part in parts if part))


def _platforms(children: Iterable[Json]) -> str:
    return shown(", ".join(_platform(child) for child in children if not _is_attestation(child)))


def _is_attestation(child: Json) -> bool:
    annotations = child.get("annotations")
    return isinstance(annotations, dict) and _ATTESTATION in annotations
