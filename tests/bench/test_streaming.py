"""What streamed pushes and pulls from the edge are measured with: a PATCH of unknown length, peaks, counted hits."""

import http.client
import subprocess
import sys
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from bench import edge_pull, page, streamed_push, streaming
from bench.cloud import Cloud
from bench.figures import Report
from bench.sink import sink
from bench.streaming import Memory

# More than one chunk, and no whole number of them.
BLOB = bytes(range(256)) * 10_000
MACHINE = {"date": "today", "processor": "p", "processors": "2", "load": "0.1", "python": "3"}


@pytest.fixture
def blob(tmp_path):
    path = tmp_path / "blob"
    path.write_bytes(BLOB)
    return path


@pytest.fixture
def sunk():
    with sink() as server:
        yield server


def ask(server, method, path, body=None, **headers):
    connection = http.client.HTTPConnection(server.host, timeout=10)
    connection.request(method, path, body, headers, encode_chunked="Transfer-Encoding" in headers)
    with connection.getresponse() as answer:
        answer.read()
    connection.close()
    return answer


@contextmanager
def answering(answer):
    """A server that answers each GET, POST and PATCH with status and headers by its method and path."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            status, headers, body = answer(self.command, self.path)
            self.send_response(status)
            for name, value in {"Content-Length": str(len(body)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def do_POST(self):
            self.do_GET()

        def do_PATCH(self):
            self.do_GET()

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def cloud(tmp_path, endpoint):
    return Cloud(tmp_path, endpoint, "user", "password", *[""] * 6)


def test_sink_takes_a_patch_of_unknown_length_and_knows_the_blob_afterwards(sunk):
    begun = ask(sunk, "POST", "/v2/a/blobs/uploads/").headers["Location"]
    other = ask(sunk, "POST", "/v2/a/blobs/uploads/").headers["Location"]
    assert begun != other
    patched = ask(sunk, "PATCH", begun, iter([b"abc", BLOB, b"d"]), **{"Transfer-Encoding": "chunked"})
    assert (patched.status, patched.headers["Range"]) == (202, f"0-{len(BLOB) + 3}")
    assert ask(sunk, "PATCH", other, b"").headers["Range"] == "0-0"
    assert ask(sunk, "HEAD", "/v2/a/blobs/sha256:0").status == 404
    stored = ask(sunk, "PUT", f"{patched.headers['Location']}?digest=sha256:0", b"ef")
    assert (stored.status, stored.headers["Docker-Content-Digest"]) == (201, "sha256:0")
    assert sunk.received == len(BLOB) + 6
    assert ask(sunk, "HEAD", "/v2/a/blobs/sha256:0").headers["Content-Length"] == str(len(BLOB) + 6)


def test_sink_leaves_nothing_of_a_body_in_the_connection(sunk):
    connection = http.client.HTTPConnection(sunk.host, timeout=10)
    for _ in range(2):
        connection.request("PATCH", "/v2/a/blobs/uploads/1", iter([b"abc", b"d"]), encode_chunked=True)
        with connection.getresponse() as answer:
            assert (answer.read(), answer.headers["Range"]) == (b"", "0-3")
    connection.close()


def test_patch_sends_the_whole_file_and_says_where_to_go_on(sunk, blob):
    url = f"http://{sunk.host}/v2/a/blobs/uploads/7?a=b"
    assert streaming.patch(url, blob, {}) == "/v2/a/blobs/uploads/7?a=b"
    assert sunk.received == len(BLOB)


def test_patch_that_is_refused_is_no_figure(tmp_path):
    small = tmp_path / "small"
    small.write_bytes(b"a")
    with answering(lambda *_: (404, {}, b"no")) as url, pytest.raises(RuntimeError, match="404 b'no'"):
        streaming.patch(f"{url}/x", small, {})


def test_push_that_is_not_streamed_is_no_figure(tmp_path, blob):
    def answer(method, _):
        if method == "GET":
            return 200, {}, b'{"token":"t"}'
        return 202, {"Location": "/v2/a/blobs/uploads/7"}, b""

    with answering(answer) as url, pytest.raises(RuntimeError, match="not sent to IngestFunction"):
        streaming.stream(cloud(tmp_path, url), "a", blob, "sha256:0")


def test_peak_is_what_a_process_had_since_it_was_reset():
    code = "import sys\nfor line in sys.stdin: held = bytearray(int(line)); del held; print(flush=True)"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        sizes, held = process.stdin, process.stdout

        def hold(size):
            print(size, file=sizes, flush=True)
            held.readline()

        memory = Memory(process.pid)
        hold(100_000_000)
        assert memory.peak_megabytes() > 100
        memory.reset()
        assert memory.peak_megabytes() < 100
        hold(200_000_000)
        assert 200 < memory.peak_megabytes() < 300
        sizes.close()


def test_memory_is_that_of_the_recorded_process(tmp_path):
    folder = tmp_path / "web-functions"
    folder.mkdir()
    (folder / f"{streaming.FUNCTION}.pid").write_text('{"pid": 7, "started": "8"}')
    assert Memory.of_the_function(tmp_path) == Memory(7)


def test_streamed_figures_have_every_client_by_the_raw_bytes_and_by_its_own_share():
    runs = {name: (float(number), 1.0, 1.0) for number, name in enumerate(streamed_push._BOUNDS, 2)}
    made = {
        figure.name: figure
        for figure in streamed_push.figures(runs, [130.0, 140.0], [(50.0, 170.0), (70.0, 180.0)])
    }
    raw = runs[streamed_push.RAW][0]
    for client in streamed_push.CLIENTS:
        ours, alone = streamed_push.ours(client), streamed_push.sunk(client)
        assert made[f"{ours} / {streamed_push.RAW}"].runs == (runs[ours][0] / raw, 1.0, 1.0)
        apart = made[f"{ours} / ({streamed_push.RAW} + {alone})"]
        assert apart.runs == (runs[ours][0] / (raw + runs[alone][0]), 0.5, 0.5)
    assert made[streamed_push.PUSHES_PEAK].runs == (130.0, 140.0)
    assert made[streamed_push.EIGHT_RATE].runs == (50.0, 70.0)
    assert made[streamed_push.EIGHT_PEAK].runs == (170.0, 180.0)
    (table,) = page.tables(Report({streamed_push.PART: MACHINE}, list(made.values()))).values()
    assert f"| {streamed_push.EIGHT_PEAK} | 175 MB | 2: 170 to 180 |" in table


def test_hits_are_counted_by_what_the_edge_says():
    def answer(_, path):
        found = {"/a": "Miss from cloudfront", "/b": "Hit from cloudfront"}.get(path)
        return (200, {"X-Cache": found}, b"x") if found else (403, {}, b"")

    with answering(answer) as url:
        assert edge_pull.cache_hits([f"{url}/a", f"{url}/b", f"{url}/b"]) == 2
        with pytest.raises(RuntimeError, match="403"):
            edge_pull.cache_hits([f"{url}/c"])


def test_pull_from_elsewhere_is_no_figure_of_the_edge(tmp_path):
    def answer(_, path):
        if path.startswith("/token"):
            return 200, {}, b'{"token":"t"}'
        place = "/v2/a/blobs/_edge/k" if path.endswith("sha256:0") else "http://s3/x"
        return 307, {"Location": place}, b""

    with answering(answer) as url:
        assert edge_pull.redirects(cloud(tmp_path, url), "a", ["sha256:0"]) == [f"{url}/v2/a/blobs/_edge/k"]
        with pytest.raises(RuntimeError, match="http://s3/x"):
            edge_pull.redirects(cloud(tmp_path, url), "a", ["sha256:0", "sha256:1"])
