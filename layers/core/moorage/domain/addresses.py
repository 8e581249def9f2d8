"""How clients address a repository: ``HOST/ORG/IMAGE``, and ``ORG.DOMAIN/IMAGE`` where there is a domain.

Both are the same (org, image). What a token grants and what a row is keyed by is that pair, never the
string that a client sent.
"""

from __future__ import annotations

from dataclasses import dataclass

from moorage.domain.errors import NameInvalid
from moorage.domain.names import Repository, parse_organisation


@dataclass(frozen=True, slots=True)
class Address:
    """The host that a client has named, as a place where repositories have names."""

    host: str
    organisation: str | None = None
    """The organisation whose images stand directly below this host, if it is such a host."""

    @classmethod
    def parse(cls, host: str, domain: str | None) -> Address:
        """The address of ``host`` (which may have a port) in a deployment with ``domain`` or without one.

        Raises:
            NameInvalid: below the domain, but not a well-formed organisation name.
        """
        name = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host
        suffix = f".{domain.lower()}" if domain else None
        if suffix is None or not name.lower().endswith(suffix):
            return cls(host)
        return cls(host, parse_organisation(name.lower().removesuffix(suffix)))

    def repository(self, name: str) -> Repository:
        """The repository that a client at this address calls ``name``.

        Raises:
            NameInvalid: no repository can be called so.
        """
        return Repository.parse(name if self.organisation is None else f"{self.organisation}/{name}")

    def name_of(self, repository: Repository) -> str:
        """What a client at this address calls ``repository``.

        Raises:
            NameInvalid: it is of another organisation, which has no names here.
        """
        if self.organisation is None:
            return repository.name
        if self.organisation != repository.org:
            raise NameInvalid("the repository belongs to another organisation than the host")
        return repository.image
