"""``moorage profile``: signing in, and choosing between registries and organisations."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from moorage_cli.credentials import is_token
from moorage_cli.errors import CliError, Misused, NotFound, NotLoggedIn
from moorage_cli.output import Column
from moorage_cli.profiles import Profile, Profiles, parse_profile_name
from moorage_cli.session import Session, common_options, parse_org, pass_session

DEFAULT_NAME = "default"
LOCAL_NAME = "local"

COLUMNS = (
    Column("NAME", "name", whole=True),
    Column("DEFAULT", lambda profile: "*" if profile["default"] else ""),
    Column("ORG", "org", whole=True),
    Column(
        "ENDPOINT",
        lambda profile: profile["endpoint"] + (" (insecure)" if profile.get("insecure") else ""),
        whole=True,
    ),
)


@click.group(no_args_is_help=True)
@common_options
def profile() -> None:
    """Sign in, and choose a registry and organisation.

    A profile is a registry, an organisation and a key. The key is kept in the system's keyring, or
    where there is none in a file that only its owner can read.
    """


@profile.command()
@common_options
@click.argument("name", required=False)
@click.option(
    "--local",
    is_flag=False,
    flag_value=".local/state",
    metavar="[STATE]",
    help="Sign in to the local cloud whose state is in this folder (.local/state).",
)
@click.option("--key", metavar="KEY", help="The key; better leave it out, or use --key-stdin.")
@click.option("--key-stdin", is_flag=True, help="Read the key from standard input.")
@click.option("--default", is_flag=True, help="Make it the default profile.")
@pass_session
def login(
    session: Session, name: str | None, local: str | None, key: str | None, *, key_stdin: bool, default: bool
) -> None:
    """Sign in as the profile NAME: what no flag says is asked for, the key without echo.

    The registry is asked before anything is kept. The first profile is the default one.
    """
    from moorage_cli import sign_in  # noqa: PLC0415 - help does without

    if sum((local is not None, key is not None, key_stdin)) > 1:
        raise Misused("--local, --key and --key-stdin exclude each other")
    if key is not None:
        session.warn("--key shows the key to other users of this machine and to the shell's history")
    chosen = parse_profile_name(
        name or session.flags.get("profile") or (LOCAL_NAME if local else DEFAULT_NAME)
    )
    # What was accepted of the registry before is not taken for granted with another key.
    insecure = bool(session.flags.get("insecure"))
    asking = _as_new(session.other(insecure=insecure), chosen)
    if local is None:
        found = sign_in.asked_login(asking, key, key_stdin=key_stdin)
    else:
        found = sign_in.local_login(Path(local))
        if session.flags.get("org"):
            found = sign_in.Login(found.endpoint, parse_org(session.flags["org"]), found.key)
    before = session.profile_file.load().by_name.get(chosen)
    place = sign_in.sign_in(session, chosen, found, insecure=insecure, default=default)
    where = "the system's keyring" if place.value == "keyring" else "a file that only you can read"
    session.note(f"signed in to {found.org} at {found.endpoint} as profile {chosen!r}; the key is in {where}")
    if before is not None and before.endpoint != found.endpoint:
        session.note(f"so far, the profile {chosen!r} was for {before.org} at {before.endpoint}")


# Some look for it under this name.
_CREATE = copy.copy(login)
_CREATE.hidden = True
profile.add_command(_CREATE, "create")


def _as_new(session: Session, name: str) -> Session:
    """The session with the profile of that name, or with none if it is still to be made."""
    exists = name in session.profile_file.load().by_name
    return session.other(profile=name) if exists else session.without_profile()


@profile.command("list")
@common_options
@pass_session
def list_profiles(session: Session) -> None:
    """Show the profiles, without their keys."""
    profiles = session.profile_file.load()
    _show_list(session, profiles, [profiles.by_name[name] for name in sorted(profiles.by_name)])


@profile.command()
@common_options
@click.argument("names", nargs=-1, metavar="[NAME]...")
@pass_session
def get(session: Session, names: tuple[str, ...]) -> None:
    """Show profiles; without a name the one that is in use."""
    profiles = session.profile_file.load()
    if not names:
        found = session.settings.profile
        if found is None:
            raise NotFound("there is no default profile", "run 'moorage profile login' or 'set-default'")
        session.show(_shown(profiles, found), COLUMNS)
        return
    _show_list(session, profiles, [profiles.find(name) for name in names])


@profile.command()
@common_options
@click.argument("name")
@click.option("--default", is_flag=True, help="Make it the default profile.")
@pass_session
def update(session: Session, name: str, *, default: bool) -> None:
    """Change the organisation or the registry of a profile (--org, --endpoint).

    A key belongs to a registry: with another --endpoint it is forgotten, and 'login' asks for one.
    """
    from moorage_cli.endpoints import parse_endpoint  # noqa: PLC0415

    old = session.profile_file.load().find(name)
    if session.flags.get("token"):
        raise Misused("a key is tried before it is kept", f"run 'moorage profile login {name}'")
    insecure = _accepted(session, old)
    endpoint = parse_endpoint(session.flags.get("endpoint") or old.endpoint, insecure=insecure)
    changed = Profile(name, endpoint, parse_org(session.flags.get("org") or old.org), insecure)
    if changed == old and not default:
        raise Misused(
            "nothing is named that should change",
            "add --org, --endpoint, --insecure, --no-insecure or --default",
        )
    if changed.endpoint != old.endpoint:
        session.secrets.delete(name)
        session.note(f"profile {name!r} has no key any more; run 'moorage profile login {name}'")
    profiles = session.profile_file.change(lambda now: now.put(changed, default=default))
    session.show(_shown(profiles, changed), COLUMNS)


def _accepted(session: Session, old: Profile) -> bool:
    """Whether the changed profile is insecure: as the flag says, else as before if the registry stays."""
    from moorage_cli.endpoints import parse_endpoint  # noqa: PLC0415

    flag: bool | None = session.flags.get("insecure")
    written = session.flags.get("endpoint")
    if flag is not None or written is None:
        return old.insecure if flag is None else flag
    return old.insecure and parse_endpoint(written, insecure=True) == old.endpoint


@profile.command("set-default")
@common_options
@click.argument("name")
@pass_session
def set_default(session: Session, name: str) -> None:
    """Use the profile NAME where none is named."""
    session.profile_file.change(lambda profiles: profiles.with_default(name))


@profile.command()
@common_options
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@pass_session
def delete(session: Session, names: tuple[str, ...]) -> None:
    """Forget profiles and their keys. The keys stay valid: 'serviceaccount remove-key' revokes them."""
    from moorage_cli.resources import for_each  # noqa: PLC0415

    def forget(name: str) -> None:
        session.profile_file.load().find(name)
        # The key goes first: a profile without one is harmless, a key without a profile is lost sight of.
        session.secrets.delete(name)
        session.profile_file.change(lambda profiles: profiles.without(name))

    for_each(session, names, forget)


@profile.command()
@common_options
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    metavar="SCOPE",
    help="For the registry, such as repository:acme/app:pull.",
)
@pass_session
def token(session: Session, scopes: tuple[str, ...]) -> None:
    """Print a bearer token that lives for five minutes, never the key.

    \b
    curl -H "Authorization: Bearer $(moorage profile token)" https://HOST/org/ORG
    """  # noqa: D301 - lets click keep lines as they are
    if is_token(session.credential):
        raise NotLoggedIn(
            "a token is made with a key, and MOORAGE_TOKEN is a bearer token already",
            "use it as it is, or set MOORAGE_TOKEN to a key",
        )
    answer = session.anonymous_api.get(
        "/token", params={"scope": list(scopes)} if scopes else None, auth=("<token>", session.credential)
    )
    value = answer.get("token") if isinstance(answer, dict) else None
    if not isinstance(value, str):
        raise CliError(f"{session.endpoint} gave no token", "check --endpoint")
    if session.output in {"json", "yaml"}:
        session.show_document({"token": value, "expires_in": answer.get("expires_in")})
    else:
        click.echo(value)


def _shown(profiles: Profiles, found: Profile) -> dict[str, Any]:
    return {"name": found.name, **found.to_json(), "default": profiles.default == found.name}


def _show_list(session: Session, profiles: Profiles, found: Sequence[Profile]) -> None:
    session.show_list("profile", [_shown(profiles, each) for each in found], COLUMNS)
