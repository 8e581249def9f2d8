"""Signing in: what is asked for, what the local cloud says of itself, and the check before it is kept."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from moorage_cli.credentials import is_token, parse_credential
from moorage_cli.endpoints import parse_endpoint
from moorage_cli.errors import CliError, Misused, NotFound, NotLoggedIn
from moorage_cli.profiles import Profile
from moorage_cli.session import Session, is_terminal, parse_org

if TYPE_CHECKING:
    from moorage_cli.secret_store import Place

LOCAL_STATE = Path(".local/state")
_KEY_MAX = 16 * 1024


@dataclass(frozen=True, slots=True, repr=False)
class Login:
    """A registry, an organisation in it, and a key. It is never printed."""

    endpoint: str
    org: str
    key: str


def local_login(state: Path) -> Login:
    """What the local cloud whose state is in that folder (or in that ``credentials.json``) says of itself.

    Raises:
        NotFound: there is no such file.
        CliError: it cannot be read, or does not hold what it should.
    """
    from moorage_cli.storage import read_document  # noqa: PLC0415 - not needed to ask

    file = state / "credentials.json" if state.is_dir() or state.suffix != ".json" else state
    document = read_document(file)
    if not document:
        hint = "start the local cloud with 'make run', or name its state folder"
        if len(state.parts) == 1 and not state.exists():
            hint += f"; a profile is named before the flag: 'moorage profile login {state} --local'"
        raise NotFound(f"there is no {file}", hint)
    try:
        endpoint, org, key = (str(document[name]) for name in ("endpoint", "org", "password"))
    except KeyError as error:
        raise CliError(f"{file} does not say {error}", "start the local cloud anew") from error
    return Login(parse_endpoint(endpoint), parse_org(org), parse_credential(key))


def asked_login(session: Session, key: str | None, *, key_stdin: bool) -> Login:
    """What flags and variables say; a person is asked for the rest, and for the key without echo.

    Raises:
        Misused: something is missing, and there is nobody to ask.
        NotLoggedIn: what was given as the key can be none, or is a token.
    """
    flags, settings = session.flags, session.settings
    known = settings.profile
    endpoint = settings.endpoint or _ask("Registry", "--endpoint")
    endpoint = parse_endpoint(endpoint, insecure=settings.insecure)
    org = settings.org if flags.get("org") or known is None or settings.profile_serves else None
    org = org or _ask("Organisation", "--org")
    if key_stdin:
        key = sys.stdin.read(_KEY_MAX)
    elif key is None:
        key = settings.token or _ask("Key", "--key-stdin", hidden=True)
    return Login(endpoint, parse_org(org), _parsed_key(key))


def _parsed_key(text: str) -> str:
    key = parse_credential(text)
    if is_token(key):
        raise NotLoggedIn(
            "a profile keeps a key, and this is a bearer token that is over in minutes",
            "make a key with 'moorage serviceaccount add-key', or use the token in MOORAGE_TOKEN",
        )
    return key


def sign_in(session: Session, name: str, login: Login, *, insecure: bool, default: bool) -> Place:
    """Keep a login as the profile ``name``, once the registry has accepted it; where the key is kept.

    Raises:
        CliError: the registry does not accept it, or it cannot be kept.
    """
    check(session, login, insecure=insecure)
    profile = Profile(name, login.endpoint, login.org, insecure)
    place = session.secrets.put(name, login.key, login.endpoint)
    session.profile_file.change(lambda profiles: profiles.put(profile, default=default))
    return place


def check(session: Session, login: Login, *, insecure: bool) -> None:
    """Ask the registry for the organisation with the key.

    Raises:
        CliError: it refuses, is not reached, or is no registry.
    """
    from moorage_cli.api import quoted, require_object  # noqa: PLC0415

    api = session.connect(login.endpoint, login.key, insecure=insecure)
    org: dict[str, Any] = require_object(api.get(f"/org/{quoted(login.org)}"), login.endpoint)
    if org.get("kind") != "org":
        require_object(None, login.endpoint)


def _ask(what: str, flag: str, *, hidden: bool = False) -> str:
    if not is_terminal(sys.stdin):
        raise Misused(f"{what.lower()} is missing, and there is no terminal to ask", f"add {flag}")
    answer: str = click.prompt(what, hide_input=hidden, err=True)
    return answer
