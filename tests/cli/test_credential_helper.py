"""``docker-credential-moorage``: the protocol of credential helpers, and which key a host is answered with."""

from __future__ import annotations

import ast
import io
import json
import os
import socket
import ssl
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TypeVar
from unittest import mock

import pytest

import moorage_cli
from moorage_cli import credential_helper
from moorage_cli.docker_hosts import Address, DockerHost, DockerHostFile, DockerHosts
from moorage_cli.errors import Misused
from moorage_cli.profiles import Profile, ProfileFile
from moorage_cli.secret_store import SecretStore
from tests.certificates import self_signed
from tests.cli.stand_in import Answer, Asked, StandIn, refusal
from tests.cli.terminal import KEY, Outcome, Terminal

NOT_FOUND = "credentials not found in native keychain\n"
REFRESH = "urn:ietf:params:oauth:token-type:refresh_token"
TOKEN = "header.payload.signature"
PROGRAM = Path(sys.executable).with_name("docker-credential-moorage")
HEAVY = {"httpx2", "httpcore2", "rich", "yaml", "pydantic", "keyring", "click", "asyncio"}


class Helper:
    """The helper, run in this process with the settings and variables of a terminal."""

    def __init__(self, terminal: Terminal) -> None:
        self.home = terminal.home
        self.environment = terminal.environment
        self.secrets = SecretStore(self.home)

    def profile(self, name: str, endpoint: str, org: str = "acme", key: str | None = KEY) -> None:
        ProfileFile(self.home).change(lambda now: now.put(Profile(name, endpoint, org)))
        if key is not None:
            self.secrets.put(name, key, endpoint)

    def host(self, host: str, endpoint: str, *profiles: str) -> None:
        known = DockerHost(host, endpoint, profiles=profiles)
        DockerHostFile(self.home).change(lambda now: now.put(known))

    def hosts(self) -> DockerHosts:
        return DockerHostFile(self.home).load()

    def run(
        self, *words: str, stdin: str | bytes = "", variables: Mapping[str, str] | None = None
    ) -> Outcome:
        given = io.TextIOWrapper(io.BytesIO(stdin if isinstance(stdin, bytes) else stdin.encode()))
        out, err = io.StringIO(), io.StringIO()
        environment = {**self.environment, **(variables or {})}
        with (
            mock.patch.dict(os.environ, environment, clear=True),
            mock.patch.multiple(sys, stdin=given, stdout=out, stderr=err),
        ):
            code = credential_helper.main(words)
        return Outcome(code, out.getvalue(), err.getvalue())

    def get(self, asked: str, variables: Mapping[str, str] | None = None) -> dict[str, str]:
        outcome = self.run("get", stdin=f"{asked}\n", variables=variables)
        assert (outcome.code, outcome.err) == (0, ""), outcome
        assert outcome.out.count("\n") == 1
        answer: dict[str, str] = json.loads(outcome.out)
        return answer

    def key_for(self, asked: str, variables: Mapping[str, str] | None = None) -> str:
        """The key that ``get`` exchanges."""
        return self.get(asked, variables)["Secret"].split(".")[1]


@pytest.fixture
def helper(terminal: Terminal) -> Helper:
    return Helper(terminal)


@pytest.fixture(autouse=True)
def no_waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    waited: list[float] = []
    monkeypatch.setattr(time, "sleep", waited.append)
    return waited


@contextmanager
def tls_server(folder: Path) -> Iterator[int]:
    """A server whose certificate nobody has signed but itself; it answers ``TOKEN``. Its port."""
    certificate = self_signed(folder)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            body = json.dumps({"access_token": TOKEN, "issued_token_type": REFRESH}).encode()
            self.send_response(200)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    with serving(server):
        yield server.server_address[1]


class Proxy(ThreadingHTTPServer):
    """Takes whoever asks for anything to one port of this machine; ``asked`` is for what, and as whom."""

    daemon_threads = True

    def __init__(self, port: int) -> None:
        super().__init__(("127.0.0.1", 0), Tunnel)
        self.port = port
        self.asked: list[tuple[str, str | None]] = []


class Tunnel(BaseHTTPRequestHandler):
    server: Proxy

    def do_CONNECT(self) -> None:
        self.server.asked.append((self.path, self.headers["Proxy-Authorization"]))
        self.send_response(200)
        self.end_headers()
        with socket.create_connection(("127.0.0.1", self.server.port)) as there:
            back = threading.Thread(target=pour, args=(there, self.connection), daemon=True)
            back.start()
            pour(self.connection, there)
            back.join()

    def log_message(self, *_: object) -> None:
        """Nothing."""


def pour(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while content := source.recv(65536):
            target.sendall(content)
        target.shutdown(socket.SHUT_WR)


@contextmanager
def proxy_to(port: int) -> Iterator[Proxy]:
    with serving(Proxy(port)) as proxy:
        yield proxy


Server = TypeVar("Server", bound=ThreadingHTTPServer)


@contextmanager
def serving(server: Server) -> Iterator[Server]:
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def exchanged(asked: Asked) -> Answer:
    """A token out of which a test can read the key."""
    form = dict(pair.split("=") for pair in asked.content.decode().split("&"))
    return Answer({"access_token": f"h.{form['subject_token']}.s", "issued_token_type": REFRESH})


@pytest.fixture
def registry(stand_in: StandIn) -> StandIn:
    stand_in.on("POST", "/token", exchanged)
    return stand_in


@pytest.fixture
def logged_in(helper: Helper, registry: StandIn) -> Helper:
    """A profile ``work`` that has logged in at ``registry.example`` and at the stand-in's own host."""
    helper.profile("work", registry.endpoint)
    for host in ("registry.example", registry.endpoint.removeprefix("http://")):
        helper.host(host, registry.endpoint, "work")
    return helper


def test_get_exchanges_the_key_and_answers_a_token(logged_in: Helper, registry: StandIn):
    registry.on("POST", "/token", {"access_token": TOKEN, "issued_token_type": REFRESH})
    answer = logged_in.get("registry.example")
    assert answer == {"ServerURL": "registry.example", "Username": "<token>", "Secret": TOKEN}
    (asked,) = registry.asked
    assert asked.content.decode() == (
        "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Atoken-exchange"
        "&requested_token_type=urn%3Aietf%3Aparams%3Aoauth%3Atoken-type%3Arefresh_token"
        "&subject_token_type=urn%3Aietf%3Aparams%3Aoauth%3Atoken-type%3Aaccess_token"
        f"&subject_token={KEY}"
    )
    assert asked.headers["Content-Type"] == "application/x-www-form-urlencoded"


@pytest.mark.parametrize(
    "asked",
    [
        "registry.example",
        "Registry.Example",
        "registry.example/",
        "registry.example/acme",
        "registry.example/acme/app",
        "https://registry.example",
        "https://registry.example:443",
        "https://registry.example/v1/",
        "https://registry.example/v2/",
        " registry.example \r\n",
    ],
)
def test_get_knows_its_host_in_every_form_that_clients_send(logged_in: Helper, asked: str):
    assert logged_in.get(asked)["ServerURL"] == asked.strip()


@pytest.mark.parametrize(
    "asked",
    [
        "https://index.docker.io/v1/",
        "docker.io",
        "registry.example:5000",
        "registry.example.evil.example",
        "evil.example/registry.example",
        "https://evil.example/registry.example/v1/",
        "xregistry.example",
        "example",
        "https://",
        "http://[::1",
        "a b",
        "\0",
        "é.example",
    ],
)
def test_foreign_host_is_not_found_as_docker_expects_it(logged_in: Helper, registry: StandIn, asked: str):
    for word in ("get", "erase"):
        assert logged_in.run(word, stdin=asked) == Outcome(1, NOT_FOUND, "")
    assert registry.asked == []


def test_foreign_host_is_not_found_before_anybody_has_signed_in(helper: Helper):
    assert helper.run("get", stdin="registry.example") == Outcome(1, NOT_FOUND, "")
    assert not helper.home.exists()


@pytest.mark.parametrize("word", ["get", "erase"])
def test_question_about_nothing_has_its_own_wording(helper: Helper, word: str):
    assert helper.run(word, stdin=" \n").out == "no credentials server URL\n"


def test_input_that_is_no_text_is_not_found(logged_in: Helper):
    assert logged_in.run("get", stdin=b"\xff\xfe\x00").out == NOT_FOUND


def test_list_has_the_hosts_and_no_secret(logged_in: Helper, registry: StandIn):
    outcome = logged_in.run("list", stdin="unused")
    own = registry.endpoint.removeprefix("http://")
    assert json.loads(outcome.out) == {"registry.example": "<token>", own: "<token>"}
    assert (outcome.code, outcome.err) == (0, "")
    assert registry.asked == []


def test_list_without_a_login_is_empty(helper: Helper):
    assert helper.run("list").out == "{}\n"


@pytest.mark.parametrize("word", ["version", "--version", "-v"])
def test_version(helper: Helper, word: str):
    expected = f"docker-credential-moorage (moorage-cli) {moorage_cli.__version__}\n"
    assert helper.run(word) == Outcome(0, expected, "")


@pytest.mark.parametrize("words", [(), ("get", "store"), ("fetch",), ("\x1b[31m",)])
def test_other_words_are_told_which_there_are(helper: Helper, words: tuple[str, ...]):
    outcome = helper.run(*words)
    assert outcome.code == 1
    assert "<get|store|erase|list|version>" in outcome.out
    assert outcome.out.count("\n") == 1
    assert "\x1b" not in outcome.out


# ------------------------------------------------------------------ which key
def test_of_several_profiles_the_last_that_logged_in_answers(helper: Helper, registry: StandIn):
    for name in ("one", "two"):
        helper.profile(name, registry.endpoint, org=f"org-{name}", key=f"key-of-{name}")
    helper.host("r.example", registry.endpoint, "two", "one")
    assert helper.key_for("r.example") == "key-of-two"
    assert helper.key_for("r.example", {"MOORAGE_PROFILE": "one"}) == "key-of-one"
    # Who asks for an organisation gets the profile that is in it.
    assert helper.key_for("r.example/org-one") == "key-of-one"
    assert helper.key_for("r.example/org-three") == "key-of-two"


def test_profile_that_is_gone_or_has_moved_is_passed_over(helper: Helper, registry: StandIn):
    helper.profile("moved", "https://elsewhere.example", key="never")
    helper.profile("work", registry.endpoint, key="key-of-work")
    helper.host("r.example", registry.endpoint, "gone", "moved", "work")
    assert helper.key_for("r.example") == "key-of-work"
    # A profile for another registry is no answer, whoever names it.
    assert helper.key_for("r.example", {"MOORAGE_PROFILE": "moved"}) == "key-of-work"


def test_named_profile_answers_even_if_it_has_not_logged_in_itself(helper: Helper, registry: StandIn):
    helper.profile("work", registry.endpoint, key="key-of-work")
    helper.profile("other", registry.endpoint, key="key-of-other")
    helper.host("r.example", registry.endpoint, "work")
    assert helper.key_for("r.example", {"MOORAGE_PROFILE": "other"}) == "key-of-other"


def test_token_of_the_environment_answers_for_its_own_registry_alone(helper: Helper, registry: StandIn):
    helper.profile("work", registry.endpoint, key="key-of-work")
    helper.host("r.example", registry.endpoint, "work")
    given = {"MOORAGE_TOKEN": "key-of-variable"}
    assert helper.key_for("r.example", given) == "key-of-variable"
    assert helper.key_for("r.example", {**given, "MOORAGE_ENDPOINT": registry.endpoint}) == "key-of-variable"
    elsewhere = {**given, "MOORAGE_ENDPOINT": "https://elsewhere.example"}
    assert helper.key_for("r.example", elsewhere) == "key-of-work"


def test_token_of_the_environment_needs_no_profile_but_must_not_be_in_doubt(
    helper: Helper, registry: StandIn
):
    helper.host("r.example", registry.endpoint)
    given = {"MOORAGE_TOKEN": "key-of-variable"}
    assert helper.key_for("r.example", given) == "key-of-variable"
    helper.host("other.example", "https://other.example")
    registry.asked.clear()
    outcome = helper.run("get", stdin="r.example", variables=given)
    assert outcome.code == 1
    assert "there is no key" in outcome.out
    assert registry.asked == []


def test_token_that_may_be_for_another_registry_is_said_to_need_the_address(
    helper: Helper, registry: StandIn
):
    helper.profile("work", "https://other.example")
    helper.host("r.example", registry.endpoint)
    outcome = helper.run("get", stdin="r.example", variables={"MOORAGE_TOKEN": "key-of-variable"})
    assert outcome.out == (
        "there is no key for r.example, unless the one in MOORAGE_TOKEN is; "
        f"set MOORAGE_ENDPOINT={registry.endpoint} as well\n"
    )
    given = {"MOORAGE_TOKEN": "key-of-variable", "MOORAGE_ENDPOINT": registry.endpoint}
    assert helper.key_for("r.example", given) == "key-of-variable"


def test_host_without_a_key_says_how_to_get_one_on_both_outputs(helper: Helper, registry: StandIn):
    helper.host("r.example", registry.endpoint, "gone")
    outcome = helper.run("get", stdin="r.example")
    assert outcome.code == 1
    assert outcome.out.startswith("there is no key for r.example any more; set MOORAGE_TOKEN")
    assert outcome.err == f"moorage: {outcome.out}"
    helper.profile("gone", registry.endpoint, key=None)
    assert "run 'moorage profile login gone'" in helper.run("get", stdin="r.example").out


def test_profile_that_is_named_and_not_there_is_an_error(logged_in: Helper):
    outcome = logged_in.run("get", stdin="registry.example", variables={"MOORAGE_PROFILE": "nobody"})
    assert outcome.code == 1
    assert "there is no profile 'nobody'" in outcome.out


def test_bearer_token_in_place_of_a_key_is_said_to_be_none(helper: Helper, registry: StandIn):
    helper.host("r.example", registry.endpoint)
    outcome = helper.run("get", stdin="r.example", variables={"MOORAGE_TOKEN": TOKEN})
    assert outcome.code == 1
    assert "bearer token" in outcome.out
    assert TOKEN not in outcome.out + outcome.err
    assert registry.asked == []


def test_key_is_not_exchanged_at_another_registry_than_it_was_given_for(logged_in: Helper, registry: StandIn):
    elsewhere = registry.endpoint.replace("127.0.0.1", "localhost")
    ProfileFile(logged_in.home).change(lambda now: now.put(Profile("work", elsewhere, "acme")))
    logged_in.host("registry.example", elsewhere, "work")
    outcome = logged_in.run("get", stdin="registry.example")
    assert outcome.code == 1
    assert "was given for another registry; run 'moorage profile login'" in outcome.out
    logged_in.host("registry.example", registry.endpoint)
    logged_in.run("store", stdin=stored())
    kept = DockerHost("registry.example", elsewhere, kept=True)
    DockerHostFile(logged_in.home).change(lambda now: now.put(kept))
    assert "docker at registry.example was given for another" in logged_in.run("get", stdin=kept.host).out
    assert registry.asked == []


def test_folder_that_others_can_change_is_not_believed(logged_in: Helper, registry: StandIn):
    logged_in.home.chmod(0o777)
    outcome = logged_in.run("get", stdin="registry.example")
    assert outcome.code == 1
    assert "can be changed by others" in outcome.out
    assert registry.asked == []


def test_what_nobody_thought_of_is_one_line(logged_in: Helper, monkeypatch: pytest.MonkeyPatch):
    def fail(*_: object) -> None:
        raise TypeError(KEY)

    monkeypatch.setattr("moorage_cli.credential_helper_keys.CredentialKeys.find", fail)
    outcome = logged_in.run("get", stdin="registry.example")
    assert outcome.code == 1
    assert outcome.out.startswith("this should not happen (TypeError)")
    assert outcome.out.count("\n") == outcome.err.count("\n") == 1
    assert KEY not in outcome.out + outcome.err


# ------------------------------------------------------------------ store and erase
def stored(host: str = "registry.example", user: str = "<token>", secret: str = "mrg_given") -> str:
    return json.dumps({"ServerURL": host, "Username": user, "Secret": secret})


def test_key_that_docker_login_was_given_is_kept_where_keys_are_and_answers_from_then_on(logged_in: Helper):
    assert logged_in.run("store", stdin=stored()) == Outcome(0, "", "")
    assert logged_in.key_for("registry.example") == "mrg_given"
    assert stat.S_IMODE((logged_in.home / "secrets.json").stat().st_mode) == 0o600
    assert "mrg_given" not in (logged_in.home / "docker-hosts.json").read_text("utf-8")
    # Whoever names a profile or a key means it.
    assert logged_in.key_for("registry.example", {"MOORAGE_PROFILE": "work"}) == KEY
    assert logged_in.key_for("registry.example", {"MOORAGE_TOKEN": "mine"}) == "mine"
    logged_in.run("store", stdin=stored("https://registry.example/v1/", "laptop", "mrg_newer"))
    assert logged_in.key_for("registry.example") == "mrg_newer"


def test_token_that_came_from_here_is_taken_back_without_being_kept(logged_in: Helper):
    before = (logged_in.home / "secrets.json").read_bytes()
    assert logged_in.run("store", stdin=stored(secret=TOKEN)) == Outcome(0, "", "")
    assert (logged_in.home / "secrets.json").read_bytes() == before


def test_login_at_a_foreign_host_is_not_kept(logged_in: Helper):
    outcome = logged_in.run("store", stdin=stored("ghcr.io", "me", "password"))
    assert outcome.code == 1
    assert outcome.out.startswith("docker-credential-moorage does not answer for ghcr.io; ")
    assert "password" not in (logged_in.home / "secrets.json").read_text("utf-8") + outcome.out


def test_login_after_a_logout_is_told_how_to_register_the_host_again(logged_in: Helper):
    assert logged_in.run("erase", stdin="registry.example").code == 0
    outcome = logged_in.run("store", stdin=stored("https://me:password@registry.example"))
    assert outcome.code == 1
    assert outcome.out == (
        "docker-credential-moorage does not answer for registry.example; "
        "run 'moorage image docker-login', which does without 'docker login'\n"
    )


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("", "no JSON object"),
        ("[]", "no JSON object"),
        ("{", "no JSON object"),
        ("{}", "no credentials server URL\n"),
        (stored(user=""), "no credentials username\n"),
        (stored(secret=""), "only keys are kept"),
        (stored(secret="correct horse battery"), "only keys are kept"),
        (stored(secret="hunter2"), "only keys are kept"),
        (stored(secret="xmrg_given"), "only keys are kept"),
        (stored(secret="mrgboot_given"), "only keys are kept"),
        (stored(secret="mrg_"), "only keys are kept"),
        (stored(secret="mrg_given\n"), "only keys are kept"),
        (stored(user="/org/acme/gvc/shop/identity/web", secret=TOKEN), "only keys are kept"),
        (stored(user="someone", secret=TOKEN), "only keys are kept"),
    ],
)
def test_what_cannot_be_kept_is_refused_without_repeating_it(logged_in: Helper, given: str, said: str):
    outcome = logged_in.run("store", stdin=given)
    assert outcome.code == 1
    assert said in outcome.out
    assert TOKEN not in outcome.out + outcome.err


def test_erase_forgets_the_host_and_what_was_stored_for_it_but_no_profile(logged_in: Helper):
    logged_in.run("store", stdin=stored())
    assert logged_in.run("erase", stdin="https://registry.example/") == Outcome(0, "", "")
    assert logged_in.run("get", stdin="registry.example").out == NOT_FOUND
    assert list(json.loads((logged_in.home / "secrets.json").read_text("utf-8"))) == ["work"]
    assert len(logged_in.hosts().by_host) == 1


# ------------------------------------------------------------------ what can go wrong on the way
def test_key_that_is_revoked_is_said_so_in_one_line_without_the_key(logged_in: Helper, registry: StandIn):
    body = {"errors": [{"code": "UNAUTHORIZED", "message": "the key is unknown, revoked or expired"}]}
    registry.on("POST", "/token", Answer(body, 401))
    outcome = logged_in.run("get", stdin="registry.example")
    assert outcome.code == 1
    assert outcome.out.startswith("the key is unknown, revoked or expired; ")
    assert "moorage profile login" in outcome.out
    assert outcome.out.count("\n") == 1
    assert KEY not in outcome.out + outcome.err


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (
            Answer(b"<html>Log in to the network</html>", 200, {"Content-Type": "text/html"}),
            "does not look like",
        ),
        (Answer(b"<html>Bad gateway</html>", 502, {"Content-Type": "text/html"}), "answers 502"),
        (Answer({"token": "t", "access_token": "t"}), "does not look like"),
        (Answer({"access_token": 7, "issued_token_type": REFRESH}), "does not look like"),
        (Answer([], 500), "answers 500"),
        (Answer({"errors": [7]}, 400), "answers 400"),
        (Answer(None, 302, {"Location": "http://127.0.0.1:9/login"}), "answers 302"),
        (refusal(400, "x", "\x1b[31mno\nway"), "\\x1b[31mno way"),
        (Answer(broken=True), "no connection to"),
    ],
)
def test_answer_that_is_no_token_is_said_so_in_one_line(logged_in: Helper, registry: StandIn, answer, said):
    registry.on("POST", "/token", answer)
    outcome = logged_in.run("get", stdin="registry.example")
    assert outcome.code == 1
    assert said in outcome.out
    assert outcome.out.count("\n") == 1
    assert KEY not in outcome.out + outcome.err


def test_registry_that_is_busy_is_asked_again(logged_in: Helper, registry: StandIn, no_waits: list[float]):
    busy = Answer({"errors": [{"code": "TOOMANYREQUESTS", "message": "slow down"}]}, 429)
    registry.on("POST", "/token", busy, Answer(broken=True), exchanged)
    assert logged_in.key_for("registry.example") == KEY
    assert len(no_waits) == 2
    registry.on("POST", "/token", busy)
    assert logged_in.run("get", stdin="registry.example").out == "slow down; try again later\n"


def test_without_a_network_the_registry_is_named(helper: Helper):
    helper.profile("work", "https://registry.invalid")
    helper.host("registry.invalid", "https://registry.invalid", "work")
    outcome = helper.run("get", stdin="registry.invalid")
    assert outcome.out == "the host registry.invalid is not found; check the network\n"


def test_nobody_listening_is_said_so(helper: Helper, registry: StandIn):
    endpoint = "http://127.0.0.1:1"
    helper.profile("work", endpoint)
    helper.host("127.0.0.1:1", endpoint, "work")
    outcome = helper.run("get", stdin="127.0.0.1:1")
    assert outcome.out == "no connection to 127.0.0.1:1; check the network, and that it is running\n"


def test_certificate_of_an_unknown_authority_is_refused_and_taken_when_insecure(
    helper: Helper, tmp_path: Path
):
    with tls_server(tmp_path) as port:
        endpoint = f"https://127.0.0.1:{port}"
        helper.profile("work", endpoint)
        helper.host("r.example", endpoint, "work")
        assert "certificate" in helper.run("get", stdin="r.example").out
        careless = DockerHost("r.example", endpoint, insecure=True, profiles=("work",))
        DockerHostFile(helper.home).change(lambda now: now.put(careless))
        assert helper.get("r.example")["Secret"] == TOKEN


def test_what_is_not_on_this_machine_is_asked_for_through_the_proxy(helper: Helper, tmp_path: Path):
    endpoint = "https://registry.invalid"
    helper.profile("work", endpoint)
    known = DockerHost("r.example", endpoint, insecure=True, profiles=("work",))
    DockerHostFile(helper.home).change(lambda now: now.put(known))
    with tls_server(tmp_path) as port, proxy_to(port) as proxy:
        by_proxy = {"https_proxy": f"http://me:secret@127.0.0.1:{proxy.server_address[1]}"}
        assert helper.get("r.example", by_proxy)["Secret"] == TOKEN
        assert proxy.asked == [("registry.invalid:443", "Basic bWU6c2VjcmV0")]
        direct = helper.run("get", stdin="r.example", variables={**by_proxy, "no_proxy": "registry.invalid"})
        assert "is not found" in direct.out
        assert len(proxy.asked) == 1


@pytest.mark.parametrize(
    "proxy", ["https://me:secret@127.0.0.1:1", "socks5://127.0.0.1:1", "http://a:port", "http://"]
)
def test_proxy_of_another_kind_is_said_so_without_its_password(helper: Helper, proxy: str):
    helper.profile("work", "https://registry.invalid")
    helper.host("r.example", "https://registry.invalid", "work")
    outcome = helper.run("get", stdin="r.example", variables={"https_proxy": proxy})
    assert outcome.code == 1
    assert "HTTPS_PROXY" in outcome.out
    assert "secret" not in outcome.out + outcome.err


def test_proxy_is_not_asked_for_what_is_on_this_machine(logged_in: Helper):
    assert logged_in.key_for("registry.example", {"http_proxy": "http://127.0.0.1:1"}) == KEY


def test_settings_that_make_no_sense_are_said_so(logged_in: Helper):
    file = logged_in.home / "docker-hosts.json"
    for content in ("{", "[]", '{"hosts": {"a": {}}}', '{"hosts": 7}', '{"v": 9}'):
        file.write_text(content, "utf-8")
        outcome = logged_in.run("get", stdin="registry.example")
        assert outcome.code == 1
        assert "docker-hosts.json" in outcome.out


def test_secrets_that_others_can_read_are_not_used(logged_in: Helper):
    (logged_in.home / "secrets.json").chmod(0o644)
    outcome = logged_in.run("get", stdin="registry.example")
    assert outcome.code == 1
    assert "can be read by others" in outcome.out


# ------------------------------------------------------------------ the program
def test_program_is_quick_to_start():
    """What it imports, and for what it need not: the time itself is another matter on every machine."""
    script = (
        "import sys, io\nfrom moorage_cli import credential_helper\n"
        "import moorage_cli.credential_helper_exchange\n"
        "print('LOADED', *sorted({name.partition('.')[0] for name in sys.modules}))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60
    )
    assert not set(done.stdout.split()) & HEAVY


def test_program_without_an_output_says_so(logged_in: Helper):
    done = subprocess.run(
        ["/bin/sh", "-c", f"{PROGRAM} list >&-"],
        env=logged_in.environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "standard output is closed" in done.stderr


def test_program_answers_as_docker_asks_it(logged_in: Helper):
    done = subprocess.run(
        [PROGRAM, "get"],
        input="registry.example",
        env=logged_in.environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout) == {
        "ServerURL": "registry.example",
        "Username": "<token>",
        "Secret": f"h.{KEY}.s",
    }


def test_token_of_the_real_registry_stands_for_the_key_at_its_token_service(real: Terminal, management):
    helper = Helper(real)
    endpoint = real.environment["MOORAGE_ENDPOINT"]
    helper.host("registry.example", endpoint)
    secret = helper.get("registry.example")["Secret"]
    assert secret != real.environment["MOORAGE_TOKEN"]
    tokens = management.world.tokens
    for scope in ("repository:demo/app:pull", ""):
        form = {"grant_type": "refresh_token", "refresh_token": secret, "scope": scope}
        assert tokens.post("/token", data=form).status_code == 200
        assert tokens.get("/token", auth=("<token>", secret)).status_code == 200


# ------------------------------------------------------------------ addresses and the file of hosts
@pytest.mark.parametrize(
    ("text", "hosts", "org"),
    [
        ("127.0.0.1:5000", ("127.0.0.1:5000",), None),
        ("host/org/app", ("host",), "org"),
        ("https://host:443/v1/", ("host:443", "host"), "v1"),
        ("http://host:80", ("host:80", "host"), None),
        ("http://host:443", ("host:443",), None),
        ("host:443", ("host:443",), None),
        ("[::1]:5000", ("[::1]:5000",), None),
        ("https://user@host/", ("host",), None),
    ],
)
def test_address(text: str, hosts: tuple[str, ...], org: str | None):
    assert Address.parse(text) == Address(hosts, org)


def test_address_without_a_host_is_none():
    for text in ("", "https://", "/org", "a b"):
        with pytest.raises(Misused):
            Address.parse(text)


def test_logins_at_the_same_time_are_all_kept(tmp_path: Path):
    def log_in(number: int) -> None:
        DockerHostFile(tmp_path).change(
            lambda now: now.logged_in("r.example", "https://r.example", f"p{number}", insecure=False)
        )

    threads = [threading.Thread(target=log_in, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(DockerHostFile(tmp_path).load().by_host["r.example"].profiles) == 12


def test_host_that_belongs_to_another_registry_now_keeps_nobody(tmp_path: Path):
    hosts = DockerHosts({}).logged_in("r.example", "https://one.example", "one", insecure=False)
    hosts = hosts.logged_in("r.example", "https://two.example", "two", insecure=False)
    assert hosts.by_host["r.example"].profiles == ("two",)


def test_helper_never_imports_the_command():
    source = Path(moorage_cli.__file__).parent
    for file in source.glob("credential_helper*.py"):
        imported = {
            node.module
            for node in ast.walk(ast.parse(file.read_text("utf-8")))
            if isinstance(node, ast.ImportFrom)
        }
        assert not {"moorage_cli.session", "moorage_cli.api", "moorage_cli.main"} & imported
