"""Which key a client's question is answered with: a variable's, that of ``docker login``, or a profile's."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from moorage_cli.credentials import is_token
from moorage_cli.docker_hosts import Address, DockerHost, DockerHostFile, DockerHosts
from moorage_cli.errors import Misused, NotFound, NotLoggedIn
from moorage_cli.profiles import Profile, ProfileFile, Profiles
from moorage_cli.secret_store import SecretStore
from moorage_cli.settings import Settings, resolve

_LOG_IN = "run 'moorage image docker-login'"
# Whatever else somebody types, such as the password of another place, is not written anywhere.
_KEY = re.compile(r"mrg_[0-9A-Za-z_]+")


class CredentialsNotFound(Exception):
    """The host is not one of ours: clients go on without credentials, or ask another helper."""


@dataclass(frozen=True, slots=True, repr=False)
class FoundKey:
    """A key, and the registry that it is for. It is never printed."""

    endpoint: str
    key: str
    insecure: bool = False


class CredentialKeys:
    """The keys that the settings in ``folder`` and the variables have for hosts of registries."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self._file = DockerHostFile(folder)
        self._profile_file = ProfileFile(folder)
        self._secrets = SecretStore(folder)
        self._environment = environment

    def hosts(self) -> Sequence[str]:
        """The hosts that ``docker-login`` was run for."""
        return sorted(self._hosts.by_host)

    def find(self, asked: str) -> FoundKey:
        """The key for the address that a client asks about.

        The first of these that there is: ``MOORAGE_TOKEN``, if it is for that registry; the profile that
        ``MOORAGE_PROFILE`` names, if it is; the key that was given to ``docker login``; of the profiles that
        have logged in there, the one of the organisation that was asked about, else the last.

        Raises:
            CredentialsNotFound: ``docker-login`` was not run for that host.
            NotLoggedIn: it was, but there is no key any more.
            CliError: the settings cannot be read.
        """
        address, host = self._known(asked)
        key = self._token_of_variable(host) or self._key_of_named_profile(host)
        if key is None and host.kept:
            key = self._secrets.get(host.account, host.endpoint)
        if key is None:
            key = self._key_of(self._logged_in(host, address.org), host)
        if is_token(key):
            raise NotLoggedIn(
                f"for {host.host} there is a bearer token, and no more than a key can do",
                "set MOORAGE_TOKEN to a key, or run 'moorage profile login'",
            )
        return FoundKey(host.endpoint, key, host.insecure)

    def keep(self, asked: str, user: str, secret: str) -> None:
        """Keep the key that somebody gave to ``docker login`` for a host, in place of what was kept before.

        Raises:
            NotFound: ``docker-login`` was not run for that host, or its login was erased since.
            Misused: it is no key.
        """
        try:
            _, host = self._known(asked)
        except CredentialsNotFound:
            # No client waits for a wording here, and a person who has logged out wants to know the way back.
            raise NotFound(
                f"docker-credential-moorage does not answer for {asked.rpartition('@')[2]}",
                f"{_LOG_IN}, which does without 'docker login'",
            ) from None
        if not _KEY.fullmatch(secret) or "/" in user:
            raise Misused(
                f"only keys are kept for {host.host}",
                "log in with the user name <token> and a key as password",
            )
        # A host that says so without a key is worse off than a key that no host speaks of.
        self._secrets.put(host.account, secret, host.endpoint)
        self._file.change(lambda hosts: hosts.put(replace(hosts.by_host.get(host.host, host), kept=True)))

    def forget(self, asked: str) -> None:
        """Forget a host, and the key that was kept for it; keys of profiles stay.

        Raises:
            CredentialsNotFound: ``docker-login`` was not run for that host.
        """
        _, host = self._known(asked)
        if host.kept:
            self._secrets.delete(host.account)
        self._file.change(lambda hosts: hosts.without(host.host))

    def _known(self, asked: str) -> tuple[Address, DockerHost]:
        try:
            address = Address.parse(asked)
        except Misused:
            raise CredentialsNotFound from None
        host = self._hosts.find(address)
        if host is None:
            raise CredentialsNotFound
        return address, host

    def _token_of_variable(self, host: DockerHost) -> str | None:
        settings = self._settings
        if settings.token is None:
            return None
        if settings.endpoint is None:
            # Nothing says whose it is: there must be no choice.
            return settings.token if len(self._endpoints) == 1 else None
        return settings.token if settings.endpoint == host.endpoint else None

    def _key_of_named_profile(self, host: DockerHost) -> str | None:
        profile = self._settings.profile if self._environment.get("MOORAGE_PROFILE") else None
        if profile is None or profile.endpoint != host.endpoint:
            return None
        return self._key_of(profile, host)

    def _logged_in(self, host: DockerHost, org: str | None) -> Profile | None:
        known = self._profiles.by_name
        there = [known[name] for name in host.profiles if name in known]
        fitting = [profile for profile in there if profile.endpoint == host.endpoint]
        return next((profile for profile in fitting if profile.org == org), next(iter(fitting), None))

    def _key_of(self, profile: Profile | None, host: DockerHost) -> str:
        if profile is None and self._settings.token is not None:
            raise NotLoggedIn(
                f"there is no key for {host.host}, unless the one in MOORAGE_TOKEN is",
                f"set MOORAGE_ENDPOINT={host.endpoint} as well",
            )
        if profile is None:
            raise NotLoggedIn(
                f"there is no key for {host.host} any more",
                f"set MOORAGE_TOKEN, or sign in with 'moorage profile login' and {_LOG_IN}",
            )
        key = self._secrets.get(profile.name, host.endpoint)
        if key is None:
            raise NotLoggedIn(
                f"profile {profile.name!r} has no key", f"run 'moorage profile login {profile.name}'"
            )
        return key

    @cached_property
    def _hosts(self) -> DockerHosts:
        return self._file.load()

    @property
    def _endpoints(self) -> set[str]:
        return {host.endpoint for host in self._hosts.by_host.values()}

    @cached_property
    def _profiles(self) -> Profiles:
        return self._profile_file.load()

    @cached_property
    def _settings(self) -> Settings:
        return resolve({}, self._environment, self._profiles)
