"""The figures are of what they say: real answers, every contestant in every round, a table that shows them."""

import base64
import http.client
import json
import socket
from dataclasses import replace
from functools import partial

import pytest
import urllib3.util.connection

from bench import (
    copies,
    decisions,
    edge_pull,
    figures,
    images,
    page,
    pull,
    push,
    start,
    streamed_push,
    throughput,
    warm,
)
from bench.context import Context
from bench.figures import Figure, Report, alternating, ratio
from bench.functions import ENVIRONMENT, Request, requests
from bench.stand_in import Services, network
from moorage.adapters.dynamodb.table import Table
from moorage.adapters.dynamodb.writes import update
from moorage.adapters.keys import Key

FIGURE = Figure("pull", "skopeo copy", "s", (3.0, 1.0, 2.0), "the store")
MACHINE = {"date": "today", "processor": "p", "processors": "2", "load": "0.1", "python": "3"}
LISTED = (f"{part[0].upper()}{part[1:]}" for part in (decisions.PART, images.PART))
REPORT = Report({"pull": MACHINE, "start": MACHINE}, [FIGURE, replace(FIGURE, part="start", unit="")])


@pytest.fixture(scope="module")
def made():
    with requests() as made:
        yield {request.name: request for request in made}


def answer(request: Request):
    return request.handler(request.event, Context())


def test_requests_get_real_answers(made):
    manifest = answer(made["manifest GET by tag"])
    digest = manifest["headers"]["docker-content-digest"]
    assert manifest["isBase64Encoded"]
    assert len(json.loads(base64.b64decode(manifest["body"]))["layers"]) == 10
    assert answer(made["manifest GET by digest"])["body"] == manifest["body"]
    assert answer(made["manifest HEAD by digest"])["headers"]["docker-content-digest"] == digest
    assert "X-Amz-Signature" in answer(made["blob GET"])["headers"]["location"]
    assert answer(made["blob HEAD"])["headers"]["content-length"] == "31357624"
    assert "/blobs/uploads/" in answer(made["upload POST"])["headers"]["location"]
    assert json.loads(answer(made["token GET"])["body"])["token"].count(".") == 2


def test_request_that_fails_is_no_figure(made):
    wrong = replace(made["manifest GET by tag"], status=404)
    with pytest.raises(RuntimeError, match="manifest GET by tag"):
        wrong.send()


def test_every_request_becomes_a_figure_with_its_bound():
    found = {figure.name: figure for figure in warm.measure(lambda _: None, rounds=2, batch=1)}
    assert set(found) == {*warm._READS, warm.CEILING}
    assert all(len(figure.runs) == 2 and min(figure.runs) > 0 and figure.bound for figure in found.values())


def test_network_is_back_afterwards():
    before = urllib3.util.connection.create_connection
    with network(Services()):
        assert urllib3.util.connection.create_connection is not before
    assert urllib3.util.connection.create_connection is before


def test_conversation_answers_a_request_that_comes_in_parts():
    def reverse(operation, body):
        return f"{operation} {body[::-1].decode()}".encode()

    with network(reverse), urllib3.util.connection.create_connection(("nowhere", 80)) as connection:
        connection.sendall(b"POST / HTTP/1.1\r\nX-Amz-Target: Api.Do\r\nContent-Le")
        connection.sendall(b"ngth: 3\r\n\r\na")
        with pytest.raises(BlockingIOError):
            connection.recv(1, socket.MSG_DONTWAIT)
        connection.sendall(b"bc")
        assert connection.recv(4096).endswith(b"\r\n\r\nDo cba")


def test_conversation_gives_an_answer_that_is_larger_than_what_a_socket_holds():
    content = bytes(range(256)) * 20_000
    with (
        network(lambda *_: content),
        urllib3.util.connection.create_connection(("nowhere", 80)) as connection,
    ):
        connection.sendall(b"POST / HTTP/1.1\r\n\r\n")
        answer = http.client.HTTPResponse(connection)
        answer.begin()
        assert answer.read() == content


def test_many_rows_are_read_at_once_and_what_is_added_is_there(monkeypatch):
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    services = Services()
    with network(services):
        table = Table("t")
        for name in ("one", "two"):
            table.write(update(Key("a", name), "ADD #names :names", names=frozenset({name})))
        table.write(update(Key("a", "two"), "ADD #names :names", names=frozenset({"more"})))
        table.write(update(Key("a", "two"), "ADD #number :one", one=1))
        table.write(update(Key("a", "two"), "ADD #number :one", one=2))
        found = table.get_all([Key("a", "one"), Key("a", "two"), Key("a", "three")], "names", "number")
    assert found == [{"names": {"one"}}, {"names": {"two", "more"}, "number": 3}]


def test_rounds_alternate():
    order: list[str] = []

    def run(name):
        order.append(name)
        return float(len(order))

    runs = alternating({name: partial(run, name) for name in "abc"}, 3, lambda _: None)
    assert "".join(order) == "abcbcacab"
    assert runs == {"a": (1.0, 6.0, 8.0), "b": (2.0, 4.0, 9.0), "c": (3.0, 5.0, 7.0)}


def test_ratio_is_of_the_runs_of_one_round():
    assert ratio("p", "n", (2.0, 9.0, 4.0), (1.0, 3.0, 4.0), "").runs == (2.0, 3.0, 1.0)


def test_median_is_the_middle_run():
    assert FIGURE.median == 2.0


def test_report_is_what_was_saved(monkeypatch, tmp_path):
    monkeypatch.setattr(figures, "FILE", tmp_path / "results" / "bench.json")
    with pytest.raises(FileNotFoundError):
        Report.load()
    REPORT.save()
    assert Report.load() == REPORT


def test_page_shows_the_figures_and_nothing_else_changes(monkeypatch, tmp_path):
    path = tmp_path / "page.md"
    path.write_text(f"before\n{page.BEGIN}\nold\n{page.END}\nafter\n")
    monkeypatch.setattr(page, "PAGE", path)
    assert not page.is_current(REPORT)
    page.write(REPORT)
    assert page.is_current(REPORT)
    text = path.read_text()
    assert text.startswith("before\n")
    assert text.endswith("\nafter\n")
    assert "old" not in text
    assert "| skopeo copy | 2.00 s | 3: 1.00 to 3.00 | the store |" in text
    assert not page.is_current(replace(REPORT, figures=[replace(FIGURE, runs=(5.0,))]))


def test_page_keeps_the_tables_of_parts_that_were_not_measured(monkeypatch, tmp_path):
    path = tmp_path / "page.md"
    path.write_text(f"before\n{page.BEGIN}\n{page.END}\nafter\n")
    monkeypatch.setattr(page, "PAGE", path)
    page.write(REPORT)
    before = path.read_text()
    later = {**MACHINE, "date": "tomorrow"}
    page.write(Report({"pull": later}, [FIGURE]))
    assert path.read_text() == before.replace("Measured today", "Measured tomorrow", 1)
    page.write(Report({"push": later}, [replace(FIGURE, part="push")]))
    headings = [line for line in path.read_text().splitlines() if line.startswith("**")]
    assert headings == ["**Pull**", "**Start**", "**Push**"]


def test_page_without_its_marks_is_an_error(monkeypatch, tmp_path):
    path = tmp_path / "page.md"
    path.write_text(f"{page.BEGIN}\n")
    monkeypatch.setattr(page, "PAGE", path)
    with pytest.raises(ValueError, match="marks"):
        page.write(REPORT)


def test_committed_page_has_a_table_of_every_part():
    text = page.PAGE.read_text("utf-8")
    measured = (warm, start, throughput, pull, edge_pull, push, streamed_push, copies, decisions, images)
    for part in (module.PART for module in measured):
        assert f"**{part[0].upper()}{part[1:]}**" in text
