"""How much memory the processes of a local cloud have taken, as the kernel has noted it."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

_PROC = Path("/proc")
# What a child's command line holds, and what the child is.
_CHILDREN = {"weed": "SeaweedFS", "ministack_launcher": "ministack", "functions/ingest": "ingest"}
_FUNCTION = "AWS_LAMBDA_FUNCTION_NAME="


def peaks(pid: int) -> dict[str, int]:
    """The most bytes of memory that a local cloud's first process and each of its descendants have had at once, by
    what they are, a function's workers by its logical id; of several of a kind, the largest.
    """
    found: dict[str, int] = {}
    for number in (pid, *_descendants(pid)):
        # One may end at any moment.
        with suppress(FileNotFoundError, ProcessLookupError):
            name = "local cloud" if number == pid else _name(number)
            found[name] = max(found.get(name, 0), _peak(number))
    return found


def _descendants(pid: int) -> list[int]:
    parents = {}
    for status in _PROC.glob("[0-9]*/stat"):
        with suppress(FileNotFoundError, ProcessLookupError):
            parents[int(status.parent.name)] = int(status.read_text("utf-8").rpartition(")")[2].split()[1])
    found, last = list[int](), [pid]
    while last:
        last = [child for child, parent in parents.items() if parent in last]
        found += last
    return found


def _name(pid: int) -> str:
    environment = (_PROC / str(pid) / "environ").read_bytes().decode("utf-8", "replace").split("\0")
    for variable in environment:
        if variable.startswith(_FUNCTION):
            return variable.rpartition("-")[2]
    command = (_PROC / str(pid) / "cmdline").read_bytes().decode("utf-8", "replace").replace("\0", " ")
    return next((name for part, name in _CHILDREN.items() if part in command), "others")


def _peak(pid: int) -> int:
    """VmHWM, which a process that has just ended has no more."""
    status = (_PROC / str(pid) / "status").read_text("utf-8")
    _, found, rest = status.partition("VmHWM:")
    return int(rest.split()[0]) * 1024 if found else 0
