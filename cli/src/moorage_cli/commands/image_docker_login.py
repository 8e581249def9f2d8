"""``moorage image docker-login`` and ``docker-logout``: who answers docker and its kind for a registry."""

from __future__ import annotations

import os
import re
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import click

from moorage_cli.credentials import is_token
from moorage_cli.endpoints import host_of
from moorage_cli.errors import CliError, Misused, NotFound, NotLoggedIn
from moorage_cli.image_hosts import belongs_to
from moorage_cli.session import Session, common_options, pass_session

if TYPE_CHECKING:
    from moorage_cli.docker_config import LoginFile
    from moorage_cli.docker_hosts import DockerHost

_HOST = re.compile(r"(?:[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?")
_registry = click.option(
    "--registry", metavar="HOST", help="The host in names of images, if it is not what the registry says."
)
_config = click.option(
    "--config",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Change the config.json in this folder, and nothing else.",
)


@click.command("docker-login")
@common_options
@_registry
@_config
@click.option("--ignore-output", is_flag=True, help="Say nothing, if all goes well.")
@pass_session
def docker_login(session: Session, registry: str | None, config: Path | None, *, ignore_output: bool) -> None:
    """Let docker, podman, skopeo and crane use the key of the profile, without having it.

    From then on they ask docker-credential-moorage for the registry, and get a token that lives for an hour.
    No secret is written into their files, and a login with one that is there is taken out. MOORAGE_TOKEN and
    MOORAGE_PROFILE are read when they ask.
    """
    from moorage_cli.docker_config import held, login_files  # noqa: PLC0415 - help does without
    from moorage_cli.docker_hosts import DockerHostFile  # noqa: PLC0415

    _check_access(session)
    host = _parsed_host(registry) if registry is not None else _own_host(session, _announced_host(session))
    profile = _profile(session)
    folder = session.profile_file.folder
    with held(folder, login_files(os.environ, config)) as files:
        for file in files:
            file.put_helper(host, session.org)
        hosts_file = DockerHostFile(folder)
        before = hosts_file.load().by_host.get(host)
        hosts_file.change(
            lambda hosts: hosts.logged_in(host, session.endpoint, profile, insecure=session.settings.insecure)
        )
        if before is not None and before.kept:
            session.secrets.delete(before.account)
        for file in files:
            file.write()
    if not ignore_output:
        _tell(session, host, profile, files)
        _tell_before(session, before, profile)


@click.command("docker-logout")
@common_options
@_registry
@_config
@click.option("--ignore-output", is_flag=True, help="Say nothing, if all goes well.")
@pass_session
def docker_logout(
    session: Session, registry: str | None, config: Path | None, *, ignore_output: bool
) -> None:
    """Undo docker-login: docker, podman, skopeo and crane have no login at the registry any more.

    Without --registry that is so for the hosts at which the profile has logged in; what other profiles have
    there stays. Nothing is asked of the registry, and the profile keeps its key.
    """
    from moorage_cli.credential_helper_keys import CredentialKeys, CredentialsNotFound  # noqa: PLC0415
    from moorage_cli.docker_config import held, login_files  # noqa: PLC0415

    named = _parsed_host(registry) if registry is not None else None
    folder = session.profile_file.folder
    with held(folder, login_files(os.environ, config)) as files:
        hosts = [named] if named else _given_up(session, _hosts_of(session), quiet=ignore_output)
        for host in hosts:
            for file in files:
                file.take_helper(host)
        # Whom nobody asks can forget: the other way round, clients would ask in vain if this stopped halfway.
        for file in files:
            file.write()
    keys = CredentialKeys(folder, os.environ)
    for host in hosts:
        try:
            keys.forget(host)
        except CredentialsNotFound:
            if not ignore_output:
                session.note(f"there was no login at {host}")
            continue
        if not ignore_output:
            session.note(f"docker-credential-moorage is not asked for {host} any more")


def _check_access(session: Session) -> None:
    """Ask for the organisation, so that it is now that a wrong key is noticed."""
    from moorage_cli.api import quoted, require_object  # noqa: PLC0415

    if is_token(session.credential):
        raise NotLoggedIn(
            "docker needs a key, and this is a bearer token that is soon over",
            "set MOORAGE_TOKEN to a key, or run 'moorage profile login'",
        )
    org = require_object(session.api.get(f"/org/{quoted(session.org)}"), session.endpoint)
    if org.get("kind") != "org":
        require_object(None, session.endpoint)


def _announced_host(session: Session) -> str:
    """The host of the organisation's images, as the registry says."""
    announced = session.announced_images
    if not announced:
        raise CliError(f"{session.endpoint} does not say where its images are", "add --registry HOST")
    return _parsed_host(announced.replace("{org}", session.org))


def _own_host(session: Session, announced: str) -> str:
    """``announced``, if it is plainly a host of this registry: logins at others are not its to replace.

    Raises:
        Misused: it may be anybody's.
    """
    if not belongs_to(announced, host_of(session.endpoint), session.org):
        raise Misused(
            f"{session.endpoint} says that its images are at {announced}, which may be another registry's",
            f"add --registry {announced} if that is right",
        )
    return announced


def _given_up(session: Session, hosts: list[str], *, quiet: bool) -> list[str]:
    """Take the profile's logins away where others have one, too; the hosts where it is the only one."""
    from moorage_cli.docker_hosts import DockerHostFile  # noqa: PLC0415

    name = _profile(session)
    file = DockerHostFile(session.profile_file.folder)
    alone: list[str] = []
    for host in hosts:
        others = [each for each in file.load().by_host[host].profiles if each != name]
        if name is None or not others:
            alone.append(host)
            continue
        file.change(lambda known, at=host: known.logged_out(at, name))  # type: ignore[misc]
        if not quiet:
            session.note(f"{host} is still answered for, with the key of profile {others[0]!r}")
    return alone


def _parsed_host(text: str) -> str:
    """The host of an address, with or without ``https://`` before it and a path behind it."""
    written = text.strip()
    parts = urlsplit(written if "://" in written else f"//{written}")
    host = parts.netloc.lower()
    if not _HOST.fullmatch(host):
        raise Misused(f"{text!r} is not the host of a registry", "write it as HOST or HOST:PORT")
    return host


def _profile(session: Session) -> str | None:
    """The profile whose key was just tried; None if the key was given otherwise."""
    settings = session.settings
    if settings.token is not None or settings.profile is None:
        return None
    return settings.profile.name


def _hosts_of(session: Session) -> list[str]:
    """The hosts of the profile's registry at which somebody has logged in."""
    from moorage_cli.docker_hosts import DockerHostFile  # noqa: PLC0415

    endpoint = session.endpoint
    hosts = DockerHostFile(session.profile_file.folder).load().by_host.values()
    found = [host for host in hosts if host.endpoint == endpoint]
    name = _profile(session)
    own = [host.host for host in found if name is None or name in host.profiles]
    if not own:
        raise NotFound(f"there is no login of docker at {endpoint}", "name it with --registry HOST")
    return sorted(own)


def _tell_before(session: Session, before: DockerHost | None, profile: str | None) -> None:
    """Whose key was used so far, if it was another's."""
    if before is None or before.endpoint != session.endpoint or profile is None:
        return
    former = next(iter(before.profiles), None)
    if former not in {None, profile}:
        session.note(
            f"so far it was the key of profile {former!r}; it still is where its organisation is asked about"
        )


def _tell(session: Session, host: str, profile: str | None, files: list[LoginFile]) -> None:
    whose = f"the key of profile {profile!r}" if profile else "the key in MOORAGE_TOKEN"
    session.note(
        f"for {host}, docker, podman, skopeo and crane ask docker-credential-moorage, which uses {whose}"
    )
    for file in files:
        if file.replaced is not None:
            session.note(f"that takes the place of docker-credential-{file.replaced} in {file.path}")
        for login in file.removed:
            session.note(f"the login with a secret for {login} is taken out of {file.path}")
    if profile is None:
        session.note(
            "MOORAGE_TOKEN has to be set when they ask; 'moorage profile login' keeps a key for them"
        )
    if shutil.which("docker-credential-moorage") is None:
        folder = Path(sys.argv[0]).resolve().parent
        session.note(f"they will not find docker-credential-moorage: put {folder} into PATH")
