"""``docker-credential-moorage``: what docker and its kind ask for credentials, in words that they understand.

A word says what to do, standard input what about. What goes well is answered on standard output, and so is
what does not, in one line, with exit code 1; for "there are none" clients wait for a certain wording. They
wait for the answer with every command: nothing is imported here that takes long.

https://github.com/docker/docker-credential-helpers#development
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence

from moorage_cli import __version__
from moorage_cli.credential_helper_keys import CredentialKeys, CredentialsNotFound
from moorage_cli.credentials import is_token
from moorage_cli.errors import CliError, printable, unforeseen
from moorage_cli.storage import config_folder
from moorage_cli.streams import has_output

PROGRAM = "docker-credential-moorage"
KEY_USER = "<token>"
"""The user name by which clients take a secret for an identity token, and show it at ``/token`` alone."""

_NOT_FOUND = "credentials not found in native keychain"
_NO_HOST = "no credentials server URL"
_NO_USER = "no credentials username"
_ASKED_MAX = 64 * 1024
_FAILED = 1

Action = Callable[[CredentialKeys, str], str]


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what one word says; the exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if not has_output():
        return _failed("standard output is closed, and the answer goes there")
    if len(words) != 1:
        return _answered(_usage(), _FAILED)
    if words[0] in {"-h", "--help"}:
        return _answered(_usage())
    if words[0] in {"-v", "--version", "version"}:
        return _answered(f"{PROGRAM} (moorage-cli) {__version__}")
    action = _ACTIONS.get(words[0])
    if action is None:
        return _answered(f"{printable(words[0])} is unknown; {_usage()}", _FAILED)
    return _done(action, os.environ)


def _done(action: Action, environment: Mapping[str, str]) -> int:
    try:
        # Somebody who lists has nothing to say, and may sit at a terminal.
        asked = "" if action is _list else sys.stdin.buffer.read(_ASKED_MAX).decode("utf-8", "replace")
        return _answered(action(CredentialKeys(config_folder(environment), environment), asked.strip()))
    except CredentialsNotFound:
        return _answered(_NOT_FOUND, _FAILED)
    except CliError as error:
        return _failed(error.line)
    except OSError as error:
        return _failed(error.strerror or type(error).__name__)
    except KeyboardInterrupt:
        return _failed("interrupted")
    except Exception as error:  # noqa: BLE001 - clients show one line, and whatever it is should be one
        return _failed(unforeseen(error, "'moorage image docker-login --verbose' may show more"))


def _get(keys: CredentialKeys, asked: str) -> str:
    """A token that lives for an hour, for the registry whose address was asked about."""
    if not asked:
        raise CliError(_NO_HOST)
    from moorage_cli.credential_helper_exchange import refresh_token  # noqa: PLC0415 - others do without

    found = keys.find(asked)
    token = refresh_token(found.endpoint, found.key, insecure=found.insecure)
    return json.dumps({"ServerURL": asked, "Username": KEY_USER, "Secret": token})


def _store(keys: CredentialKeys, asked: str) -> str:
    """Keep the key that somebody gave to ``docker login``; a token that came from here needs no keeping."""
    try:
        given = json.loads(asked)
        host, user, secret = (str(given.get(name) or "") for name in ("ServerURL", "Username", "Secret"))
    except (AttributeError, ValueError):
        raise CliError("what should be stored is no JSON object") from None
    if not host or not user:
        raise CliError(_NO_USER if host else _NO_HOST)
    if not (user == KEY_USER and is_token(secret)):
        keys.keep(host, user, secret)
    return ""


def _erase(keys: CredentialKeys, asked: str) -> str:
    """Forget a host, and the key that was stored for it."""
    if not asked:
        raise CliError(_NO_HOST)
    keys.forget(asked)
    return ""


def _list(keys: CredentialKeys, _: str) -> str:
    """The hosts, with the user name that ``get`` answers."""
    return json.dumps(dict.fromkeys(keys.hosts(), KEY_USER))


_ACTIONS: Mapping[str, Action] = {"get": _get, "store": _store, "erase": _erase, "list": _list}


def _usage() -> str:
    return f"Usage: {PROGRAM} <{'|'.join((*_ACTIONS, 'version'))}>"


def _failed(line: str) -> int:
    # docker's own command keeps silent about what a helper could not do, and goes on without credentials.
    sys.stderr.write(f"moorage: {line}\n")
    return _answered(line, _FAILED)


def _answered(text: str, code: int = 0) -> int:
    if text:
        sys.stdout.write(f"{text}\n")
        sys.stdout.flush()
    return code


if __name__ == "__main__":
    sys.exit(main())
