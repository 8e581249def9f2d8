"""What a push is made of, one by one: connections to a store, workers, tokens, proxies, and what is kept."""

import base64
import contextlib
import io
import json
import os
import random
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console
from rich.table import Table

from moorage_cli.api import Api
from moorage_cli.errors import CliError, Misused, NotARegistry, Unreachable
from moorage_cli.proxies import find_proxy
from moorage_cli.push.content import Content
from moorage_cli.push.repository import Tokens
from moorage_cli.push.store import Answer, Broken, Interrupted, Store, tls
from moorage_cli.push.terminal_bars import FittingProgress, fitting
from moorage_cli.push.unfinished import Unfinished
from moorage_cli.push.workers import Workers
from tests.certificates import self_signed
from tests.cli import stand_in as registry
from tests.cli.stand_in import serving
from tests.cli.terminal import KEY
from tests.running_cloud import free_port

DIGEST = "sha256:" + "0" * 64
NOISE = random.Random(5).randbytes(5_000_000)


@pytest.fixture
def store():
    made = Store(lambda: tls(insecure=False), https_only=False)
    yield made
    made.stop()


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "content"
    path.write_bytes(b"before" + NOISE + b"after")
    return Content(len(NOISE), path, 6)


def put(store, url, content, offset=0, size=None, sent=None):
    size = content.size if size is None else size
    return store.put(url, {"X-Signed": "yes"}, content, offset, size, sent or (lambda _: None))


# ------------------------------------------------------------------ the store
def test_file_is_sent_from_where_it_lies_with_the_headers_that_are_signed(store, file):
    counts: list[int] = []
    with serving() as there:
        there.on("PUT", "/key", registry.Answer())
        assert put(store, f"{there.endpoint}/key?X-Amz-Signature=s", file, sent=counts.append) == Answer(200)
        assert put(store, f"{there.endpoint}/key", file, 1000, 17) == Answer(200)
        assert put(store, f"{there.endpoint}/key", Content.of(b"in memory"), 3, 2) == Answer(200)
        assert put(store, f"{there.endpoint}/key", Content.of(b"")) == Answer(200)
        bodies = [each.content for each in there.asked]
        assert bodies == [NOISE, NOISE[1000:1017], b"me", b""]
        assert there.asked[0].target == "/key?X-Amz-Signature=s"
        assert there.asked[0].headers["X-Signed"] == "yes"
        assert not {"Authorization", "Accept-Encoding", "Transfer-Encoding"} & there.asked[0].headers.keys()
    assert sum(counts) == len(NOISE)


def test_connection_is_used_again_and_replaced_when_it_has_ended(store, file):
    ports: list[int] = []
    with socket.create_server(("127.0.0.1", 0)) as listening:
        url = f"http://127.0.0.1:{listening.getsockname()[1]}/key"

        def serve():
            for answers in (2, 1):
                connection, peer = listening.accept()
                with connection, connection.makefile("rb") as reading:
                    for _ in range(answers):
                        ports.append(peer[1])
                        while reading.readline().strip():
                            pass
                        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

        thread = threading.Thread(target=serve)
        thread.start()
        for number in range(3):
            assert put(store, url, Content.of(b"")) == Answer(200)
            if number == 1:
                # The server closes it; the store has to see that before it writes.
                _until(lambda: not _alive(store))
        thread.join(10)
    assert ports[0] == ports[1] != ports[2]


def _alive(store):
    from moorage_cli.push.store import _is_alive  # noqa: PLC0415

    return any(_is_alive(each) for idle in store._idle.values() for each in idle)


def _until(condition):
    until = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.01)


def test_what_the_store_says_of_an_error(store):
    with serving() as there:
        body = b"<Error><Code>SlowDown</Code><Message>secret</Message></Error>"
        there.on("PUT", "/key", registry.Answer(body, 503))
        assert put(store, f"{there.endpoint}/key", Content.of(b"x")) == Answer(503, "SlowDown")
        there.on("PUT", "/key", registry.Answer(b"<html>" * 100_000, 502))
        assert put(store, f"{there.endpoint}/key", Content.of(b"x")) == Answer(502)


def test_refusal_that_comes_before_the_whole_body_is_heard(store, file):
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def refuse():
            connection, _ = listening.accept()
            with connection:
                connection.recv(1000)
                connection.sendall(
                    b"HTTP/1.1 403 Forbidden\r\nContent-Length: 28\r\n\r\n<Code>AccessDenied</Code>   "
                )
                connection.shutdown(socket.SHUT_WR)
                while connection.recv(1 << 20):
                    pass

        thread = threading.Thread(target=refuse)
        thread.start()
        port = listening.getsockname()[1]
        assert put(store, f"http://127.0.0.1:{port}/key", file) == Answer(403, "AccessDenied")
        thread.join(10)
    assert not any(store._idle.values()) or not _alive(store)


def test_nobody_there(store):
    with pytest.raises(Broken) as caught:
        put(store, f"http://127.0.0.1:{free_port()}/key", Content.of(b"x"))
    assert caught.value.reason == "it cannot be connected to"
    assert not caught.value.final
    with pytest.raises(Broken, match="its host is not found"):
        put(store, "http://nowhere.invalid/key", Content.of(b"x"))


def test_file_that_has_become_shorter(store, file):
    assert file.path is not None
    os.truncate(file.path, 1000)
    with serving() as there, pytest.raises(CliError, match="has become shorter"):
        put(store, f"{there.endpoint}/key", file)


@pytest.mark.parametrize("url", ["", "ftp://x/y", "http:///x", "file:///etc/passwd", "//x/y"])
def test_address_that_is_none(store, url):
    with pytest.raises(NotARegistry):
        put(store, url, Content.of(b"x"))


def test_what_came_over_https_goes_on_over_https():
    store = Store(lambda: tls(insecure=False), https_only=True)
    with pytest.raises(NotARegistry, match="clear text"):
        put(store, "http://store.example/key", Content.of(b"x"))


@pytest.mark.parametrize("insecure", [True, False])
def test_https(tmp_path, file, insecure):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(self_signed(tmp_path))
    with serving() as there, socket.create_server(("127.0.0.1", 0)) as listening:
        there.on("PUT", "/key", registry.Answer())
        thread = threading.Thread(target=_relay, args=(listening, context, there.port))
        thread.start()
        store = Store(lambda: tls(insecure=insecure), https_only=True)
        url = f"https://127.0.0.1:{listening.getsockname()[1]}/key"
        if insecure:
            assert put(store, url, file, 5, len(NOISE) - 5) == Answer(200)
            assert there.asked[0].content == NOISE[5:]
        else:
            with pytest.raises(Broken, match="its certificate is not accepted") as caught:
                put(store, url, file)
            assert caught.value.final
        store.stop()
        thread.join(10)


def _relay(listening, context, port):
    """TLS in front of a server, for one connection."""
    raw, _ = listening.accept()
    try:
        secure = context.wrap_socket(raw, server_side=True)
    except OSError:
        raw.close()
        return
    with secure, socket.create_connection(("127.0.0.1", port)) as plain:
        back = threading.Thread(target=_copy, args=(plain, secure))
        back.start()
        _copy(secure, plain)
        back.join(10)


def _copy(source, target):
    try:
        while piece := source.recv(1 << 16):
            target.sendall(piece)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        return


def test_store_that_is_stopped_wakes_who_waits_for_it(store):
    with socket.create_server(("127.0.0.1", 0)) as listening:
        failed: list[BaseException] = []

        def wait():
            try:
                put(store, f"http://127.0.0.1:{listening.getsockname()[1]}/key", Content.of(b"x"))
            except BaseException as error:  # noqa: BLE001
                failed.append(error)

        thread = threading.Thread(target=wait)
        thread.start()
        connection, _ = listening.accept()
        with connection:
            assert connection.recv(10)
            store.stop()
            thread.join(10)
        assert not thread.is_alive()
    assert isinstance(failed[0], Interrupted)
    with pytest.raises(Interrupted):
        put(store, "http://127.0.0.1:9/key", Content.of(b"x"))


def test_trace_has_no_address():
    lines: list[str] = []
    store = Store(lambda: tls(insecure=False), https_only=False, trace=lines.append)
    with serving() as there:
        put(store, f"{there.endpoint}/bucket/key?X-Amz-Signature=s", Content.of(b"x"))
        store.stop()
    assert lines[0].startswith(f"PUT 127.0.0.1:{there.port}/... 404 ")
    assert "Signature" not in lines[0]
    assert "key" not in lines[0]


# ------------------------------------------------------------------ proxies
def test_store_is_reached_through_the_proxy_of_the_environment(store, monkeypatch):
    monkeypatch.setenv("no_proxy", "")
    with serving() as proxy:
        monkeypatch.setenv("http_proxy", proxy.endpoint)
        proxy.fallback = lambda _: registry.Answer()
        assert put(store, "http://store.example/key?q=1", Content.of(b"x")) == Answer(200)
    assert proxy.asked[0].target == "http://store.example/key?q=1"
    assert proxy.asked[0].headers["Host"] == "store.example"


def test_proxy_is_left_out_for_a_host_with_its_port(store, monkeypatch):
    found: list[str] = []
    with serving() as proxy:
        monkeypatch.setenv("http_proxy", proxy.endpoint)
        monkeypatch.setenv("no_proxy", "store.example:9000")
        proxy.fallback = lambda _: registry.Answer()
        monkeypatch.setattr(socket, "getaddrinfo", _unknown(found, socket.getaddrinfo))
        with pytest.raises(Broken, match="its host is not found"):
            put(store, "http://store.example:9000/key", Content.of(b"x"))
        assert put(store, "http://store.example:9001/key", Content.of(b"x")) == Answer(200)
    assert found == ["store.example"]


def _unknown(asked: list[str], find):
    """Finds no host in ``.example``, and notes which was asked for."""

    def finding(host, *rest, **options):
        if not host.endswith(".example"):
            return find(host, *rest, **options)
        asked.append(host)
        raise socket.gaierror(socket.EAI_NONAME, "unknown")

    return finding


def test_which_proxy(monkeypatch):
    for name in (
        "http_proxy",
        "HTTP_PROXY",
        "https_proxy",
        "HTTPS_PROXY",
        "all_proxy",
        "no_proxy",
        "NO_PROXY",
    ):
        monkeypatch.delenv(name, raising=False)
    assert find_proxy("https", "store.example") is None
    monkeypatch.setenv("https_proxy", "http://user:p%40ss@proxy.example:3128")
    found = find_proxy("https", "store.example")
    assert found is not None
    assert (found.host, found.port) == ("proxy.example", 3128)
    assert found.headers == {"Proxy-Authorization": "Basic dXNlcjpwQHNz"}
    assert find_proxy("http", "store.example") is None
    assert find_proxy("https", "127.0.0.1") is None
    assert find_proxy("https", "localhost") is None
    monkeypatch.setenv("no_proxy", "store.example")
    assert find_proxy("https", "a.store.example") is None
    assert find_proxy("https", "other.example") is not None
    monkeypatch.setenv("no_proxy", "store.example:9000")
    assert find_proxy("https", "store.example:9000") is None
    assert find_proxy("https", "store.example:9001") is not None


# ------------------------------------------------------------------ workers
def test_tasks_may_add_others_which_come_first():
    done: list[str] = []
    workers = Workers(1, lambda: done.append("stopped"))

    def first():
        done.append("first")
        workers.add(lambda: done.append("added"))

    workers.run([first, lambda: done.append("second")])
    assert done == ["first", "added", "second"]
    assert workers.stopped.is_set()
    Workers(3, lambda: None).run([])


def test_first_error_ends_the_others_and_is_raised():
    done: list[str] = []
    waiting = threading.Event()
    workers = Workers(2, waiting.set)

    def fail():
        raise Misused("first")

    with pytest.raises(Misused, match="first"):
        workers.run([lambda: done.append(str(waiting.wait(30))), fail, lambda: done.append("late")])
    assert done == ["True"]


# ------------------------------------------------------------------ tokens
def test_token_is_kept_as_long_as_it_is_good_and_renewed_before_it_ends():
    now = [0.0]
    with serving() as there:
        issued = iter(range(100))
        there.on("GET", "/token", lambda _: registry.Answer({"token": f"t{next(issued)}", "expires_in": 300}))
        api = Api(there.endpoint)
        tokens = Tokens(api, KEY, "acme/app", clock=lambda: now[0])
        assert [tokens.get() for _ in range(3)] == ["t0"] * 3
        assert there.asked[0].query == {"scope": ["repository:acme/app:pull,push"]}
        assert there.asked[0].headers["Authorization"].startswith("Basic ")
        now[0] = 209
        assert tokens.get() == "t0"
        now[0] = 211
        assert tokens.get() == "t1"
        # Whoever was refused gets another one, and only once where several were.
        assert tokens.get(refused="t1") == "t2"
        assert tokens.get(refused="t1") == "t2"
        api.close()


def web_token(claims):
    encoded = [
        base64.urlsafe_b64encode(part).rstrip(b"=").decode()
        for part in (b"{}", json.dumps(claims).encode(), b"s")
    ]
    return ".".join(encoded)


@pytest.mark.parametrize(
    ("credential", "left"),
    [
        (KEY, None),
        (web_token({"exp": 1300}), 300),
        (web_token({"exp": 900}), -100),
        (web_token({}), None),
        (web_token([]), None),
        (web_token({"exp": "soon"}), None),
        ("a.b.c", None),
        ("..", None),
    ],
)
def test_how_long_a_token_lives_that_cannot_be_renewed(credential, left):
    with serving() as there:
        api = Api(there.endpoint)
        assert Tokens(api, credential, "acme/app", now=lambda: 1000).seconds_left == left
        api.close()
    assert there.asked == []


@pytest.mark.parametrize("answer", [{}, {"token": ""}, {"token": 7}, {"token": "t", "expires_in": "x"}, []])
def test_answer_that_has_no_token(answer):
    with serving() as there:
        there.on("GET", "/token", registry.Answer(answer))
        api = Api(there.endpoint)
        with pytest.raises(NotARegistry):
            Tokens(api, KEY, "acme/app").get()
        api.close()


# ------------------------------------------------------------------ what is kept
LARGE = 10 * 1024 * 1024


def test_what_is_kept_is_there_for_the_same_push_alone(tmp_path):
    with Unfinished(tmp_path, "https://a", "acme/app") as kept:
        kept.keep(DIGEST, LARGE, "ab12")
        kept.keep("sha256:small", 1000, "cd34")
    for endpoint, repository in (("https://b", "acme/app"), ("https://a", "acme/other")):
        with Unfinished(tmp_path, endpoint, repository) as other:
            assert other.find(DIGEST) is None
    with Unfinished(tmp_path, "https://a", "acme/app") as again:
        assert again.find(DIGEST) == ("ab12", False)
        assert again.find("sha256:small") is None
        again.keep(DIGEST, LARGE, "ab12", stored=True)
        assert again.find(DIGEST) == ("ab12", True)
        again.forget(DIGEST)
        assert again.find(DIGEST) is None
    assert list((tmp_path / "pushes").iterdir()) == []


def test_second_push_at_once_keeps_nothing(tmp_path):
    with Unfinished(tmp_path, "https://a", "acme/app") as first:
        first.keep(DIGEST, LARGE, "ab12")
        with Unfinished(tmp_path, "https://a", "acme/app") as second:
            assert second.find(DIGEST) is None
            second.keep(DIGEST, LARGE, "cd34")
            second.forget(DIGEST)
        assert first.find(DIGEST) == ("ab12", False)
    (file,) = (tmp_path / "pushes").glob("*.json")
    assert json.loads(file.read_text())["uploads"][DIGEST]["id"] == "ab12"


def test_what_one_push_forgets_is_its_own(tmp_path):
    with Unfinished(tmp_path, "https://a", "acme/app") as kept:
        kept.keep(DIGEST, LARGE, "ab12")
        kept.keep("sha256:other", LARGE, "cd34")
        kept.forget("sha256:other", "sha256:never")
    with Unfinished(tmp_path, "https://a", "acme/app") as again:
        assert again.find(DIGEST) == ("ab12", False)
        assert again.find("sha256:other") is None


@pytest.mark.parametrize("at", [0, None, "x"])
def test_upload_that_is_older_than_any_is_not_asked_for_whatever_else_is_kept(tmp_path, at):
    with Unfinished(tmp_path, "https://a", "acme/app") as kept:
        kept.keep(DIGEST, LARGE, "ab12")
        kept.keep("sha256:other", LARGE, "cd34")
    (file,) = (tmp_path / "pushes").glob("*.json")
    document = json.loads(file.read_text())
    document["uploads"][DIGEST]["at"] = at
    file.write_text(json.dumps(document))
    with Unfinished(tmp_path, "https://a", "acme/app") as again:
        assert again.find(DIGEST) is None
        assert again.find("sha256:other") == ("cd34", False)


def test_what_is_older_than_any_upload_is_removed(tmp_path):
    with Unfinished(tmp_path, "https://a", "acme/app") as kept:
        kept.keep(DIGEST, LARGE, "ab12")
    (file,) = (tmp_path / "pushes").glob("*.json")
    old = time.time() - 25 * 3600
    os.utime(file, (old, old))
    with Unfinished(tmp_path, "https://b", "acme/app"):
        assert not file.exists()


def test_file_that_another_push_removes_meanwhile_is_no_reason_to_keep_nothing(tmp_path, monkeypatch):
    folder = tmp_path / "pushes"
    folder.mkdir(mode=0o700)
    monkeypatch.setattr(Path, "iterdir", lambda _: iter([folder / "gone.json"]))
    with Unfinished(tmp_path, "https://a", "acme/app") as kept:
        kept.keep(DIGEST, LARGE, "ab12")
    with Unfinished(tmp_path, "https://a", "acme/app") as again:
        assert again.find(DIGEST) == ("ab12", False)


@pytest.mark.parametrize(("trusted", "insecure"), [(False, False), (True, False), (False, True)])
def test_authorities_are_those_of_the_registry_itself(tmp_path, monkeypatch, waits, trusted, insecure):
    certificate = self_signed(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    monkeypatch.delenv("SSL_CERT_DIR", raising=False)
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    if trusted:
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with serving() as there:
        there.on("PUT", "/key", registry.Answer())
        there.on("GET", "/discovery", {})
        with _secured(there.port, context) as address:
            api = Api(address, insecure=insecure)
            with contextlib.closing(api), _accepted(trusted or insecure, Unreachable):
                api.get("/discovery", anonymous=True)
        with _secured(there.port, context) as address:
            store = Store(lambda: tls(insecure=insecure), https_only=True)
            with _accepted(trusted or insecure, Broken):
                put(store, f"{address}/key", Content.of(b"x"))
            store.stop()


@contextlib.contextmanager
def _secured(port: int, context: ssl.SSLContext) -> Iterator[str]:
    """The address, on ``localhost``, of one connection by TLS to a port."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=_relay, args=(listening, context, port), daemon=True)
        thread.start()
        yield f"https://localhost:{listening.getsockname()[1]}"
        thread.join(10)


def _accepted(accepted: bool, error: type[Exception]) -> contextlib.AbstractContextManager[object]:
    return contextlib.nullcontext() if accepted else pytest.raises(error, match="certificate")


# ------------------------------------------------------------------ bars
@pytest.mark.parametrize("rows", [1, 5, 10, 40])
def test_bars_that_move_are_seen_first_and_those_that_have_ended_last(rows):
    progress = FittingProgress(console=Console(file=io.StringIO(), width=80, height=rows + 2))
    bars = [progress.add_task(str(number), total=10, said="", ended=False) for number in range(20)]
    for number in range(12):
        progress.update(bars[number], completed=10, ended=True)
    for number in (15, 17):
        progress.advance(bars[number], 5)
    table, *told = progress.get_renderables()
    assert isinstance(table, Table)
    seen = [task.description for task in fitting(progress.tasks, rows)]
    assert table.row_count == len(seen) == min(rows, 20)
    assert seen == sorted(seen, key=int)
    assert {"15", "17"} & set(seen) == set(seen) or {"15", "17"} <= set(seen)
    assert sum(int(each) < 12 for each in seen) == max(0, min(rows, 20) - 8)
    assert [str(each) for each in told] == ([] if rows == 40 else ["12 of 20 done"])
    progress.stop()
    (table,) = progress.get_renderables()
    assert isinstance(table, Table)
    assert table.row_count == 20
