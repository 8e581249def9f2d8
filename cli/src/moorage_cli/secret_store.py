"""Where the keys of profiles are kept: in the system's keyring, else in a file of mode 0600."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from moorage_cli.errors import CliError, NotLoggedIn
from moorage_cli.storage import locked, open_to_others, read_document, write_document

if TYPE_CHECKING:
    from keyring.backend import KeyringBackend

SERVICE = "moorage"
# What keyring itself calls recommended; below are backends that keep secrets in plain files, or nowhere.
_RECOMMENDED = 1


class Place(StrEnum):
    """Where a secret is."""

    KEYRING = "keyring"
    FILE = "file"


class SecretStore:
    """The secrets that belong to one configuration folder, by account: for a profile its name.

    Each is kept together with the registry that it is for: whoever changes another file of the folder sends
    no secret elsewhere.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file = folder / "secrets.json"

    def put(self, account: str, secret: str, endpoint: str) -> Place:
        """Keep a secret for the registry at ``endpoint``, in the keyring if there is one that takes it.

        The answer is where it is now.

        Raises:
            CliError: it cannot be kept.
        """
        kept = {"endpoint": endpoint, "key": secret}
        if self._put_in_keyring(account, json.dumps(kept)):
            self._change_file(account, None)
            return Place.KEYRING
        self._change_file(account, kept)
        return Place.FILE

    def get(self, account: str, endpoint: str) -> str | None:
        """The secret of an account for the registry at ``endpoint``, or None.

        Raises:
            NotLoggedIn: it is for another registry, or nothing says for which.
            CliError: the keyring does not open, or the file is open to others.
        """
        if open_to_others(self._file):
            raise CliError(
                f"{self._file} can be read by others",
                f"run 'chmod 600 {self._file}', and replace the keys that somebody may have seen",
            )
        kept = read_document(self._file).get(account)
        if kept is None:
            kept = self._kept_in_keyring(account)
        return None if kept is None else _bound(kept, account, endpoint)

    def _kept_in_keyring(self, account: str) -> Any:
        keyrings = _usable_keyrings()
        from keyring.errors import KeyringError  # noqa: PLC0415 - costs much, and few commands need it

        try:
            text = _found(keyrings, self._keyring_account(account))
        except KeyringError as error:
            raise CliError("the system's keyring does not open", "unlock it, or set MOORAGE_TOKEN") from error
        try:
            return None if text is None else json.loads(text)
        except ValueError:
            return text

    def delete(self, account: str) -> None:
        """Forget a secret, wherever it is.

        Raises:
            CliError: it cannot be removed.
        """
        self._change_file(account, None)
        keyrings = _usable_keyrings()
        from keyring.errors import KeyringError, PasswordDeleteError  # noqa: PLC0415

        name = self._keyring_account(account)
        try:
            for backend in keyrings:
                # So says who has nothing of that name, too.
                with contextlib.suppress(NotImplementedError, PasswordDeleteError):
                    backend.delete_password(SERVICE, name)
            left = _found(keyrings, name)
        except KeyringError as error:
            raise CliError("the system's keyring does not open", "unlock it and try again") from error
        if left is not None:
            raise CliError(
                f"the system's keyring still has the key of {account!r}",
                f"remove {name!r} of {SERVICE!r} there, and try again",
            )

    def _put_in_keyring(self, account: str, secret: str) -> bool:
        keyrings = _usable_keyrings()
        from keyring.errors import KeyringError  # noqa: PLC0415

        name = self._keyring_account(account)
        for backend in keyrings:
            with contextlib.suppress(KeyringError, NotImplementedError):
                backend.set_password(SERVICE, name, secret)
                # Not all that keep nothing say so; and what counts is what the next command will find.
                return _found(keyrings, name) == secret
        return False

    def _change_file(self, account: str, secret: dict[str, str] | None) -> None:
        if secret is None and not self._file.exists():
            return
        with locked(self._folder):
            document: dict[str, Any] = read_document(self._file)
            before = dict(document)
            document.pop(account, None)
            if secret is not None:
                document[account] = secret
            if document != before or open_to_others(self._file):
                write_document(self._file, document)

    def _keyring_account(self, account: str) -> str:
        # Profiles of one name in two folders are two profiles.
        return f"{account} ({self._folder.absolute()})"


def _bound(kept: Any, account: str, endpoint: str) -> str:
    if not isinstance(kept, dict) or kept.get("endpoint") != endpoint or not isinstance(kept.get("key"), str):
        host = account.removeprefix("docker:")
        whose = f"profile {account!r}" if host == account else f"docker at {host}"
        raise NotLoggedIn(
            f"the key that is kept for {whose} was given for another registry", "run 'moorage profile login'"
        )
    key: str = kept["key"]
    return key


def _found(keyrings: Iterable[KeyringBackend], name: str) -> str | None:
    found = (backend.get_password(SERVICE, name) for backend in keyrings)
    return next((text for text in found if text is not None), None)


def _usable_keyrings() -> list[KeyringBackend]:
    """Those that may have secrets, the best first."""
    import keyring  # noqa: PLC0415
    from keyring.backends.chainer import ChainerBackend  # noqa: PLC0415
    from keyring.errors import KeyringError  # noqa: PLC0415

    try:
        backend = keyring.get_keyring()
        # A chain is recommended whatever is in it, and would hand a secret on until somebody takes it.
        chained = backend.backends if isinstance(backend, ChainerBackend) else [backend]
        return [each for each in chained if float(each.priority) >= _RECOMMENDED]
    except (KeyringError, RuntimeError, ValueError):
        return []
