"""What stands for SOURCE on the command line, and the image that it is."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from moorage_cli.errors import Misused
from moorage_cli.push.docker_archive import MANIFEST, DockerArchive, Packing
from moorage_cli.push.engines import ENGINES, save
from moorage_cli.push.image import Image
from moorage_cli.push.layout import INDEX, Layout, Wanted
from moorage_cli.push.places import open_place

# The names that skopeo has for them; all are told apart by what they hold.
_FILES = ("oci", "oci-archive", "docker-archive")


@dataclass(frozen=True, slots=True)
class Source:
    """A ``path`` and a ``reference`` in what is there, or the image ``reference`` of an ``engine``."""

    path: Path | None = None
    reference: str | None = None
    engine: str | None = None


def parse_source(text: str) -> Source:
    """What ``oci:DIR[:REF]``, ``oci-archive:FILE[:REF]``, ``docker-archive:FILE[:REF]``, ``docker:IMAGE``,
    ``podman:IMAGE``, or a bare path means. A path that is there is that path, colons and all.
    """
    kind, colon, rest = text.partition(":")
    if not colon or Path(text).exists():
        return Source(Path(text))
    if kind in ENGINES:
        return Source(reference=rest, engine=kind)
    if kind in _FILES:
        return _with_reference(rest)
    return Source(Path(text))


def read_image(source: Source, platform: str | None, packing: Packing) -> Image:
    """The image of a source. What has a manifest is taken as it is, byte for byte; for what has none one is
    made, and so it is for what an engine keeps unpacked, if ``packing`` compresses.

    Raises:
        NotFound: there is no such path, or no such engine.
        Misused: what is there is no image, or not the whole of it.
        CliError: it cannot be read or saved.
    """
    saved = source.engine is not None
    path = save(source.engine, source.reference or "", packing.scratch) if source.engine else source.path
    if path is None:
        raise Misused("no source is named", "name a folder, an archive, docker:IMAGE or podman:IMAGE")
    place = open_place(path, packing.scratch)
    reference = None if saved else source.reference
    has_index, has_manifest = place.find(INDEX) is not None, place.find(MANIFEST) is not None
    if not has_index and not has_manifest:
        raise Misused(f"{path} holds no image", f"it has neither {INDEX} nor {MANIFEST}; it may be cut off")
    if has_index:
        layout = Layout(place)
        wanted = Wanted(reference, platform, partial=has_manifest)
        # An engine's own manifest of what it keeps unpacked is made for the archive, and nobody knows it.
        if not (saved and packing.compress and has_manifest and layout.is_plain(wanted)):
            return _named(layout.image(wanted), source)
    elif platform is not None:
        raise Misused(f"{path} has one platform alone", "leave out --platform")
    return _named(DockerArchive(place).image(reference, packing), source)


def _named(image: Image, source: Source) -> Image:
    return replace(image, names=(source.reference, *image.names)) if source.reference else image


def _with_reference(text: str) -> Source:
    """The longest way into the text that leads to something is the path; a reference may have colons."""
    places = [index for index, character in enumerate(text) if character == ":"]
    for end in (len(text), *reversed(places)):
        if end and Path(text[:end]).exists():
            return Source(Path(text[:end]), text[end + 1 :] or None)
    return Source(Path(text))
