"""Places with files by name: a folder, or a tar archive. Nothing is unpacked, and no link leads out of it."""

from __future__ import annotations

import gzip
import posixpath
import shutil
import stat
import tarfile
import zlib
from pathlib import Path
from typing import Protocol

from moorage_cli.errors import Misused, NotFound
from moorage_cli.push.content import PIECE, Content
from moorage_cli.push.scratch import Scratch, telling_of_space

# Far more than an image of the most layers has.
_MOST_MEMBERS = 100_000
_MOST_LINKS = 16
_GZIP = b"\x1f\x8b"
_CUT_OFF = "it may be cut off: save it again"


class Place(Protocol):
    """Files by their names, which have slashes in them."""

    def find(self, name: str) -> Content | None:
        """The file of that name, or None.

        Raises:
            Misused: it is there, and is no ordinary file of this place.
        """
        ...

    def __str__(self) -> str:
        """What a person calls it."""
        ...


class Folder:
    """A folder. Links in it may lead to other files of it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._root = path.resolve()

    def find(self, name: str) -> Content | None:
        """See ``Place``."""
        try:
            file = (self._path / name).resolve(strict=True)
            found = file.stat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (RuntimeError, OSError) as error:
            raise Misused(f"{name} in {self} cannot be read") from error
        if not file.is_relative_to(self._root):
            raise Misused(f"{name} in {self} is a link that leads out of it", "copy the file there instead")
        if not stat.S_ISREG(found.st_mode):
            raise Misused(f"{name} in {self} is no ordinary file")
        return Content(found.st_size, file)

    def __str__(self) -> str:
        return str(self._path)


class Archive:
    """A tar archive that is not compressed. Its members are read where they lie."""

    def __init__(self, path: Path, shown: Path | None = None) -> None:
        self._path = path
        self._shown = shown or path
        self._members = self._read()

    def find(self, name: str) -> Content | None:
        """See ``Place``."""
        wanted = name
        for _ in range(_MOST_LINKS):
            member = self._members.get(_normal(wanted))
            if member is None:
                return None
            if member.issym():
                # Docker writes a layer that it has written before as a link to that.
                wanted = posixpath.join(posixpath.dirname(_normal(wanted)), member.linkname)
            elif member.islnk():
                wanted = member.linkname
            elif member.isreg() and not member.issparse():
                return Content(member.size, self._path, member.offset_data)
            else:
                raise Misused(f"{name} in {self} is no ordinary file")
            if _normal(wanted).startswith(("../", "/")):
                raise Misused(f"{name} in {self} is a link that leads out of it")
        raise Misused(f"{name} in {self} is a link that leads nowhere")

    def __str__(self) -> str:
        return str(self._shown)

    def _read(self) -> dict[str, tarfile.TarInfo]:
        length = self._path.stat().st_size
        members: dict[str, tarfile.TarInfo] = {}
        try:
            with tarfile.open(self._path, "r:") as archive:
                for number, member in enumerate(archive):
                    if number >= _MOST_MEMBERS:
                        raise Misused(f"{self} has more than {_MOST_MEMBERS} files, as no image has")
                    if member.isreg() and member.offset_data + member.size > length:
                        raise Misused(f"{self} ends within {member.name}", _CUT_OFF)
                    members[_normal(member.name)] = member
        except (tarfile.TarError, EOFError, ValueError, OverflowError) as error:
            raise Misused(f"{self} is no readable tar archive", _CUT_OFF) from error
        return members


def open_place(path: Path, scratch: Scratch) -> Folder | Archive:
    """The place at a path. A compressed archive is unpacked into one that is not, in ``scratch``.

    Raises:
        NotFound: nothing is there.
        Misused: it is neither a folder nor an archive, or is cut off.
        CliError: there is no room to unpack it.
    """
    try:
        mode = path.stat().st_mode
    except FileNotFoundError as error:
        raise NotFound(
            f"there is no {path}", "name a folder, an archive, docker:IMAGE or podman:IMAGE"
        ) from error
    if stat.S_ISDIR(mode):
        return Folder(path)
    if not stat.S_ISREG(mode):
        raise Misused(f"{path} is neither a folder nor a file", "write what it gives into a file first")
    if not Content(path.stat().st_size, path).starts_with(_GZIP):
        return Archive(path)
    plain = scratch.file()
    try:
        with telling_of_space(plain), gzip.open(path) as packed, plain.open("wb") as output:
            shutil.copyfileobj(packed, output, PIECE)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise Misused(f"{path} cannot be decompressed", _CUT_OFF) from error
    return Archive(plain, path)


def _normal(name: str) -> str:
    return posixpath.normpath(name) if name else "."
