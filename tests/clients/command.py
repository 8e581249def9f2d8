"""Foreign programs, each with an environment of its own and a time limit."""

from __future__ import annotations

import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

# Some clients hang for ever where others give up after a minute of tries.
FINISHED_WITHIN = 120.0
TIMED_OUT = 124


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a program ended, what it printed on both of its outputs, and how long it took."""

    command: str
    exit_code: int
    output: str
    seconds: float

    def __str__(self) -> str:
        return f"$ {self.command}\n{self.output}\n[exit code {self.exit_code} after {self.seconds:.1f} s]\n"


def run(*argv: str | Path, home: Path, secret: str = "", **variables: str) -> Outcome:
    """Run a program to its end; ``secret`` goes to its input, and is masked where it stands among the words.

    The variables of the caller's shell are not passed on: a proxy or a login that stands there is not our test's.
    """
    words = [str(word) for word in argv]
    start = time.monotonic()
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            words,
            cwd=home,
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": str(home), **variables},
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            process.communicate(secret.encode(), FINISHED_WITHIN)
            exit_code = process.returncode
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            exit_code = TIMED_OUT
        output.seek(0)
        text = output.read().decode("utf-8", "replace").strip()
    command = " ".join(words)
    if secret:
        command, text = command.replace(secret, "***"), text.replace(secret, "***")
    return Outcome(command, exit_code, text, time.monotonic() - start)
