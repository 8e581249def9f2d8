"""A local cloud in a process of its own, as `make run` starts it."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from local import ports

ROOT = Path(__file__).parents[1]
READY_SECONDS = 110
GONE_SECONDS = 30


def free_port():
    (port,) = ports.free(1)
    return port


class RunningCloud:
    """Starts on construction; `state` may be one that an earlier cloud has left, `settings` are variables."""

    def __init__(
        self, state, port=None, save_seconds=30.0, command=(sys.executable, "-m", "local"), **settings
    ):
        self.state = state
        self.port = port or free_port()
        self.log = state.with_suffix(".log")
        variables = {"PORT": str(self.port), "STATE": str(state), "SAVE_SECONDS": str(save_seconds)}
        self._output = state.with_suffix(".out")
        with self._output.open("wb") as output, self.log.open("ab") as errors:
            self.process = subprocess.Popen(
                [*command],
                cwd=ROOT,
                env={**os.environ, **variables, **settings},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=errors,
                start_new_session=True,
            )

    def await_ready(self):
        """Wait for the line that says so; self."""
        deadline = time.monotonic() + READY_SECONDS
        while not self.output.endswith("\n"):
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"not ready ({self.process.poll()}): {self.log.read_text('utf-8')}")
            time.sleep(0.05)
        return self

    @property
    def output(self):
        return self._output.read_text("utf-8")

    @property
    def credentials(self):
        return json.loads((self.state / "credentials.json").read_text("utf-8"))

    @property
    def endpoint(self):
        return self.credentials["endpoint"]

    @property
    def children(self):
        """The pids of the emulators and of the web functions."""
        records = [
            record
            for folder in ("emulators", "web-functions")
            for record in (self.state / folder).glob("*.pid")
        ]
        return {record.stem: json.loads(record.read_text("utf-8"))["pid"] for record in records}

    def peak_bytes(self, name):
        """The most memory that a child has had at once, on Linux."""
        status = Path(f"/proc/{self.children[name]}/status").read_text("utf-8")
        return int(status.partition("VmHWM:")[2].split()[0]) * 1024

    def stop(self):
        """SIGTERM; the exit code."""
        if self.process.poll() is None:
            self.process.terminate()
        return self.process.wait(GONE_SECONDS)

    def kill(self):
        """SIGKILL to everything at once, so that nobody can save anything any more."""
        for pid in self.children.values():
            os.kill(pid, signal.SIGSTOP)
        os.killpg(self.process.pid, signal.SIGKILL)
        for pid in self.children.values():
            os.kill(pid, signal.SIGKILL)
        self.process.wait()
