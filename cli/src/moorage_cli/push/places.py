"""Places with files by name: a folder, or a tar archive. Nothing is unpacked, and no link leads out of it."""

from __future__ import annotations

import posixpath
import stat
import tarfile
from pathlib import Path
from typing import Protocol, Self

from moorage_cli.errors import Misused, NotFound
from moorage_cli.push.content import Content
from moorage_cli.push.scratch import Scratch, writing
from moorage_cli.push.unpacking import GZIP, Damaged, unpacked

# Far more than an image of the most layers has.
_MOST_MEMBERS = 100_000
_MOST_LINKS = 16
# Long names and attributes of files; Python reads them whole.
_MOST_EXTENSION = 1024 * 1024
_EXTENSIONS = frozenset(
    {
        tarfile.XHDTYPE,
        tarfile.XGLTYPE,
        tarfile.SOLARIS_XHDTYPE,
        tarfile.GNUTYPE_LONGNAME,
        tarfile.GNUTYPE_LONGLINK,
    }
)
_NAME_SHOWN = 100
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
            raise Misused(f"{shown(name)} in {self} cannot be read") from error
        if not file.is_relative_to(self._root):
            raise Misused(
                f"{shown(name)} in {self} is a link that leads out of it", "copy the file there instead"
            )
        if not stat.S_ISREG(found.st_mode):
            raise Misused(f"{shown(name)} in {self} is no ordinary file")
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
                raise Misused(f"{shown(name)} in {self} is no ordinary file")
            if _normal(wanted).startswith(("../", "/")):
                raise Misused(f"{shown(name)} in {self} is a link that leads out of it")
        raise Misused(f"{shown(name)} in {self} is a link that leads nowhere")

    def __str__(self) -> str:
        return str(self._shown)

    def _check(self, member: tarfile.TarInfo, length: int) -> None:
        # Attributes that follow a header may have changed what it says.
        if member.size < 0:
            raise _Impossible
        if member.isreg() and member.offset_data + member.size > length:
            raise Misused(f"{self} ends within {shown(member.name)}", _CUT_OFF)

    def _read(self) -> dict[str, tarfile.TarInfo]:
        length = self._path.stat().st_size
        members: dict[str, tarfile.TarInfo] = {}
        try:
            with tarfile.open(self._path, "r:", tarinfo=_Header) as archive:
                for number, member in enumerate(archive):
                    if number >= _MOST_MEMBERS:
                        raise Misused(f"{self} has more than {_MOST_MEMBERS} files, as no image has")
                    self._check(member, length)
                    members[_normal(member.name)] = member
        except (tarfile.TarError, EOFError, ValueError, OverflowError, _Impossible) as error:
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
    size = path.stat().st_size
    if not Content(size, path).starts_with(GZIP):
        return Archive(path)
    plain = scratch.file()
    try:
        with path.open("rb") as packed, writing(plain) as output:
            for piece in unpacked(packed, GZIP, size):
                output.write(piece)
    except Damaged as error:
        raise Misused(f"{path} cannot be decompressed", _CUT_OFF) from error
    return Archive(plain, path)


def shown(name: str) -> str:
    """A name that others have given, at a length that a message can have."""
    return name if len(name) <= _NAME_SHOWN else f"{name[: _NAME_SHOWN - 3]}..."


class _Impossible(Exception):
    """A header says what cannot be."""


class _Header(tarfile.TarInfo):
    """A header of an archive, before anything is read by what it says."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        """See ``tarfile``.

        Raises:
            _Impossible: its length is none, or would fill the memory.
        """
        header = super().frombuf(buf, encoding, errors)
        if header.size < 0 or (header.type in _EXTENSIONS and header.size > _MOST_EXTENSION):
            raise _Impossible
        return header


def _normal(name: str) -> str:
    return posixpath.normpath(name) if name else "."
