"""Profiles and their keys: signing in, precedence, and where secrets are and are not."""

from __future__ import annotations

import json
import os
import stat
import threading
from pathlib import Path

import click
import keyring
import pytest
from keyring.backend import KeyringBackend
from keyring.errors import KeyringLocked, PasswordDeleteError

from moorage_cli.errors import CliError, Misused, NotLoggedIn
from moorage_cli.profiles import Profile, ProfileFile, Profiles
from moorage_cli.secret_store import Place, SecretStore
from moorage_cli.session import Session
from moorage_cli.settings import resolve
from moorage_cli.storage import config_folder
from tests.cli.stand_in import Answer, StandIn, refusal
from tests.cli.terminal import KEY, Terminal

HERE = "https://here.example"
ORG = {"kind": "org", "name": "acme"}
FILED = Profiles({"work": Profile("work", "https://work.example", "acme")}, "work")


def login(terminal: Terminal, stand_in: StandIn, *arguments: str, org: str = "acme") -> str:
    stand_in.on("GET", f"/org/{org}", ORG)
    outcome = terminal.run(
        "profile",
        "login",
        *arguments,
        "--endpoint",
        stand_in.endpoint,
        "--org",
        org,
        "--key-stdin",
        stdin=f"{KEY}\n",
    )
    assert outcome.code == 0, outcome
    return outcome.err


def files(folder: Path) -> str:
    return "".join(file.read_text("utf-8") for file in sorted(folder.rglob("*")) if file.is_file())


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_login_asks_the_registry_then_keeps_the_key_apart_from_the_profile(
    terminal: Terminal, stand_in: StandIn
):
    said = login(terminal, stand_in)
    assert stand_in.asked[0].headers["Authorization"] == f"Bearer {KEY}"
    profiles = json.loads((terminal.home / "profiles.json").read_text("utf-8"))
    assert profiles == {
        "v": 1,
        "default": "default",
        "profiles": {"default": {"endpoint": stand_in.endpoint, "org": "acme"}},
    }
    assert json.loads((terminal.home / "secrets.json").read_text("utf-8")) == {
        "default": {"endpoint": stand_in.endpoint, "key": KEY}
    }
    assert mode(terminal.home) == 0o700
    assert {mode(terminal.home / name) for name in ("profiles.json", "secrets.json")} == {0o600}
    assert KEY not in said
    assert "a file that only you can read" in said


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (refusal(401, "CredentialsInvalid", "the key has expired"), 4),
        (refusal(403, "Denied", "not for you"), 4),
        (Answer(b"<html>", 200, {"Content-Type": "text/html"}), 6),
        (Answer({"hello": "world"}), 6),
    ],
)
def test_login_that_the_registry_does_not_accept_keeps_nothing(
    terminal: Terminal, stand_in: StandIn, answer, code
):
    stand_in.on("GET", "/org/acme", answer)
    outcome = terminal.run(
        "profile", "login", "--endpoint", stand_in.endpoint, "--org", "acme", "--key-stdin", stdin=KEY
    )
    assert outcome.code == code
    assert outcome.err.count("\n") == 1
    assert KEY not in outcome.err
    assert KEY not in files(terminal.home)
    assert not (terminal.home / "profiles.json").exists()


def test_login_reads_what_the_local_cloud_says_of_itself(terminal: Terminal, stand_in: StandIn, tmp_path):
    stand_in.on("GET", "/org/demo", ORG)
    facts = {
        "endpoint": stand_in.endpoint,
        "org": "demo",
        "username": "<token>",
        "password": KEY,
        "bootstrap": "b",
    }
    state = tmp_path / "state"
    state.mkdir()
    (state / "credentials.json").write_text(json.dumps(facts), "utf-8")
    for place in (state, state / "credentials.json"):
        terminal.ok("profile", "login", "--local", str(place))
    shown = json.loads(terminal.ok("profile", "get", "-o", "json"))
    assert shown == {"name": "local", "endpoint": stand_in.endpoint, "org": "demo", "default": True}


def test_login_to_a_local_cloud_that_is_not_there_says_how_to_start_it(terminal: Terminal, tmp_path):
    outcome = terminal.run("profile", "login", "--local", str(tmp_path / "nowhere"))
    assert outcome.code == 3
    assert "make run" in outcome.err


def test_login_asks_a_person_for_what_no_flag_says(terminal: Terminal, stand_in: StandIn, monkeypatch):
    stand_in.on("GET", "/org/acme", ORG)
    asked = []

    def prompt(text, hide_input=False, err=False, **_):
        asked.append((text, hide_input, err))
        return {"Registry": stand_in.endpoint, "Organisation": "acme", "Key": KEY}[text]

    monkeypatch.setattr(click, "prompt", prompt)
    outcome = terminal.run("profile", "login", "work", tty=True)
    assert outcome.code == 0
    assert asked == [("Registry", False, True), ("Organisation", False, True), ("Key", True, True)]
    assert outcome.out == ""


def test_login_without_a_terminal_says_which_flag_is_missing(terminal: Terminal):
    outcome = terminal.run("profile", "login", "--org", "acme")
    assert outcome.code == 2
    assert "--endpoint" in outcome.err


@pytest.mark.parametrize("given", ["", "  \n", "two words", "line\nline", "käse"])
def test_what_can_be_no_key_is_refused_before_anything_is_sent(terminal: Terminal, stand_in: StandIn, given):
    outcome = terminal.run(
        "profile", "login", "--endpoint", stand_in.endpoint, "--org", "acme", "--key-stdin", stdin=given
    )
    assert outcome.code == 4
    assert stand_in.asked == []


def test_key_as_a_flag_is_warned_of(terminal: Terminal, stand_in: StandIn):
    stand_in.on("GET", "/org/acme", ORG)
    outcome = terminal.run("profile", "login", "--endpoint", stand_in.endpoint, "--org", "acme", "--key", KEY)
    assert outcome.code == 0
    assert "history" in outcome.err


def test_new_login_of_a_profile_replaces_its_key(terminal: Terminal, stand_in: StandIn):
    login(terminal, stand_in)
    stand_in.on("GET", "/org/acme", ORG)
    terminal.ok("profile", "login", "--key-stdin", stdin="mrgkey_other")
    assert json.loads((terminal.home / "secrets.json").read_text("utf-8")) == {
        "default": {"endpoint": stand_in.endpoint, "key": "mrgkey_other"}
    }


def test_profiles_are_listed_changed_and_forgotten(terminal: Terminal, stand_in: StandIn):
    login(terminal, stand_in, "one")
    login(terminal, stand_in, "two", org="beta")
    rows = [line.split() for line in terminal.ok("profile", "list").splitlines()]
    assert rows == [
        ["NAME", "DEFAULT", "ORG", "ENDPOINT"],
        ["one", "*", "acme", stand_in.endpoint],
        ["two", "beta", stand_in.endpoint],
    ]
    terminal.ok("profile", "set-default", "two")
    assert json.loads(terminal.ok("profile", "get", "-o", "json"))["name"] == "two"
    terminal.ok("profile", "update", "two", "--org", "gamma")
    assert json.loads(terminal.ok("profile", "get", "-o", "json"))["org"] == "gamma"
    terminal.ok("profile", "delete", "two")
    assert list(json.loads((terminal.home / "secrets.json").read_text("utf-8"))) == ["one"]
    assert terminal.run("profile", "get").code == 3


def test_login_has_another_name(terminal: Terminal, stand_in: StandIn):
    stand_in.on("GET", "/org/acme", ORG)
    flags = ("--endpoint", stand_in.endpoint, "--org", "acme", "--token", KEY)
    terminal.ok("profile", "create", "work", *flags)
    assert json.loads(terminal.ok("profile", "get", "-o", "json"))["name"] == "work"
    assert "create" not in terminal.ok("profile", "--help")


def test_key_is_not_changed_without_being_tried(terminal: Terminal, stand_in: StandIn):
    login(terminal, stand_in, "work")
    for more in ((), ("--org", "other")):
        outcome = terminal.run("profile", "update", "work", "--token", f"{KEY}x", *more)
        assert outcome.code == 2
        assert "run 'moorage profile login work'" in outcome.err
    assert json.loads(terminal.ok("profile", "get", "-o", "json"))["org"] == "acme"


def test_profile_that_moves_to_another_registry_loses_its_key(terminal: Terminal, stand_in: StandIn):
    login(terminal, stand_in)
    terminal.ok("profile", "update", "default", "--endpoint", "https://elsewhere.example")
    assert KEY not in files(terminal.home)


@pytest.mark.parametrize("verb", ["get", "update", "set-default", "delete"])
def test_profile_that_is_not_there_is_not_found(terminal: Terminal, verb):
    assert terminal.run("profile", verb, "nobody").code == 3


def test_token_prints_a_bearer_token_of_the_registry_and_never_the_key(terminal: Terminal, stand_in: StandIn):
    login(terminal, stand_in)
    stand_in.on("GET", "/token", {"token": "short.lived.token", "expires_in": 300})
    assert terminal.ok("profile", "token", "--scope", "repository:acme/app:pull") == "short.lived.token\n"
    asked = stand_in.asked[-1]
    assert asked.query == {"scope": ["repository:acme/app:pull"]}
    assert asked.headers["Authorization"].startswith("Basic ")


def test_token_of_the_real_registry_is_a_credential_of_the_management_api(real: Terminal):
    bearer = real.ok("profile", "token").strip()
    assert bearer != real.environment["MOORAGE_TOKEN"]
    assert "demo" in real.ok("org", "get", "demo", environment={"MOORAGE_TOKEN": bearer})


BEARER = "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJhIn0.c2ln"


def test_bearer_token_makes_no_profile(terminal: Terminal, stand_in: StandIn):
    flags = ("--endpoint", stand_in.endpoint, "--org", "acme")
    for words, options in (
        (("--key-stdin",), {"stdin": BEARER}),
        (("--key", BEARER), {}),
        ((), {"environment": {"MOORAGE_TOKEN": BEARER}}),
    ):
        outcome = terminal.run("profile", "login", *flags, *words, **options)
        assert outcome.code == 4
        assert "a profile keeps a key, and this is a bearer token" in outcome.err
        assert "add-key" in outcome.err
        assert BEARER not in outcome.err
    assert stand_in.asked == []
    assert not (terminal.home / "profiles.json").exists()


def test_token_is_not_made_of_a_token(signed_in: Terminal, stand_in: StandIn):
    outcome = signed_in.run("profile", "token", environment={"MOORAGE_TOKEN": BEARER})
    assert outcome.code == 4
    assert "a token is made with a key" in outcome.err
    assert "set MOORAGE_TOKEN to a key" in outcome.err
    assert stand_in.asked == []


def test_key_that_the_real_registry_does_not_know_is_said_so(real: Terminal):
    outcome = real.run("profile", "login", "--key-stdin", stdin="mrgkey_unknown")
    assert outcome.code == 4
    assert "profile login" in outcome.err


@pytest.mark.parametrize(
    ("flags", "environment", "endpoint", "org"),
    [
        ({}, {}, "https://work.example", "acme"),
        ({}, {"MOORAGE_ORG": "beta"}, "https://work.example", "beta"),
        ({"org": "gamma"}, {"MOORAGE_ORG": "beta"}, "https://work.example", "gamma"),
        ({}, {"MOORAGE_ORG": ""}, "https://work.example", "acme"),
        ({}, {"MOORAGE_ENDPOINT": "https://env.example"}, "https://env.example", "acme"),
        (
            {"endpoint": "flag.example"},
            {"MOORAGE_ENDPOINT": "https://env.example"},
            "https://flag.example",
            "acme",
        ),
    ],
)
def test_flag_wins_over_the_environment_and_that_over_the_profile(flags, environment, endpoint, org):
    settings = resolve(flags, environment, FILED)
    assert (settings.endpoint, settings.org) == (endpoint, org)
    assert settings.profile_serves is (endpoint == "https://work.example")


def test_profile_is_chosen_by_flag_then_environment_then_default():
    profiles = FILED.put(Profile("b", "https://b.example", "b")).put(Profile("c", "https://c.example", "c"))
    names = [
        getattr(resolve(flags, environment, profiles).profile, "name", None)
        for flags, environment in (
            ({"profile": "b"}, {"MOORAGE_PROFILE": "c"}),
            ({}, {"MOORAGE_PROFILE": "c"}),
            ({}, {}),
        )
    ]
    assert names == ["b", "c", "work"]


def test_key_of_a_profile_goes_to_no_other_registry(terminal: Terminal, stand_in: StandIn):
    login(terminal, stand_in)
    stand_in.asked.clear()
    outcome = terminal.run("profile", "token", "--endpoint", "http://127.0.0.1:9")
    assert outcome.code == 4
    assert "another registry" in outcome.err


def test_key_is_not_sent_where_somebody_else_has_let_the_profile_lead(terminal: Terminal, stand_in: StandIn):
    login(terminal, stand_in)
    file = terminal.home / "profiles.json"
    file.write_text(file.read_text("utf-8").replace("127.0.0.1", "localhost"), "utf-8")
    stand_in.asked.clear()
    for words in (("profile", "token"), ("image", "get")):
        outcome = terminal.run(*words)
        assert outcome.code == 4
        assert "the key that is kept for profile 'default' was given for another registry" in outcome.err
        assert "moorage profile login" in outcome.err
    assert stand_in.asked == []


@pytest.mark.parametrize("kept", [KEY, {"key": KEY}, {"endpoint": HERE}, {"endpoint": HERE, "key": 7}, [], 0])
def test_secret_of_which_nothing_says_where_it_may_go_goes_nowhere(tmp_path, kept):
    (tmp_path / "secrets.json").write_text(json.dumps({"work": kept}), "utf-8")
    (tmp_path / "secrets.json").chmod(0o600)
    with pytest.raises(NotLoggedIn) as raised:
        SecretStore(tmp_path).get("work", HERE)
    assert KEY not in raised.value.line


INSECURE = Profiles({"lab": Profile("lab", "http://lab.example", "acme", insecure=True)}, "lab")


@pytest.mark.parametrize(
    ("flags", "insecure"),
    [
        ({}, True),
        ({"endpoint": "http://LAB.example/"}, True),
        ({"endpoint": "https://elsewhere.example"}, False),
        ({"endpoint": "https://elsewhere.example", "insecure": True}, True),
        ({"endpoint": "https://lab.example"}, False),
    ],
)
def test_what_a_profile_accepts_is_for_its_own_registry_alone(flags, insecure):
    assert resolve(flags, {}, INSECURE).insecure is insecure


@pytest.mark.parametrize("flags", [{"insecure": False}, {"endpoint": "http://elsewhere.example"}])
def test_key_goes_in_clear_text_only_where_that_was_accepted(flags):
    with pytest.raises(Misused, match="in clear text"):
        resolve(flags, {}, INSECURE)


def test_insecure_profile_is_seen_and_can_be_made_secure(terminal: Terminal, stand_in: StandIn):
    login(terminal, stand_in, "--insecure")
    assert f"{stand_in.endpoint} (insecure)" in terminal.ok("profile", "list")
    terminal.ok("profile", "update", "default", "--org", "beta")
    assert json.loads(terminal.ok("profile", "get", "-o", "json"))["insecure"] is True
    terminal.ok("profile", "update", "default", "--no-insecure")
    assert "insecure" not in json.loads(terminal.ok("profile", "get", "-o", "json"))
    terminal.ok("profile", "update", "default", "-k")
    terminal.ok("profile", "update", "default", "--endpoint", "https://elsewhere.example")
    assert "insecure" not in json.loads(terminal.ok("profile", "get", "-o", "json"))


def test_new_login_accepts_only_what_it_says(terminal: Terminal, stand_in: StandIn):
    login(terminal, stand_in, "-k")
    login(terminal, stand_in)
    assert "insecure" not in terminal.ok("profile", "list")


def test_new_profile_takes_nothing_from_the_default_one(terminal: Terminal, stand_in: StandIn):
    login(terminal, stand_in)
    stand_in.asked.clear()
    outcome = terminal.run("profile", "login", "other", "--org", "beta", "--key-stdin", stdin=KEY)
    assert outcome.code == 2
    assert "registry is missing" in outcome.err
    assert stand_in.asked == []


def test_profile_that_was_for_another_registry_is_mentioned(terminal: Terminal, stand_in: StandIn):
    ProfileFile(terminal.home).change(lambda now: now.put(Profile("work", "https://old.example", "old")))
    assert "so far, the profile 'work' was for old at https://old.example" in login(
        terminal, stand_in, "work"
    )
    assert "so far" not in login(terminal, stand_in, "work")


def test_name_of_a_profile_behind_local_is_taken_for_a_folder_and_said_so(terminal: Terminal):
    outcome = terminal.run("profile", "login", "--local", "work")
    assert outcome.code == 3
    assert "moorage profile login work --local" in outcome.err


@pytest.mark.parametrize("mode", [0o770, 0o707, 0o722])
def test_folder_that_others_can_change_is_not_believed(terminal: Terminal, stand_in: StandIn, mode):
    login(terminal, stand_in)
    terminal.home.chmod(mode)
    outcome = terminal.run("image", "get")
    assert outcome.code == 1
    assert f"{terminal.home} can be changed by others; run 'chmod go-w {terminal.home}'" in outcome.err
    terminal.home.chmod(0o755)
    assert terminal.run("profile", "list").code == 0


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, MemoryError])
def test_draft_of_a_secret_goes_whatever_happens(tmp_path, monkeypatch, error):
    def stop(_):
        raise error

    monkeypatch.setattr(os, "fsync", stop)
    with pytest.raises(error):
        SecretStore(tmp_path).put("work", KEY, HERE)
    assert [path.name for path in tmp_path.iterdir()] == [".lock"]


def test_draft_of_a_command_that_was_killed_goes_with_the_next_one(tmp_path):
    old, young = (tmp_path / f".secrets.json.moorage-{name}" for name in ("old", "young"))
    other = tmp_path / ".profiles.json.moorage-old"
    for draft in (old, young, other):
        draft.write_text(KEY, "utf-8")
    for draft in (old, other):
        os.utime(draft, (0, 0))
    SecretStore(tmp_path).put("work", KEY, HERE)
    assert (old.exists(), young.exists(), other.exists()) == (False, True, True)


def test_token_of_the_environment_needs_no_profile_and_wins_over_its_key():
    environment = {"MOORAGE_TOKEN": "from-environment", "MOORAGE_HOME": "/nonexistent"}
    assert Session({"endpoint": "https://a.example"}, environment).credential == "from-environment"


def test_without_profile_and_token_the_login_is_named():
    with pytest.raises(NotLoggedIn) as raised:
        _ = Session({"endpoint": "https://a.example"}, {"MOORAGE_HOME": "/nonexistent"}).credential
    assert "profile login" in raised.value.hint


@pytest.mark.parametrize(
    ("environment", "folder"),
    [
        ({"MOORAGE_HOME": "/m", "XDG_CONFIG_HOME": "/x", "HOME": "/h"}, "/m"),
        ({"XDG_CONFIG_HOME": "/x", "HOME": "/h"}, "/x/moorage"),
        ({"XDG_CONFIG_HOME": "x", "HOME": "/h"}, "/h/.config/moorage"),
        ({"HOME": "/h"}, "/h/.config/moorage"),
    ],
)
def test_configuration_folder(environment, folder):
    assert config_folder(environment) == Path(folder)


def test_secrets_that_others_can_read_are_not_used(tmp_path):
    store = SecretStore(tmp_path)
    store.put("work", KEY, HERE)
    (tmp_path / "secrets.json").chmod(0o644)
    with pytest.raises(CliError, match="can be read by others") as raised:
        store.get("work", HERE)
    assert "chmod 600" in raised.value.hint
    store.put("work", "new", HERE)
    assert mode(tmp_path / "secrets.json") == 0o600
    assert store.get("work", HERE) == "new"


class FakeKeyring(KeyringBackend):
    priority = 5

    def __init__(self) -> None:
        super().__init__()
        self.kept: dict[tuple[str, str], str] = {}
        self.locked = False

    def get_password(self, service, username):
        if self.locked:
            raise KeyringLocked
        return self.kept.get((service, username))

    def set_password(self, service, username, password):
        if self.locked:
            raise KeyringLocked
        self.kept[service, username] = password

    def delete_password(self, service, username):
        if (service, username) not in self.kept:
            raise PasswordDeleteError
        del self.kept[service, username]


@pytest.fixture
def backend():
    fake = FakeKeyring()
    keyring.set_keyring(fake)
    return fake


def test_keyring_that_is_usable_keeps_the_secret_and_no_file_does(tmp_path, backend):
    store = SecretStore(tmp_path)
    assert store.put("work", KEY, HERE) is Place.KEYRING
    assert store.get("work", HERE) == KEY
    assert list(tmp_path.iterdir()) == []
    assert {service for service, _ in backend.kept} == {"moorage"}
    assert SecretStore(tmp_path / "elsewhere").get("work", HERE) is None
    store.delete("work")
    store.delete("work")
    assert backend.kept == {}


def test_keyring_that_does_not_open_leaves_the_secret_to_the_file(tmp_path, backend):
    backend.locked = True
    store = SecretStore(tmp_path)
    assert store.put("work", KEY, HERE) is Place.FILE
    assert store.get("work", HERE) == KEY
    with pytest.raises(CliError, match="does not open"):
        store.get("other", HERE)
    backend.locked = False
    assert store.put("work", KEY, HERE) is Place.KEYRING
    assert KEY not in files(tmp_path)


def test_keyring_that_is_a_plain_file_is_not_used(tmp_path, backend):
    type(backend).priority = 0.5
    try:
        assert SecretStore(tmp_path).put("work", KEY, HERE) is Place.FILE
    finally:
        type(backend).priority = 5


def test_disk_that_is_full_leaves_the_old_file(tmp_path, monkeypatch):
    file = ProfileFile(tmp_path)
    file.change(lambda _: FILED)
    before = (tmp_path / "profiles.json").read_bytes()

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(CliError, match="No space left"):
        file.change(lambda now: now.without("work"))
    assert (tmp_path / "profiles.json").read_bytes() == before
    assert {path.name for path in tmp_path.iterdir()} == {"profiles.json", ".lock"}


@pytest.mark.parametrize("content", ["{", "[]", '{"profiles": {"a": {}}}', '{"v": 9}'])
def test_file_of_profiles_that_makes_no_sense_is_said_so(terminal: Terminal, content):
    terminal.home.mkdir()
    (terminal.home / "profiles.json").write_text(content, "utf-8")
    outcome = terminal.run("profile", "list")
    assert outcome.code == 1
    assert "profiles.json" in outcome.err
    assert outcome.err.count("\n") == 1


def test_profiles_that_are_made_at_the_same_time_are_all_kept(tmp_path):
    def make(number):
        profile = Profile(f"p{number}", "https://a.example", "a")
        ProfileFile(tmp_path).change(lambda now: now.put(profile))

    threads = [threading.Thread(target=make, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(ProfileFile(tmp_path).load().by_name) == 12
