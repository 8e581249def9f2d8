"""What the client tests rest on: the image that is compared, the proxy that counts, the table that turns red."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import tracemalloc
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httptools
import pytest

from moorage.domain.names import Repository
from tests.clients import command, folders, image, matrix, memory, recorder, relay, traffic
from tests.clients.absent import ABSENT
from tests.clients.cloud import Account, Cloud
from tests.clients.matrix import CASES, CLIENTS, Cell
from tests.clients.relay import Answered, Exchange


@pytest.fixture
def made(tmp_path: Path) -> image.Image:
    return image.build(tmp_path, "sample")


def test_folders_podman_takes_their_names_for_those_of_repositories() -> None:
    """What it does with the path of a layout, so that one in some twenty of :mod:`tempfile` fails."""
    for _ in range(200):
        with folders.named_for_clients() as made:
            Repository.parse(f"localhost/{made.name}")
            assert len(made.name) < 20
        assert not made.exists()


def test_image_every_form_has_the_same_layers(made: image.Image) -> None:
    assert len(set(made.layers)) == len(image.LAYER_SIZES)
    assert image.layers_of(made.layout) == made.layers
    assert image.layers_of(made.oci_archive) == made.layers
    assert image.layers_of(made.docker_archive) == made.layers


def test_image_is_the_same_each_time_and_another_for_each_name(made: image.Image, tmp_path: Path) -> None:
    (tmp_path / "again").mkdir()
    (tmp_path / "other").mkdir()
    assert image.build(tmp_path / "again", "sample").layers == made.layers
    assert not {*image.build(tmp_path / "other", "other").layers} & {*made.layers}


def test_image_a_changed_blob_is_noticed(made: image.Image, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(made.layout, copy)
    largest = max((copy / "blobs" / "sha256").iterdir(), key=lambda blob: blob.stat().st_size)
    largest.write_bytes(largest.read_bytes()[:-1] + b"?")
    with pytest.raises(ValueError, match="has other content"):
        image.layers_of(copy)


def test_image_of_any_size_is_made_and_compared_in_little_memory(tmp_path: Path) -> None:
    size = 40_000_000
    tracemalloc.start()
    try:
        large = image.build(tmp_path, "large", [size])
        for place in (large.layout, large.oci_archive, large.docker_archive):
            assert place.is_dir() or place.stat().st_size > size
            assert image.layers_of(place) == large.layers
        assert tracemalloc.get_traced_memory()[1] < size / 4
    finally:
        tracemalloc.stop()


class Answering:
    """Says 200 on a connection once per request, however many pieces it comes in."""

    def __init__(self, peer: socket.socket) -> None:
        self._peer = peer
        self._parser = httptools.HttpRequestParser(self)

    def feed(self, piece: bytes) -> None:
        if piece.startswith(b"\x16\x03"):
            self.on_message_complete()
        else:
            self._parser.feed_data(piece)

    def on_message_complete(self) -> None:
        self._peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")


@pytest.fixture
def upstream() -> Iterator[str]:
    """A server that answers each whole request, and bytes that are none, with 200 and no body."""

    def serve(listener: socket.socket) -> None:
        while True:
            try:
                peer, _ = listener.accept()
            except OSError:
                return
            with peer:
                answering = Answering(peer)
                while piece := peer.recv(1 << 16):
                    answering.feed(piece)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, args=(listener,), daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)
    thread.join()


def test_recorder_notes_the_requests_of_a_block_with_the_size_of_their_bodies(upstream: str) -> None:
    with recorder.between(upstream) as proxy:
        connection = http.client.HTTPConnection(proxy.host)
        connection.request("GET", "/v2/")
        connection.getresponse().read()
        with proxy.noting() as requests:
            for method, target, body in (
                ("HEAD", "/v2/a/blobs/sha256:1", None),
                ("PATCH", "/v2/a/blobs/uploads/1?x=/blobs/sha256:2", [b"\x16abc", b"de"]),
                ("PATCH", "/v2/a/blobs/uploads/_stream/k/1/r/s/m", [b"abcd"]),
                ("PUT", "/v2/a/blobs/uploads/_direct/k/1/r/s/m?digest=sha256:2", [b"abc"]),
                ("GET", "/v2/a/blobs/sha256:1", None),
                ("GET", "/v2/a/blobs/_edge/k/1/r/s/m", None),
            ):
                connection.request(method, target, body, encode_chunked=True)
                connection.getresponse().read()
        connection.close()

    assert [
        (request.method, request.size, request.uploads, request.way, request.downloads, request.edge)
        for request in requests
    ] == [
        ("HEAD", 0, False, "", False, False),
        ("PATCH", 6, True, "", False, False),
        ("PATCH", 4, True, "stream", False, False),
        ("PUT", 3, True, "direct", False, False),
        ("GET", 0, False, "", True, False),
        ("GET", 0, False, "", False, True),
    ]


def test_recorder_passes_tls_on_and_notes_no_request(upstream: str) -> None:
    with recorder.between(upstream) as proxy:
        host, _, port = proxy.host.partition(":")
        with socket.create_connection((host, int(port))) as client:
            client.sendall(b"\x16\x03\x01hello")
            assert client.recv(12) == b"HTTP/1.1 200"
        assert proxy.requests == []


def test_relay_keeps_both_sides_and_sends_on_what_the_change_makes_of_an_answer(upstream: str) -> None:
    def change(exchange: Exchange) -> Answered:
        return replace(exchange.answered, status=202, headers=(("X-Changed", "yes"),), body=b"more")

    with relay.between(upstream, change) as between:
        connection = http.client.HTTPConnection(between.host)
        for method in ("PATCH", "HEAD"):
            connection.request(method, "/v2/a?b=c", [b"\x16ab", b"cd"], {"X-Sent": "1"}, encode_chunked=True)
            response = connection.getresponse()
            assert (response.status, response.getheader("X-Changed")) == (202, "yes")
            assert response.read() == (b"more" if method == "PATCH" else b"")
        connection.close()
    patch, head = between.exchanges
    assert (patch.sent.method, patch.sent.target, patch.sent.path) == ("PATCH", "/v2/a?b=c", "/v2/a")
    assert (patch.sent.body, patch.answered.status, patch.answered.body) == (b"\x16abcd", 200, b"")
    assert relay.header(head.sent.headers, "x-sent") == "1"


def test_relay_refuses_tls_as_a_plain_port_does(upstream: str) -> None:
    with relay.between(upstream) as between:
        host, _, port = between.host.partition(":")
        with socket.create_connection((host, int(port))) as client:
            client.sendall(b"\x16\x03\x01hello")
            assert client.recv(12) == b"HTTP/1.1 400"
        assert between.exchanges == []


def test_traffic_notes_what_entered_in_a_block(tmp_path: Path) -> None:
    running = Cloud("http://127.0.0.1:1", "demo", Account("a", "b"), tmp_path, tmp_path / "log", 0)
    with traffic.noting(running) as entered:
        pass
    assert entered == []
    journal = tmp_path / "traffic" / "RegistryFunction.jsonl"
    journal.parent.mkdir()
    lines = [
        json.dumps({"method": "PUT", "path": f"/v2/a/{path}", "body_bytes": size}) + "\n"
        for path, size in (("manifests/1", 1), ("blobs/uploads/1", 2), ("manifests/2", 3))
    ]
    journal.write_text(lines[0], "utf-8")
    with traffic.noting(running) as entered:
        journal.write_text("".join(lines), "utf-8")
    assert [(event.size, event.uploads) for event in entered] == [(2, True), (3, False)]


def test_memory_is_told_of_a_process_and_of_those_below_it() -> None:
    taken = 300 * 1024 * 1024
    grandchild = f"import time; held = bytearray({taken}); print(); time.sleep(60)"
    child = "import subprocess, sys; subprocess.run([sys.executable, '-c', sys.argv[1], 'functions/ingest'])"
    with subprocess.Popen(
        [sys.executable, "-c", child, grandchild], stdout=subprocess.PIPE, start_new_session=True
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        peaks = memory.peaks(process.pid)
        os.killpg(process.pid, signal.SIGKILL)
    assert peaks.keys() == {"local cloud", "ingest"}
    assert taken < peaks["ingest"] < 2 * taken
    assert 0 < peaks["local cloud"] < taken / 2


def full() -> list[Cell]:
    return [
        Cell(client, "1", case, 0, True, 0.1)
        for client in CLIENTS
        for case in CASES
        if (client, case) not in ABSENT
    ]


def test_matrix_full_and_passing_has_no_fault() -> None:
    assert matrix.faults(full()) == []
    rows = [line.split("|") for line in matrix.table(full()).splitlines() if line.startswith("|")]
    assert len(rows) == len(CASES) + 2
    assert {len(row) for row in rows} == {len(CLIENTS) + 3}
    assert not any(cell.isspace() for row in rows for cell in row[1:-1])


def test_matrix_page_keeps_what_stands_around_its_table() -> None:
    text = f"before\n{matrix.BEGIN}\nformer table\n{matrix.END}\nafter\n"
    written = matrix.page(text, full())
    assert written.startswith(f"before\n{matrix.BEGIN}\n| case |")
    assert written.endswith(f"{matrix.END}\nafter\n")
    assert "former table" not in written
    assert matrix.page(written, full()) == written
    with pytest.raises(ValueError, match="no markers"):
        matrix.page("before\nafter\n", full())


def test_matrix_every_cell_without_a_client_is_a_cell_of_the_table() -> None:
    assert {client for client, _ in [*ABSENT, *matrix.REMARKS]} <= set(CLIENTS)
    assert {case for _, case in [*ABSENT, *matrix.REMARKS]} <= set(CASES)


def test_matrix_empty_cell_is_a_fault() -> None:
    assert matrix.faults(full()[1:]) == ["docker: login was not tried"]


def test_matrix_failing_cell_is_a_fault_even_when_it_passed_as_well() -> None:
    failed = Cell("crane", "1", "push", 0, False, 0.1)
    for cells in ([*full(), failed], [failed, *full()]):
        assert matrix.faults(cells) == ["crane: push failed"]


def test_matrix_without_a_version_is_a_fault() -> None:
    cells = full()
    cells[0] = Cell(cells[0].client, "", cells[0].case, 0, True, 0.1)
    assert matrix.faults(cells) == ["docker: no version in login"]


def test_command_that_hangs_is_ended_and_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "FINISHED_WITHIN", 0.2)
    assert command.run("sleep", "60", home=tmp_path).exit_code == command.TIMED_OUT


def test_command_masks_its_secret_and_passes_nothing_of_our_environment_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    outcome = command.run("env", "KEY=s3cret", home=tmp_path, secret="s3cret")
    assert outcome.command == "env KEY=***"
    assert "KEY=***" in outcome.output
    assert "HTTP_PROXY" not in outcome.output


def test_cells_file_is_what_the_table_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(matrix, "CELLS", tmp_path / "cells.json")
    assert matrix.read() == []
    matrix.CELLS.write_text("[]", "utf-8")
    cell = Cell("docker", "20.10.24", "push", 0, True, 1.5)
    matrix.record(cell)
    matrix.record(cell)
    assert matrix.read() == [cell, cell]
    assert len(json.loads(matrix.CELLS.read_text("utf-8"))) == 2
