"""What a push is measured with: a server that only reads, an uploader that waits for the end, ratios of a round."""

import hashlib
import http.client
import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from bench import page, push
from bench.cloud import Cloud
from bench.figures import Report
from bench.push import Piece, Pushes
from bench.sink import sink
from tests.clients import image

BLOB = bytes(range(256)) * 1000
UPLOADS = f"/v2/{push._REPOSITORY}/blobs/uploads/_presigned/"


class Stub(ThreadingHTTPServer):
    """Notes each request, and gives the answers that it was told, the last of them again and again."""

    def __init__(self, answers):
        super().__init__(("127.0.0.1", 0), Answering)
        self.answers = {request: list(given) for request, given in answers.items()}
        self.requests = []
        self.url = f"http://127.0.0.1:{self.server_port}"


class Answering(BaseHTTPRequestHandler):
    server: Stub

    def do_GET(self):
        self.answer()

    def do_POST(self):
        self.answer()

    def do_PUT(self):
        self.answer()

    def answer(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        request = f"{self.command} {self.path.partition('?')[0]}"
        self.server.requests.append((request, dict(self.headers), body))
        answers = self.server.answers[request]
        status, said = answers.pop(0) if len(answers) > 1 else answers[0]
        content = json.dumps(said).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_):
        pass


@contextmanager
def serving(answers):
    with Stub(answers) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def sunk():
    with sink() as server:
        yield server


@pytest.fixture
def blob(tmp_path):
    path = tmp_path / "blob"
    path.write_bytes(BLOB)
    return path


def ask(server, method, path, body=None):
    connection = http.client.HTTPConnection(server.host, timeout=10)
    connection.request(method, path, body)
    with connection.getresponse() as answer:
        answer.read()
    connection.close()
    return answer


def test_sink_holds_nothing_and_takes_everything(sunk):
    assert ask(sunk, "HEAD", "/v2/a/blobs/sha256:0").status == 404
    begun = ask(sunk, "POST", "/v2/a/blobs/uploads/")
    assert begun.status == 202
    stored = ask(sunk, "PUT", f"{begun.headers['Location']}?digest=sha256%3A0", BLOB)
    assert (stored.status, stored.headers["Docker-Content-Digest"]) == (201, "sha256:0")
    assert sunk.received == len(BLOB)


def test_sink_calls_a_manifest_by_the_digest_of_what_came(sunk):
    stored = ask(sunk, "PUT", "/v2/a/manifests/v1", BLOB)
    assert stored.headers["Docker-Content-Digest"] == f"sha256:{hashlib.sha256(BLOB).hexdigest()}"


def test_pieces_of_parts_are_the_blob():
    parts = [{"number": n, "size": size, "url": f"u{n}"} for n, size in ((1, 4), (2, 4), (3, 2))]
    assert push.pieces({"size": 10, "partSize": 4, "parts": parts}) == [
        Piece("u1", {}, 0, 4),
        Piece("u2", {}, 4, 4),
        Piece("u3", {}, 8, 2),
    ]


def test_one_put_is_the_blob_with_the_headers_that_were_signed():
    upload = {"size": 10, "put": {"url": "u", "headers": {"a": "b"}}}
    assert push.pieces(upload) == [Piece("u", {"a": "b"}, 0, 10)]


def test_put_sends_the_bytes_of_each_piece(blob):
    with serving({"PUT /a": [(200, "")], "PUT /b": [(200, "")]}) as server:
        push.put(
            blob,
            [
                Piece(f"{server.url}/a?x=1", {"Name": "value"}, 0, 100),
                Piece(f"{server.url}/b?y", {}, 100, 1000),
            ],
        )
    (first, headers, one), (second, _, other) = sorted(server.requests, key=lambda request: request[0])
    assert (first, headers["Name"], one) == ("PUT /a", "value", BLOB[:100])
    assert (second, other) == ("PUT /b", BLOB[100:1100])


def test_put_that_is_refused_is_no_figure(blob):
    with serving({"PUT /a": [(403, "no")]}) as server, pytest.raises(RuntimeError, match="403"):
        push.put(blob, [Piece(f"{server.url}/a?", {}, 0, 100)])


def presigned(tmp_path, parts, states):
    """An upload to a server that tells these states one after the other; and what was asked of it."""
    made = image.build(tmp_path, "image", [1000])
    size = push.layer(made).stat().st_size
    begun = {"id": "7", "size": size, "partSize": -(-size // parts)}
    complete, *later = ((201 if state == "linked" else 202, {"state": state}) for state in states)
    answers = {
        "GET /token": [(200, {"token": "t"})],
        f"POST {UPLOADS}": [(201, begun)],
        f"POST {UPLOADS}7/complete": [complete],
        f"GET {UPLOADS}7": [(200, said) for _, said in later],
        "PUT /1": [(200, "")],
        "PUT /2": [(200, "")],
    }
    with serving(answers) as server:
        begun["parts"] = [
            {"number": 1, "size": begun["partSize"], "url": f"{server.url}/1?"},
            {"number": 2, "size": size - begun["partSize"], "url": f"{server.url}/2?"},
        ]
        cloud = Cloud(tmp_path, server.url, "user", "password", *[""] * 6)
        pushes = Pushes(cloud, tmp_path, 1000)
        return pushes._presigned(made, parts), pushes, made, server


def test_presigned_push_ends_when_the_blob_is_linked(tmp_path):
    taken, pushes, made, server = presigned(tmp_path, 2, ["verifying", "verifying", "linked"])
    requests = [request for request, _, _ in server.requests]
    assert requests[-3:] == [f"POST {UPLOADS}7/complete", f"GET {UPLOADS}7", f"GET {UPLOADS}7"]
    assert 0 < pushes.stored[0] < taken
    sent = {request: body for request, _, body in server.requests}
    layer = push.layer(made)
    assert sent["PUT /1"] + sent["PUT /2"] == layer.read_bytes()
    assert json.loads(sent[f"POST {UPLOADS}"])["digest"] == f"sha256:{layer.name}"


def test_presigned_push_that_fails_is_no_figure(tmp_path):
    with pytest.raises(RuntimeError, match="failed"):
        presigned(tmp_path, 2, ["verifying", "failed"])


def test_bytes_that_entered_are_those_of_uploads(tmp_path):
    journal = tmp_path / "traffic" / "RegistryFunction.jsonl"
    journal.parent.mkdir()
    events = [
        {"method": "PUT", "path": "/v2/a/blobs/uploads/1", "body_bytes": 5},
        {"method": "PUT", "path": "/v2/a/manifests/v1", "body_bytes": 70},
        {"method": "PATCH", "path": "/v2/a/blobs/uploads/2", "body_bytes": 6},
    ]
    journal.write_text("".join(f"{json.dumps(event)}\n" for event in events))
    assert push.entered(tmp_path) == 11


def test_figures_have_every_way_by_the_raw_bytes():
    runs = {name: (float(number), 1.0, 1.0) for number, name in enumerate(push._BOUNDS, 2)}
    made = {figure.name: figure for figure in push.figures(runs, [0, 0, 0])}
    for way in (push.OURS, push.ONE, push.STORED, push.LINKED):
        for raw in (push.RAW, push.FRONT):
            assert made[f"{way} / {raw}"].runs == (runs[way][0] / runs[raw][0], 1.0, 1.0)
    apart = runs[push.RAW][0] + runs[push.SINK][0]
    assert made[push.WITHOUT_US].runs == (runs[push.OURS][0] / apart, 0.5, 0.5)
    assert made[push.ENTERED].runs == (0, 0, 0)
    machine = {"date": "today", "processor": "p", "processors": "2", "load": "0.1", "python": "3"}
    (table,) = page.tables(Report({push.PART: machine}, list(made.values()))).values()
    assert f"| {push.ENTERED} | 0 bytes | 3: 0 to 0 |" in table
