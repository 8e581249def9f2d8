"""What is seen in a real terminal, wide and narrow, and what goes into a pipe."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.pushing import PUSH, Pushing, pushing
from tests.cli.screen import NEEDED, screen
from tests.cli.stand_in import Answer
from tests.clients import image

COMMAND = [sys.executable, "-m", "moorage_cli"]
WIDE, NARROW = 120, 40
JOB = "0123456789abcdef0123456789abcdef"
BAR = "━"


@pytest.fixture
def folder() -> Iterator[Path]:
    """One with a short name."""
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


@pytest.fixture
def world() -> Iterator[Pushing]:
    with pushing() as running:
        yield running


@pytest.fixture
def made(folder):
    return image.build(folder, "app", [3_000_000, 2_000_000])


@pytest.fixture
def variables(world, terminal):
    """Those of somebody who has signed in, in a terminal that knows letters beyond ASCII."""
    return {**world.sign_in(terminal).environment, "LC_ALL": "C.UTF-8", "PATH": os.environ["PATH"]}


def shorts(made) -> list[str]:
    """The digests of an image's blobs, as bars name them."""
    names = {file.name[:12] for file in (made.layout / "blobs" / "sha256").iterdir()}
    top = (made.layout / "index.json").read_text("utf-8")
    return [name for name in names if name not in top]


@NEEDED
@pytest.mark.parametrize("columns", [WIDE, NARROW])
def test_each_layer_has_one_bar_in_one_row(world, made, variables, folder, columns):
    world.hold_from = 0
    words = [*COMMAND, *PUSH, made.layout, "app:v1"]
    with screen(folder, columns, words, variables) as shown:
        assert world.held.wait(60)
        rows = shown.until(lambda rows: all(any(each in row for row in rows) for each in shorts(made)))
        assert not shown.wrapped
        assert shown.colored
        for each in shorts(made):
            (row,) = [row for row in rows if each in row]
            assert BAR in row
        world.hold.set()
        assert shown.exit_code() == 0
        after = shown.rows
        for each in shorts(made):
            assert sum(row.startswith(each) for row in after) == 1
        assert shown.cursor_is_shown
        assert "moorage: pushed demo/app:v1: 3 blobs sent" in "".join(after)


@NEEDED
@pytest.mark.parametrize("columns", [WIDE, NARROW])
def test_speed_and_size_are_shown_where_there_is_room(world, made, variables, folder, columns):
    words = [*COMMAND, *PUSH, made.layout, "app:v1"]
    with screen(folder, columns, words, variables) as shown:
        assert shown.exit_code() == 0
        bars = [row for row in shown.rows if BAR in row]
        assert len(bars) == 3
        assert any("3.0/3.0 MB" in row for row in bars) == (columns == WIDE)


@NEEDED
def test_more_layers_than_rows_stand_there_once_each_at_the_end(world, variables, folder):
    many = image.build(folder, "many", [2000 + each for each in range(35)])
    world.hold_from = 30
    with screen(folder, WIDE, [*COMMAND, *PUSH, many.layout, "many:v1"], variables) as shown:
        assert world.held.wait(60)
        # Those that move are in sight, and nothing is cut off without a word.
        rows = shown.until(lambda rows: "30 of 36 done" in rows)
        assert len(rows) <= 30
        bars = [row for row in rows if BAR in row]
        assert all(any(row[:12] in asked for row in bars) for asked in world.stored[30:])
        assert not shown.wrapped
        world.hold.set()
        assert shown.exit_code() == 0
        starts = [row[:12] for row in shown.history]
        assert all(starts.count(each) == 1 for each in shorts(many))
        assert len(shorts(many)) == 36


@NEEDED
@pytest.mark.parametrize("refused", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_who_wants_no_colours_sees_none(world, made, variables, folder, refused):
    words = [*COMMAND, *PUSH, made.layout, "app:v1"]
    with screen(folder, WIDE, words, {**variables, **refused}) as shown:
        assert shown.exit_code() == 0
        assert not shown.colored


@NEEDED
def test_interrupted_push_leaves_a_terminal_that_is_of_use(world, made, variables, folder):
    world.hold_from = 0
    words = [*COMMAND, *PUSH, made.layout, "app:v1"]
    with screen(folder, WIDE, words, variables) as shown:
        assert world.held.wait(60)
        shown.until(lambda rows: any(BAR in row for row in rows))
        shown.type("C-c")
        assert shown.exit_code() == 130
        assert shown.cursor_is_shown
        text = "\n".join(shown.rows)
        assert "moorage: nothing of 5.0 MB has arrived whole; --part-size" in text
        assert "Traceback" not in text


def test_pipes_get_no_bars_and_nothing_that_steers_a_terminal(world, made, variables):
    done = subprocess.run(
        [*COMMAND, *PUSH, made.layout, "app:v1"], env=variables, capture_output=True, check=True, timeout=90
    )
    for written in (done.stdout, done.stderr):
        assert written.count(b"\n") == 1
        assert b"\x1b" not in written
        assert b"\r" not in written


@NEEDED
def test_output_goes_to_its_file_while_bars_are_seen(world, made, variables, folder):
    world.hold_from = 0
    line = '"$@" >out'
    words = ["sh", "-c", line, "sh", *COMMAND, *PUSH, made.layout, "app:v1"]
    with screen(folder, WIDE, words, variables) as shown:
        assert world.held.wait(60)
        shown.until(lambda rows: any(BAR in row for row in rows))
        world.hold.set()
        assert shown.exit_code() == 0
    assert (folder / "out").read_text("utf-8").startswith("demo/app:v1@sha256:")
    assert (folder / "out").read_bytes().count(b"\x1b") == 0


@pytest.fixture
def copying(signed_in, stand_in) -> Iterator[tuple[dict[str, str], threading.Event]]:
    """Variables, and an event that brings a copy to its end, of which one of three manifests is done before."""
    ended = threading.Event()

    def job(_) -> Answer:
        progress = {
            "tags": {"done": 0, "total": 1},
            "manifests": {"done": 1, "total": 3},
            "bytes": {"done": 1_500_000, "total": 3_000_000},
        }
        return Answer(
            {
                "kind": "job",
                "id": JOB,
                "state": "succeeded" if ended.is_set() else "running",
                "source": {"org": "acme", "repository": "app", "tag": "v1"},
                "destination": {"org": "prod", "repository": "app", "tag": "v1"},
                "progress": progress,
                "copiedBytes": 0,
                "links": [{"rel": "self", "href": f"/org/acme/job/{JOB}"}],
            },
            202,
        )

    stand_in.on("POST", "/org/acme/image/app:v1/-copy", job)
    stand_in.on("GET", f"/org/acme/job/{JOB}", job)
    yield {**signed_in.environment, "LC_ALL": "C.UTF-8", "PATH": os.environ["PATH"]}, ended
    ended.set()


@NEEDED
@pytest.mark.parametrize("columns", [WIDE, NARROW])
def test_copy_has_one_bar_until_it_is_done(copying, folder, columns):
    variables, ended = copying
    words = [*COMMAND, "image", "copy", "app:v1", "--to-org", "prod"]
    with screen(folder, columns, words, variables) as shown:
        rows = shown.until(lambda rows: any(row.startswith("running") for row in rows))
        assert not shown.wrapped
        (row,) = [row for row in rows if BAR in row]
        assert ("1.5MB of 3MB" if columns == WIDE else "50%") in row
        ended.set()
        assert shown.exit_code() == 0
        text = "".join(shown.rows)
        assert BAR not in text
        assert "prod/app:v1" in text


def test_copy_tells_a_pipe_in_lines(copying):
    variables, ended = copying
    with subprocess.Popen(
        [*COMMAND, "image", "copy", "app:v1", "--to-org", "prod"],
        env=variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as running:
        assert running.stderr is not None
        first = running.stderr.readline()
        ended.set()
        out, rest = running.communicate(timeout=90)
    assert running.returncode == 0
    assert first.startswith(b"moorage: the job is running, 1 of 3 manifests")
    assert out == b"prod/app:v1\n"
    assert b"\x1b" not in first + rest
