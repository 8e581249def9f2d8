"""What pushes by the command are measured with: a program's own share, a daemon's, and figures of both."""

import subprocess
import sys

import pytest

from bench import cli_push
from bench.cli_push import CLIENTS, DOCKER, MOORAGE, SKOPEO, cpu_of_tree, spent

BURN = "import time\nwhile time.process_time() < 0.3: pass"


def test_program_and_what_it_starts_are_counted_together():
    alone = spent((sys.executable, "-c", BURN))
    assert alone.cpu >= 0.3
    assert alone.wall >= alone.cpu / 2
    started = f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {BURN!r}])\n{BURN}"
    assert spent((sys.executable, "-c", started)).cpu >= 0.6


def test_program_that_fails_is_no_figure():
    with pytest.raises(RuntimeError, match="no such thing"):
        spent((sys.executable, "-c", "import sys; sys.exit('no such thing')"))


def test_descendants_of_a_daemon_are_counted_whether_they_have_ended_or_not():
    script = (
        f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {BURN!r}])\n"
        f"child = subprocess.Popen([sys.executable, '-c', {BURN!r} + '\\nprint(flush=True); input()'],"
        " stdin=subprocess.PIPE)\nsys.stdin.read()\nchild.communicate()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as daemon:
        assert daemon.stdout is not None
        assert daemon.stdout.readline() == b"\n"
        # Twice 0.3 s, but for what is cut off from each figure that is counted in ticks of 10 ms.
        assert cpu_of_tree(daemon.pid) >= 0.5
        daemon.communicate()
    assert cpu_of_tree(daemon.pid) == 0


def test_figures_say_all_and_compare_what_belongs_together():
    runs = {MOORAGE: (1.0, 2.0), SKOPEO: (2.0, 2.0), DOCKER: (4.0, 8.0)}
    cpu = {MOORAGE: (0.5, 0.5), SKOPEO: (1.0, 2.0), DOCKER: (5.0, 5.0)}
    made = {figure.name: figure for figure in cli_push.figures(runs, cpu, dict.fromkeys(CLIENTS, 7))}
    assert {figure.part for figure in made.values()} == {cli_push.PART}
    for client in CLIENTS:
        assert made[client].runs == runs[client]
        assert made[f"{client}: CPU of the client"].runs == cpu[client]
        assert made[f"{client}: requests of the client"].runs == (7.0,)
    assert made[f"{MOORAGE} / {SKOPEO}"].runs == (0.5, 1.0)
    assert made[f"{MOORAGE} / {DOCKER}: CPU"].runs == (0.1, 0.1)
    assert all(figure.bound for figure in made.values())
