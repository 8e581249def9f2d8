"""Running the command in this process, as a shell would: arguments and variables in, output and exit code out."""

from __future__ import annotations

import io
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

from moorage_cli.main import main

KEY = "mrgkey_" + "k" * 43


@dataclass(frozen=True)
class Outcome:
    """What a run of the command left behind."""

    code: int
    out: str
    err: str


class Terminal:
    """``home`` is the configuration folder; ``environment`` are the variables, and nothing else is set."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.environment = {
            "MOORAGE_HOME": str(home),
            "PATH": "/usr/bin:/bin",
            "TZ": "UTC",
            # No test may touch the keyring of whoever runs it.
            "PYTHON_KEYRING_BACKEND": "keyring.backends.null.Keyring",
        }

    def run(
        self,
        *arguments: str,
        stdin: str = "",
        environment: Mapping[str, str] | None = None,
        tty: bool = False,
    ) -> Outcome:
        """The outcome of ``moorage ARGUMENTS``; with ``tty`` all three streams say that they are terminals."""
        streams = [_Stream(tty), _Stream(tty), _Stream(tty, stdin)]
        with (
            mock.patch.dict("os.environ", {**self.environment, **(environment or {})}, clear=True),
            mock.patch.object(sys, "stdout", streams[0]),
            mock.patch.object(sys, "stderr", streams[1]),
            mock.patch.object(sys, "stdin", streams[2]),
        ):
            code = main(list(arguments))
        return Outcome(code, streams[0].text, streams[1].text)

    def ok(self, *arguments: str, **options: object) -> str:
        """What it wrote to stdout, where success is expected."""
        outcome = self.run(*arguments, **options)  # type: ignore[arg-type]
        assert outcome.code == 0, outcome
        return outcome.out


class _Stream(io.TextIOWrapper):
    def __init__(self, tty: bool, content: str = "") -> None:
        super().__init__(io.BytesIO(content.encode()), encoding="utf-8", write_through=True)
        self._tty = tty

    def isatty(self) -> bool:
        return self._tty

    @property
    def text(self) -> str:
        buffer = self.buffer
        assert isinstance(buffer, io.BytesIO)
        return buffer.getvalue().decode()
