"""Standard streams that a shell has closed (``>&-``), of which Python makes None."""

from __future__ import annotations

import io
import os
import sys


def has_output() -> bool:
    """Whether standard output is open. The other streams are then, too: nothing comes, and nobody reads.

    Also keeps files and connections that are opened later from getting the number of a standard stream, and
    has characters written out that the encoding of standard output lacks.
    """
    if sys.stdin is None:
        sys.stdin = open(os.devnull, encoding="utf-8")  # noqa: PTH123, SIM115 - it stays open
    open_out = sys.stdout is not None
    if not open_out:
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    return open_out
