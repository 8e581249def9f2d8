"""Keyrings that do not do what one expects of a keyring: no key is lost in them."""

from __future__ import annotations

from pathlib import Path

import keyring
import pytest
from keyring import backend as backends
from keyring.backend import KeyringBackend
from keyring.backends.chainer import ChainerBackend
from keyring.errors import PasswordDeleteError

from moorage_cli.errors import CliError
from moorage_cli.secret_store import Place, SecretStore
from tests.cli.terminal import KEY

HERE = "https://here.example"


class Ring(KeyringBackend):
    """A keyring in memory."""

    priority: float = 5

    def __init__(self) -> None:
        super().__init__()
        self.kept: dict[str, str] = {}

    def get_password(self, service, username):
        return self.kept.get(username)

    def set_password(self, service, username, password):
        self.kept[username] = password

    def delete_password(self, service, username):
        if username not in self.kept:
            raise PasswordDeleteError
        del self.kept[username]


class ReadOnly(Ring):
    priority = 6

    def set_password(self, service, username, password):
        raise NotImplementedError

    def delete_password(self, service, username):
        raise NotImplementedError


class Forgetful(Ring):
    """It says nothing, and keeps nothing."""

    def set_password(self, service, username, password):
        pass


class PlainFile(Ring):
    priority = 0.5


def use(monkeypatch: pytest.MonkeyPatch, *rings: Ring) -> None:
    """Have these be the system's: more than one in a chain, as keyring itself has them."""
    monkeypatch.setattr(backends, "get_all_keyring", lambda: list(rings))
    keyring.set_keyring(rings[0] if len(rings) == 1 else ChainerBackend())


@pytest.mark.parametrize("ring", [ReadOnly, Forgetful])
def test_keyring_that_keeps_nothing_leaves_the_key_to_the_file(tmp_path: Path, monkeypatch, ring: type[Ring]):
    use(monkeypatch, ring())
    store = SecretStore(tmp_path)
    assert store.put("work", KEY, HERE) is Place.FILE
    assert store.get("work", HERE) == KEY
    store.delete("work")
    assert store.get("work", HERE) is None


def test_chain_of_which_nobody_takes_the_key_leaves_it_to_the_file(tmp_path: Path, monkeypatch):
    use(monkeypatch, ReadOnly(), ReadOnly())
    store = SecretStore(tmp_path)
    assert store.put("work", KEY, HERE) is Place.FILE
    assert store.get("work", HERE) == KEY


@pytest.mark.parametrize("others", [[PlainFile], [ReadOnly]])
def test_plain_files_in_a_chain_get_no_key(tmp_path: Path, monkeypatch, others: list[type[Ring]]):
    plain = PlainFile()
    use(monkeypatch, plain, *(each() for each in others))
    assert SecretStore(tmp_path).put("work", KEY, HERE) is Place.FILE
    assert plain.kept == {}


def test_keyring_in_a_chain_keeps_the_key_and_forgets_it(tmp_path: Path, monkeypatch):
    ring = Ring()
    use(monkeypatch, PlainFile(), ring, ReadOnly())
    store = SecretStore(tmp_path)
    assert store.put("work", KEY, HERE) is Place.KEYRING
    assert len(ring.kept) == 1
    assert store.get("work", HERE) == KEY
    store.delete("work")
    assert ring.kept == {}


def test_key_that_a_keyring_does_not_give_up_is_said_to_be_there_still(tmp_path: Path, monkeypatch):
    ring = ReadOnly()
    ring.kept[f"work ({tmp_path})"] = KEY
    use(monkeypatch, ring)
    with pytest.raises(CliError, match="still has the key of 'work'") as raised:
        SecretStore(tmp_path).delete("work")
    assert raised.value.hint == f"remove 'work ({tmp_path})' of 'moorage' there, and try again"
    assert KEY not in raised.value.line
