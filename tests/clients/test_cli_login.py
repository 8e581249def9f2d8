"""Clients that ask ``docker-credential-moorage``: they push and pull, and no secret is left behind in a file.

Here they are run as a person runs them, with nothing but their own files to go by.
"""

from __future__ import annotations

import base64
import json
import os
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs

import pytest

from tests.clients import docker, image, relay
from tests.clients.cloud import Cloud
from tests.clients.command import Outcome, run
from tests.clients.folders import named_for_clients
from tests.clients.image import TAG, Image
from tests.clients.relay import Relay, header

pytestmark = pytest.mark.timeout(420)

BIN = Path(sys.executable).parent
SIZES = (300_000, 500_000)


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody with a home of their own, who has signed in and told the clients of it."""

    home: Path
    host: str
    key: str
    stack: ExitStack

    def run(self, *words: str | Path) -> Outcome:
        return run(
            *words,
            home=self.home,
            secret="",
            PATH=f"{BIN}:/usr/sbin:/usr/bin:/sbin:/bin",
            XDG_RUNTIME_DIR=str(self.home / "run"),
            PYTHON_KEYRING_BACKEND="keyring.backends.null.Keyring",
        )

    def must(self, *words: str | Path) -> Outcome:
        outcome = self.run(*words)
        assert outcome.exit_code == 0, outcome
        return outcome


@pytest.fixture
def folder() -> Iterator[Path]:
    with named_for_clients() as made:
        yield made


@contextmanager
def person(cloud: Cloud, between: Relay, home: Path) -> Iterator[Person]:
    (home / "run").mkdir(parents=True)
    with ExitStack() as stack:
        this = Person(home, between.host, cloud.admin.password, stack)
        this.must("moorage", "profile", "login", "--local", cloud.state)
        this.must("moorage", "image", "docker-login", "--registry", between.host)
        yield this


# What pushes an image under a name, and what pulls it into an empty store and shows what has come.
Client = Callable[[Person, Image, str], Path]


def by_docker(store: docker.Store) -> Client:
    def act(who: Person, pushed: Image, reference: str) -> Path:
        def engine() -> Callable[..., Outcome]:
            log = who.home.with_name("docker.log")
            running = who.stack.enter_context(docker.engine(who.home.with_name("idle"), log, store))
            return lambda *words: who.must(docker.CLIENT, "--host", f"unix://{running.socket}", *words)

        who.home.with_name("idle").mkdir()
        first, archive = engine(), who.home.with_name("pulled.tar")
        source = pushed.docker_archive if store is docker.CLASSIC else pushed.oci_archive
        loaded = first("load", "--quiet", "--input", source).output
        first("tag", loaded.removeprefix("Loaded image: "), reference)
        first("push", reference)
        second = engine()
        second("pull", reference)
        second("save", "--output", archive, reference)
        return archive

    return act


def by_libpod(program: str) -> Client:
    def act(who: Person, pushed: Image, reference: str) -> Path:
        def store(name: str) -> tuple[str | Path, ...]:
            place = who.home / name
            return (program, "--storage-driver", "vfs", "--root", place / "root", "--runroot", place / "run")

        first, second = store("first"), store("second")
        archive = who.home.with_name("pulled.tar")
        loaded = who.must(*first, "pull", "--quiet", f"oci:{pushed.layout}:{TAG}").output.split()[-1]
        who.must(*first, "push", "--tls-verify=false", loaded, f"docker://{reference}")
        who.must(*second, "pull", "--tls-verify=false", f"docker://{reference}")
        pulled = who.must(*second, "images", "--quiet").output.split()[-1]
        who.must(*second, "push", pulled, f"oci-archive:{archive}")
        return archive

    return act


def by_skopeo(who: Person, pushed: Image, reference: str) -> Path:
    layout = who.home.with_name("pulled")
    copy = ("skopeo", "--insecure-policy", "copy")
    who.must(*copy, "--dest-tls-verify=false", f"oci:{pushed.layout}:{TAG}", f"docker://{reference}")
    who.must(*copy, "--src-tls-verify=false", f"docker://{reference}", f"oci:{layout}:{TAG}")
    return layout


def by_crane(who: Person, pushed: Image, reference: str) -> Path:
    archive = who.home.with_name("pulled.tar")
    who.must(os.environ["CRANE"], "push", pushed.layout, reference)
    who.must(os.environ["CRANE"], "pull", reference, archive)
    return archive


def by_oras(who: Person, pushed: Image, reference: str) -> Path:
    layout = who.home.with_name("pulled")
    oras = os.environ["ORAS"]
    who.must(oras, "cp", "--from-oci-layout", "--to-plain-http", f"{pushed.layout}:{TAG}", reference)
    who.must(oras, "cp", "--from-plain-http", reference, "--to-oci-layout", f"{layout}:{TAG}")
    return layout


def by_regctl(who: Person, pushed: Image, reference: str) -> Path:
    layout = who.home.with_name("pulled")
    regctl = os.environ["REGCTL"]
    who.must(regctl, "registry", "set", "--tls", "disabled", "--skip-check", who.host)
    who.must(regctl, "image", "copy", f"ocidir://{pushed.layout}:{TAG}", reference)
    who.must(regctl, "image", "copy", reference, f"ocidir://{layout}:{TAG}")
    return layout


CLIENTS: dict[str, Client] = {
    "docker": by_docker(docker.CLASSIC),
    "docker-containerd": by_docker(docker.CONTAINERD),
    "podman": by_libpod("podman"),
    "buildah": by_libpod("buildah"),
    "skopeo": by_skopeo,
    "crane": by_crane,
    "oras": by_oras,
    "regctl": by_regctl,
}


@pytest.mark.parametrize("client", CLIENTS)
def test_client_pushes_and_pulls_with_a_token_and_leaves_no_secret_in_a_file(
    client: str, registry_cloud: Cloud, folder: Path
) -> None:
    pushed = image.build(folder, f"helper-{client}", SIZES)
    with (
        relay.between(registry_cloud.endpoint) as between,
        person(registry_cloud, between, folder / "home") as who,
    ):
        came = CLIENTS[client](who, pushed, f"{who.host}/{registry_cloud.org}/helper-{client}:{TAG}")
        assert image.layers_of(came) == pushed.layers
        tokens = tokens_shown(between, who.key)
        assert len(tokens) > 1
        # What signing in has left is the key, where keys are; the scan would find anything else, also in what
        # programs have logged.
        kept = who.home / ".config" / "moorage" / "secrets.json"
        assert holders(folder, [who.key, *tokens]) == [kept]
        assert holders(registry_cloud.log, [who.key, *tokens]) == []
        assert stat.S_IMODE(kept.stat().st_mode) == 0o600
        who.must("moorage", "image", "docker-logout")
        assert "moorage" not in (who.home / ".docker" / "config.json").read_text("utf-8")


def tokens_shown(between: Relay, key: str) -> list[str]:
    """The tokens that the client has had and shown, none of which is the key."""
    secrets: set[str] = set()
    for exchange in between.exchanges:
        sent = exchange.sent
        authorization = header(sent.headers, "Authorization") or ""
        assert authorization == "" or authorization.startswith("Bearer "), sent.path
        assert key not in authorization
        assert key.encode() not in sent.body
        if sent.path == "/token" and sent.method == "POST":
            form = parse_qs(sent.body.decode("ascii"))
            assert form["grant_type"] == ["refresh_token"]
            assert exchange.answered.status == 200
            secrets |= {*form["refresh_token"], json.loads(exchange.answered.body)["access_token"]}
    return sorted(secrets)


def holders(place: Path, secrets: list[str]) -> list[Path]:
    """Files below a folder, or the file that it is, that hold one of these, as it is or within something in Base64."""
    forms = {form for secret in secrets for form in written(secret.encode())}
    found = place.rglob("*") if place.is_dir() else [place]
    files = sorted(path for path in found if path.is_file() and not path.is_symlink())
    return [file for file in files if any(form in file.read_bytes() for form in forms)]


def written(secret: bytes) -> Iterator[bytes]:
    """A secret as a file may hold it; in Base64 it depends on how many bytes stand before it."""
    yield secret
    for before in range(3):
        encoded = base64.b64encode(b"\0" * before + secret)
        # The first and last characters are of other bytes, too.
        inner = encoded[4 if before else 0 : len(secret) * 4 // 3 - 4]
        yield inner
        yield inner.translate(bytes.maketrans(b"+/", b"-_"))


@pytest.mark.parametrize("user", ["", "a", "ab", "abc", "<token>"])
def test_secret_in_a_file_is_found(tmp_path: Path, user: str) -> None:
    key = "mrg_abcdefghijklmnop_" + "abcdefghijklmnopqrstuvwxyz234567" * 2
    login = base64.b64encode(f"{user}:{key}".encode()).decode()
    place = tmp_path / "deep" / "config.json"
    place.parent.mkdir()
    place.write_text(json.dumps({"auths": {"host": {"auth": login}}}), "utf-8")
    assert holders(tmp_path, [key]) == [place]
    assert holders(tmp_path, [key.replace("a", "b")]) == []
    place.write_text(f"key={key}", "utf-8")
    assert holders(tmp_path, [key]) == holders(place, [key]) == [place]
