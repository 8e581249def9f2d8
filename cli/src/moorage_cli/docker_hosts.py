"""Hosts of registries that docker and its kind ask the credential helper for, and who has logged in there."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from moorage_cli.errors import CliError, Misused
from moorage_cli.storage import locked, read_versioned, require_private, write_document

FORMAT = 1
_USUAL_PORTS = {"https": ":443", "http": ":80"}


@dataclass(frozen=True, slots=True)
class DockerHost:
    """A host as it stands in names of images, and the address of the registry that it belongs to.

    ``profiles`` have logged in, the last one first. ``kept`` says that a key was given to ``docker login``.
    """

    host: str
    endpoint: str
    insecure: bool = False
    profiles: tuple[str, ...] = ()
    kept: bool = False

    @property
    def account(self) -> str:
        """Where ``secret_store`` has the key that ``docker login`` was given; no profile is called so."""
        return f"docker:{self.host}"

    def to_json(self) -> dict[str, Any]:
        """As the file has it, below the host."""
        document: dict[str, Any] = {"endpoint": self.endpoint, "profiles": list(self.profiles)}
        flags = {"insecure": self.insecure, "kept": self.kept}
        return document | {name: True for name, is_set in flags.items() if is_set}


@dataclass(frozen=True, slots=True)
class DockerHosts:
    """All of them by host."""

    by_host: Mapping[str, DockerHost]

    def find(self, address: Address) -> DockerHost | None:
        """The one that a client's question is about, or None."""
        return next((self.by_host[each] for each in address.hosts if each in self.by_host), None)

    def logged_in(self, host: str, endpoint: str, profile: str | None, *, insecure: bool) -> DockerHosts:
        """With a login at ``host`` of ``profile``, or of nobody but whoever sets a variable. It ends what was
        given to ``docker login`` before.
        """
        known = self.by_host.get(host)
        # What was given for another registry stays there.
        before = known if known is not None and known.endpoint == endpoint else DockerHost(host, endpoint)
        names = before.profiles if profile is None else _first(profile, before.profiles)
        return self.put(replace(before, profiles=names, insecure=insecure, kept=False))

    def logged_out(self, host: str, profile: str | None) -> DockerHosts:
        """Without the login of ``profile`` at ``host``; without the host if nobody else has logged in there,
        or if it is nobody's in particular.
        """
        known = self.by_host[host]
        left = tuple(name for name in known.profiles if name != profile)
        return self.put(replace(known, profiles=left)) if profile and left else self.without(host)

    def put(self, host: DockerHost) -> DockerHosts:
        """With this one in place of what was there."""
        return DockerHosts({**self.by_host, host.host: host})

    def without(self, host: str) -> DockerHosts:
        """Without that one."""
        return DockerHosts({each: known for each, known in self.by_host.items() if each != host})


@dataclass(frozen=True, slots=True)
class Address:
    """What a client says that it wants credentials for: ``hosts`` are the spellings of the host, ``org`` is
    what follows it, if anything does.
    """

    hosts: tuple[str, ...]
    org: str | None = None

    @classmethod
    def parse(cls, text: str) -> Address:
        """The address in ``HOST``, ``HOST/ORG``, ``https://HOST`` or ``https://HOST/v1/``.

        Raises:
            Misused: there is no host in it.
        """
        written = text.strip()
        scheme, separator, rest = written.partition("://")
        try:
            parts = urlsplit(f"//{rest if separator else written}")
        except ValueError:
            raise Misused(f"{text!r} is not the address of a registry") from None
        host = parts.netloc.rpartition("@")[2].lower()
        if not host or any(each.isspace() for each in host):
            raise Misused(f"{text!r} is not the address of a registry", "write it as HOST or HOST:PORT")
        usual = _USUAL_PORTS.get(scheme.lower(), "") if separator else ""
        spellings = (host, host.removesuffix(usual)) if usual else (host,)
        return cls(tuple(dict.fromkeys(spellings)), parts.path.strip("/").partition("/")[0] or None)


class DockerHostFile:
    """``docker-hosts.json`` of a configuration folder. It holds no secrets."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._file = folder / "docker-hosts.json"

    def load(self) -> DockerHosts:
        """What is in the file; no hosts if there is none.

        Raises:
            CliError: it cannot be read, others can change it, or it is of a newer version of this command.
        """
        require_private(self.folder)
        document = read_versioned(self._file, FORMAT)
        try:
            hosts = {host: _host(host, each) for host, each in document.get("hosts", {}).items()}
        except (AttributeError, KeyError, TypeError) as error:
            raise CliError(
                f"{self._file} is damaged", "remove it, and run 'moorage image docker-login'"
            ) from error
        return DockerHosts(hosts)

    def change(self, change: Callable[[DockerHosts], DockerHosts]) -> DockerHosts:
        """Put ``change`` of what is there into the file, while no other command changes it; the result."""
        with locked(self.folder):
            before = self.load()
            changed = change(before)
            if changed != before:
                hosts = {host: each.to_json() for host, each in sorted(changed.by_host.items())}
                write_document(self._file, {"v": FORMAT, "hosts": hosts})
        return changed


def _host(host: str, document: Mapping[str, Any]) -> DockerHost:
    return DockerHost(
        host,
        str(document["endpoint"]),
        bool(document.get("insecure")),
        tuple(str(each) for each in document["profiles"]),
        bool(document.get("kept")),
    )


def _first(name: str, names: Iterable[str]) -> tuple[str, ...]:
    return (name, *(each for each in names if each != name))
