"""``image docker-login`` and ``docker-logout``: what they ask, and what they leave in files of other programs."""

from __future__ import annotations

import base64
import json
import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from moorage_cli.credential_helper_keys import CredentialKeys
from moorage_cli.docker_config import LoginFile
from moorage_cli.docker_hosts import DockerHostFile
from moorage_cli.image_hosts import belongs_to
from tests.cli.stand_in import Answer, StandIn, refusal
from tests.cli.terminal import KEY, Outcome, Terminal

if TYPE_CHECKING:
    from tests.protocol.management.world import Management

SECRET = base64.b64encode(f"<token>:{KEY}".encode()).decode()
ORG = {"kind": "org", "name": "acme"}
BIN = str(Path(sys.executable).parent)


class Desk:
    """A terminal, and the files of docker and its kind below its home."""

    def __init__(self, terminal: Terminal, stand_in: StandIn, home: Path) -> None:
        self.terminal = terminal
        self.registry = stand_in
        self.host = stand_in.endpoint.removeprefix("http://")
        self.home = home
        self.docker = home / ".docker" / "config.json"
        self.containers = home / ".config" / "containers" / "auth.json"
        self.runtime = home / "run" / "containers" / "auth.json"
        (home / "run").mkdir(parents=True)
        terminal.environment |= {
            "HOME": str(home),
            "XDG_RUNTIME_DIR": str(home / "run"),
            "PATH": f"{BIN}:/usr/bin:/bin",
        }
        stand_in.on("GET", "/org/acme", ORG)
        self.announce(f"{stand_in.endpoint}/{{org}}")

    def announce(self, registry: Any) -> None:
        self.registry.on("GET", "/discovery", {"endpoints": {"registry": registry}})

    def sign_in(self, name: str = "work", org: str = "acme") -> None:
        self.registry.on("GET", f"/org/{org}", ORG)
        flags = ("--endpoint", self.registry.endpoint, "--org", org, "--key-stdin")
        self.terminal.ok("profile", "login", name, *flags, stdin=KEY)

    def login(self, *flags: str, **options: Any) -> Outcome:
        return self.terminal.run("image", "docker-login", *flags, **options)

    def logout(self, *flags: str) -> Outcome:
        return self.terminal.run("image", "docker-logout", *flags)

    def profiles_at(self, host: str) -> tuple[str, ...]:
        return DockerHostFile(self.terminal.home).load().by_host[host].profiles


@pytest.fixture
def desk(terminal: Terminal, stand_in: StandIn, tmp_path: Path) -> Desk:
    return Desk(terminal, stand_in, tmp_path / "person")


@pytest.fixture
def signed_in(desk: Desk) -> Desk:
    desk.sign_in()
    return desk


def read(path: Path) -> Any:
    return json.loads(path.read_text("utf-8"))


def write(path: Path, document: Any, mode: int = 0o600) -> bytes:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(document if isinstance(document, str) else json.dumps(document), "utf-8")
    path.chmod(mode)
    return path.read_bytes()


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def secrets_below(folder: Path) -> list[Path]:
    """Files that hold the key, plain or as clients write it."""
    words = (KEY.encode(), SECRET.encode())
    return [
        file for file in folder.rglob("*") if file.is_file() and any(w in file.read_bytes() for w in words)
    ]


def test_login_checks_access_and_registers_the_helper_with_every_client(signed_in: Desk):
    signed_in.registry.asked.clear()
    outcome = signed_in.login()
    assert outcome.code == 0, outcome
    assert signed_in.registry.paths() == ["GET /org/acme", "GET /discovery"]
    assert signed_in.registry.asked[0].headers["Authorization"] == f"Bearer {KEY}"
    assert "Authorization" not in signed_in.registry.asked[1].headers
    for file in (signed_in.docker, signed_in.containers, signed_in.runtime):
        assert read(file) == {"credHelpers": {signed_in.host: "moorage"}}
        assert mode(file) == 0o600
    assert outcome.out == ""
    assert (
        f"for {signed_in.host}, docker, podman, skopeo and crane ask docker-credential-moorage" in outcome.err
    )
    assert "the key of profile 'work'" in outcome.err
    assert outcome.err.count("\n") == 1
    assert secrets_below(signed_in.home) == []


def test_second_login_changes_nothing(signed_in: Desk):
    files = (signed_in.docker, signed_in.containers, signed_in.terminal.home / "docker-hosts.json")
    signed_in.login()
    before = [(file.read_bytes(), file.stat().st_ino) for file in files]
    assert signed_in.login().code == 0
    assert [(file.read_bytes(), file.stat().st_ino) for file in files] == before


def test_all_else_in_the_files_stays_and_so_do_mode_and_order(signed_in: Desk):
    document = {
        "proxies": {"default": {"httpProxy": "http://proxy:3128"}},
        "auths": {"ghcr.io": {"auth": "b3RoZXI6c2VjcmV0"}, "https://index.docker.io/v1/": {}},
        "credsStore": "desktop",
        "credHelpers": {"gcr.io": "gcloud"},
        "HttpHeaders": {"X-Größe": "1"},
        "detachKeys": "ctrl-e,e",
        "someNumber": 12345678901234567890,
    }
    write(signed_in.docker, document, mode=0o640)
    assert signed_in.login().code == 0
    after = read(signed_in.docker)
    assert after == {**document, "credHelpers": {"gcr.io": "gcloud", signed_in.host: "moorage"}}
    assert list(after) == list(document)
    assert mode(signed_in.docker) == 0o640
    assert "Größe" in signed_in.docker.read_text("utf-8")
    assert [path.name for path in signed_in.docker.parent.iterdir()] == ["config.json"]


def test_helper_of_somebody_else_for_that_host_is_named_when_it_is_replaced(signed_in: Desk):
    write(signed_in.docker, {"credHelpers": {signed_in.host: "pass", "gcr.io": "gcloud"}})
    outcome = signed_in.login()
    assert read(signed_in.docker)["credHelpers"] == {signed_in.host: "moorage", "gcr.io": "gcloud"}
    assert f"that takes the place of docker-credential-pass in {signed_in.docker}\n" in outcome.err
    assert outcome.err.count("takes the place") == 1
    assert "takes the place" not in signed_in.login().err


@pytest.mark.parametrize("first", ["docker-login", "docker-logout"])
def test_logins_at_the_same_time_keep_each_others_hosts(
    signed_in: Desk, monkeypatch: pytest.MonkeyPatch, first: str
):
    """Another login begins while ``first`` has read the files and not written them."""
    signed_in.login()
    name = "put_helper" if first == "docker-login" else "take_helper"
    real: Callable[..., None] = getattr(LoginFile, name)
    others: list[subprocess.Popen[bytes]] = []

    def change(file: LoginFile, *arguments: str) -> None:
        if not others:
            words = [f"{BIN}/moorage", "image", "docker-login", "--registry", "other.example"]
            others.append(subprocess.Popen(words, env=signed_in.terminal.environment))
            with suppress(subprocess.TimeoutExpired):
                others[0].wait(3)
        real(file, *arguments)

    monkeypatch.setattr(LoginFile, name, change)
    words = ("--registry", "third.example") if first == "docker-login" else ("--registry", signed_in.host)
    assert signed_in.terminal.run("image", first, *words).code == 0
    assert others[0].wait(60) == 0
    left = {signed_in.host, "third.example", "other.example"}
    if first == "docker-logout":
        left = {"other.example"}
    for file in (signed_in.docker, signed_in.containers):
        assert set(read(file)["credHelpers"]) == left
    assert set(DockerHostFile(signed_in.terminal.home).load().by_host) == left


@pytest.mark.parametrize(
    "key", ["{}", "https://{}", "https://{}/v1/", "http://{}/v2/", "{}/acme", "{}/acme/app"]
)
def test_login_with_a_secret_for_that_host_is_taken_out_and_said_so(signed_in: Desk, key: str):
    stale = key.format(signed_in.host)
    others = {"ghcr.io": {"auth": SECRET[:8]}, f"x{signed_in.host}": {"auth": "eDp5"}}
    write(signed_in.docker, {"auths": {stale: {"auth": SECRET}, **others}})
    write(signed_in.runtime, {"auths": {stale: {"auth": SECRET}}})
    outcome = signed_in.login()
    assert read(signed_in.docker)["auths"] == others
    assert read(signed_in.runtime)["auths"] == {}
    for file in (signed_in.docker, signed_in.runtime):
        assert f"the login with a secret for {stale} is taken out of {file}" in outcome.err
    assert KEY not in outcome.err
    assert SECRET not in outcome.err
    assert secrets_below(signed_in.home) == []


def test_login_of_another_organisation_at_that_host_and_entries_without_a_secret_stay(signed_in: Desk):
    logins = {f"{signed_in.host}/other": {"auth": "eDp5"}, signed_in.host: {}, "\\n": {"auth": "eDp5"}}
    write(signed_in.containers, {"auths": logins})
    outcome = signed_in.login()
    assert read(signed_in.containers)["auths"] == logins
    assert "taken out" not in outcome.err


@pytest.mark.parametrize("name", ["identitytoken", "registrytoken", "password"])
def test_every_kind_of_secret_is_taken_out(signed_in: Desk, name: str):
    write(signed_in.docker, {"auths": {signed_in.host: {name: "s3cret"}}})
    signed_in.login()
    assert "s3cret" not in signed_in.docker.read_text("utf-8")


@pytest.mark.parametrize(
    ("announced", "host"),
    [
        ("http://{org}.HOST", "acme.HOST"),
        ("http://HOST/{org}", "HOST"),
        ("HTTP://HOST/{org}/", "HOST"),
        ("{org}.HOST", "acme.HOST"),
        ("HOST", "HOST"),
        ("HOST/{org}", "HOST"),
    ],
)
def test_host_is_the_one_that_the_registry_announces(signed_in: Desk, announced: str, host: str):
    signed_in.announce(announced.replace("HOST", signed_in.host))
    assert signed_in.login().code == 0
    host = host.replace("HOST", signed_in.host)
    assert read(signed_in.docker)["credHelpers"] == {host: "moorage"}
    assert signed_in.profiles_at(host) == ("work",)


@pytest.mark.parametrize(
    "announced",
    [
        "ghcr.io",
        "https://index.docker.io/v1/",
        "{org}.ghcr.io",
        "127.0.0.1",
        "other.HOST",
    ],
)
def test_host_that_may_be_anybodys_is_not_believed_and_no_login_there_is_touched(
    signed_in: Desk, announced: str
):
    others = {"auths": {"ghcr.io": {"auth": "eDp5"}, "https://index.docker.io/v1/": {"auth": "eDp5"}}}
    before = write(signed_in.docker, others)
    signed_in.announce(announced.replace("HOST", signed_in.host))
    outcome = signed_in.login()
    assert outcome.code == 2
    assert "which may be another registry's; add --registry " in outcome.err
    assert signed_in.docker.read_bytes() == before
    assert not signed_in.containers.exists()
    assert not (signed_in.terminal.home / "docker-hosts.json").exists()


@pytest.mark.parametrize(
    ("announced", "own", "belongs"),
    [
        ("r.example", "r.example", True),
        ("acme.r.example", "r.example", True),
        ("acme.r.example", "api.r.example", True),
        ("acme.r.example", "other.r.example", True),
        ("acme.r.example:8443", "api.r.example:8443", True),
        ("acme.r.example:8443", "api.r.example", False),
        ("acme.r.example", "xr.example", False),
        ("acme.r.example", "r.example.evil", False),
        ("acme.example", "evil.example", False),
        ("other.r.example", "r.example", False),
        ("acme.", "r.example", False),
        ("ghcr.io", "r.example", False),
    ],
)
def test_host_belongs_to_a_registry_by_its_name(announced: str, own: str, belongs: bool):
    assert belongs_to(announced, own, "acme") is belongs


@pytest.mark.parametrize("announced", [None, 7, "", "https://", "https://a b", 'https://x"', "../{org}", []])
def test_registry_that_announces_no_host_is_said_so_and_nothing_is_written(signed_in: Desk, announced: Any):
    signed_in.announce(announced)
    assert signed_in.login().code != 0
    assert not signed_in.docker.exists()


def test_host_can_be_named(signed_in: Desk):
    assert signed_in.login("--registry", "https://Tunnel.example:7000/v2/").code == 0
    assert read(signed_in.docker)["credHelpers"] == {"tunnel.example:7000": "moorage"}
    assert "GET /discovery" not in signed_in.registry.paths()
    assert signed_in.login("--registry", "not a host").code == 2


def test_a_named_folder_is_the_only_one_that_is_changed(signed_in: Desk, tmp_path: Path):
    folder = tmp_path / "elsewhere" / "docker"
    assert signed_in.login("--config", str(folder)).code == 0
    assert read(folder / "config.json")["credHelpers"] == {signed_in.host: "moorage"}
    assert not signed_in.docker.exists()
    assert not signed_in.containers.exists()


def test_variables_say_where_the_files_are(signed_in: Desk, tmp_path: Path):
    auth, docker, config = tmp_path / "auth.json", tmp_path / "d", tmp_path / "xdg"
    signed_in.login(environment={"DOCKER_CONFIG": str(docker), "REGISTRY_AUTH_FILE": str(auth)})
    assert read(docker / "config.json") == read(auth) == {"credHelpers": {signed_in.host: "moorage"}}
    assert not signed_in.docker.exists()
    assert not signed_in.containers.exists()
    assert not signed_in.runtime.exists()
    signed_in.login(environment={"XDG_CONFIG_HOME": str(config), "XDG_RUNTIME_DIR": str(tmp_path / "gone")})
    assert read(config / "containers" / "auth.json") == read(auth)
    assert not (tmp_path / "gone").exists()


@pytest.mark.parametrize(
    "content",
    ["{", "[]", '{"auths": []}', '{"credHelpers": "moorage"}', "\x00", '{"auths": {}} trailing'],
)
def test_file_that_makes_no_sense_is_named_and_nothing_at_all_is_changed(signed_in: Desk, content: str):
    before = write(signed_in.containers, content)
    outcome = signed_in.login()
    assert outcome.code == 1
    assert str(signed_in.containers) in outcome.err
    assert outcome.err.count("\n") == 1
    assert signed_in.containers.read_bytes() == before
    assert not signed_in.docker.exists()
    assert not (signed_in.terminal.home / "docker-hosts.json").exists()


@pytest.mark.parametrize("content", ["", "\n", "{}", '{"auths": null, "credHelpers": null}'])
def test_file_with_nothing_in_it_is_filled(signed_in: Desk, content: str):
    write(signed_in.docker, content)
    assert signed_in.login().code == 0
    assert read(signed_in.docker)["credHelpers"] == {signed_in.host: "moorage"}


def test_link_to_a_file_elsewhere_stays_one(signed_in: Desk, tmp_path: Path):
    real = tmp_path / "dotfiles" / "docker.json"
    write(real, {"auths": {}})
    signed_in.docker.parent.mkdir()
    signed_in.docker.symlink_to(real)
    assert signed_in.login().code == 0
    assert signed_in.docker.is_symlink()
    assert read(real)["credHelpers"] == {signed_in.host: "moorage"}


def test_disk_that_is_full_leaves_the_old_file_and_no_other(signed_in: Desk, monkeypatch: pytest.MonkeyPatch):
    before = write(signed_in.docker, {"auths": {"ghcr.io": {"auth": "eDp5"}}})
    real, full = os.fsync, OSError(28, "No space left on device")

    def fail(descriptor: int) -> None:
        if "config.json" in str(Path(f"/proc/self/fd/{descriptor}").readlink()):
            raise full
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fail)
    outcome = signed_in.login()
    assert outcome.code == 1
    assert f"{signed_in.docker} cannot be written: No space left on device" in outcome.err
    assert signed_in.docker.read_bytes() == before
    assert [path.name for path in signed_in.docker.parent.iterdir()] == ["config.json"]


def test_interruption_leaves_no_draft_beside_the_file(signed_in: Desk, monkeypatch: pytest.MonkeyPatch):
    before = write(signed_in.docker, {"auths": {"ghcr.io": {"auth": "eDp5"}}})
    real = os.fsync

    def stop(descriptor: int) -> None:
        if "config.json" in str(Path(f"/proc/self/fd/{descriptor}").readlink()):
            raise KeyboardInterrupt
        real(descriptor)

    monkeypatch.setattr(os, "fsync", stop)
    assert signed_in.login().code == 130
    assert signed_in.docker.read_bytes() == before
    assert [path.name for path in signed_in.docker.parent.iterdir()] == ["config.json"]


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (refusal(401, "CredentialsInvalid", "the key is revoked"), 4),
        (refusal(403, "Forbidden", "no"), 4),
        (Answer(b"<html>", 200, {"Content-Type": "text/html"}), 6),
        (Answer({"kind": "list"}), 6),
    ],
)
def test_without_access_nothing_is_written(signed_in: Desk, answer: Answer, code: int):
    signed_in.registry.on("GET", "/org/acme", answer)
    assert signed_in.login().code == code
    assert not signed_in.docker.exists()
    assert not (signed_in.terminal.home / "docker-hosts.json").exists()


def test_without_a_profile_the_login_is_named(desk: Desk):
    assert desk.login().code == 4
    outcome = desk.login("--endpoint", desk.registry.endpoint, "--org", "acme")
    assert outcome.code == 4
    assert "profile login" in outcome.err


def test_last_profile_stands_first(signed_in: Desk):
    signed_in.sign_in("second", org="beta")
    signed_in.login()
    signed_in.login("--profile", "second")
    assert signed_in.profiles_at(signed_in.host) == ("second", "work")
    assert "so far it was the key of profile" not in signed_in.login("--profile", "second").err
    assert "so far it was the key of profile 'second'" in signed_in.login("--profile", "work").err
    assert signed_in.profiles_at(signed_in.host) == ("work", "second")


def test_logout_of_one_profile_leaves_the_other_its_login(signed_in: Desk):
    signed_in.sign_in("second", org="beta")
    signed_in.login()
    signed_in.login("--profile", "second")
    outcome = signed_in.logout("--profile", "second")
    assert outcome.code == 0, outcome
    assert f"{signed_in.host} is still answered for, with the key of profile 'work'" in outcome.err
    assert signed_in.profiles_at(signed_in.host) == ("work",)
    assert read(signed_in.docker)["credHelpers"] == {signed_in.host: "moorage"}
    assert signed_in.logout("--profile", "second").code == 3
    assert signed_in.logout().code == 0
    assert read(signed_in.docker) == {}


def test_logout_of_a_host_that_is_named_is_everybodys(signed_in: Desk):
    signed_in.sign_in("second", org="beta")
    signed_in.login()
    signed_in.login("--profile", "second")
    assert signed_in.logout("--registry", signed_in.host).code == 0
    assert read(signed_in.docker) == {}
    assert DockerHostFile(signed_in.terminal.home).load().by_host == {}


def test_token_of_the_environment_is_enough_and_said_to_be_needed_later(desk: Desk):
    variables = {
        "MOORAGE_ENDPOINT": desk.registry.endpoint,
        "MOORAGE_ORG": "acme",
        "MOORAGE_TOKEN": KEY,
    }
    outcome = desk.login(environment=variables)
    assert outcome.code == 0
    assert "MOORAGE_TOKEN has to be set when they ask" in outcome.err
    assert desk.profiles_at(desk.host) == ()
    assert secrets_below(desk.terminal.home) == []


def test_bearer_token_is_not_enough(desk: Desk):
    variables = {"MOORAGE_ENDPOINT": desk.registry.endpoint, "MOORAGE_ORG": "acme", "MOORAGE_TOKEN": "a.b.c"}
    outcome = desk.login(environment=variables)
    assert outcome.code == 4
    assert "docker needs a key" in outcome.err
    assert desk.registry.asked == []


def test_helper_that_clients_will_not_find_is_said_so(signed_in: Desk):
    outcome = signed_in.login(environment={"PATH": "/usr/bin:/bin"})
    if shutil.which("docker-credential-moorage", path="/usr/bin:/bin") is None:
        assert "they will not find docker-credential-moorage" in outcome.err
    assert "they will not find" not in signed_in.login().err


def test_output_can_be_left_out(signed_in: Desk):
    assert signed_in.login("--ignore-output") == Outcome(0, "", "")
    assert signed_in.logout("--ignore-output") == Outcome(0, "", "")


# ------------------------------------------------------------------ docker-logout
def test_logout_undoes_the_login_without_asking_the_registry(signed_in: Desk):
    before = write(signed_in.docker, {"auths": {"ghcr.io": {"auth": "eDp5"}}, "credsStore": "desktop"})
    signed_in.login()
    signed_in.registry.asked.clear()
    outcome = signed_in.logout()
    assert outcome.code == 0, outcome
    assert signed_in.registry.asked == []
    assert read(signed_in.docker) == json.loads(before)
    assert read(signed_in.containers) == {}
    assert DockerHostFile(signed_in.terminal.home).load().by_host == {}
    assert f"not asked for {signed_in.host} any more" in outcome.err
    assert list(read(signed_in.terminal.home / "secrets.json")) == ["work"]


def test_logout_leaves_other_hosts_and_helpers(signed_in: Desk):
    write(signed_in.docker, {"credHelpers": {"gcr.io": "gcloud", "tunnel.example": "pass"}})
    signed_in.login()
    signed_in.login("--registry", "other.example")
    assert signed_in.logout("--registry", "tunnel.example").code == 0
    assert signed_in.logout("--registry", "other.example").code == 0
    helpers = {"gcr.io": "gcloud", "tunnel.example": "pass", signed_in.host: "moorage"}
    assert read(signed_in.docker)["credHelpers"] == helpers
    assert list(DockerHostFile(signed_in.terminal.home).load().by_host) == [signed_in.host]


def test_logout_forgets_the_key_that_docker_login_was_given(signed_in: Desk):
    signed_in.login()
    given = json.dumps({"ServerURL": signed_in.host, "Username": "<token>", "Secret": "mrg_given"})
    subprocess.run(
        [f"{BIN}/docker-credential-moorage", "store"],
        input=given,
        text=True,
        env=signed_in.terminal.environment,
        check=True,
        timeout=60,
    )
    assert "mrg_given" in (signed_in.terminal.home / "secrets.json").read_text("utf-8")
    signed_in.logout()
    assert "mrg_given" not in (signed_in.terminal.home / "secrets.json").read_text("utf-8")


def test_login_goes_before_the_key_that_docker_login_was_given(signed_in: Desk):
    signed_in.login()
    keys = CredentialKeys(signed_in.terminal.home, {})
    keys.keep(signed_in.host, "<token>", "mrg_given")
    assert CredentialKeys(signed_in.terminal.home, {}).find(signed_in.host).key == "mrg_given"
    signed_in.login()
    assert CredentialKeys(signed_in.terminal.home, {}).find(signed_in.host).key == KEY
    assert "mrg_given" not in (signed_in.terminal.home / "secrets.json").read_text("utf-8")


def test_logout_without_a_login_says_so(signed_in: Desk):
    assert signed_in.logout().code == 3
    outcome = signed_in.logout("--registry", "other.example")
    assert outcome.code == 0
    assert "there was no login at other.example" in outcome.err


# ------------------------------------------------------------------ against the real registry
def test_login_to_the_real_registry_answers_docker(
    real: Terminal, stand_in: StandIn, management: Management, tmp_path: Path
):
    real.environment |= {"HOME": str(tmp_path), "XDG_RUNTIME_DIR": "", "PATH": f"{BIN}:/usr/bin:/bin"}
    # The API in this process does not know at which host it is reached.
    assert real.run("image", "docker-login").code == 2
    real.ok("image", "docker-login", "--registry", f"127.0.0.1:{stand_in.port}")
    (host,) = read(tmp_path / ".docker" / "config.json")["credHelpers"]
    done = subprocess.run(
        [f"{BIN}/docker-credential-moorage", "get"],
        input=host,
        text=True,
        env=real.environment,
        check=True,
        timeout=60,
        capture_output=True,
    )
    answer = json.loads(done.stdout)
    assert answer["Username"] == "<token>"
    form = {
        "grant_type": "refresh_token",
        "refresh_token": answer["Secret"],
        "scope": "repository:demo/app:pull,push",
    }
    assert management.world.tokens.post("/token", data=form).status_code == 200
    assert stand_in.paths().count("POST /token") == 1
