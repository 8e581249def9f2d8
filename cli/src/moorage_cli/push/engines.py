"""Images of a running docker or podman, saved by its own command into a temporary file of ours.

Its command knows which engine is meant: contexts, ``DOCKER_HOST``, machines, SSH. Engines tell the digests of
what they have only in what they save, and a digest has to be known before its blob is sent: there is no way
without the file. What they save comes through a pipe, because some may not write where we may.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

from moorage_cli.errors import CliError, Misused, NotFound
from moorage_cli.push.content import PIECE
from moorage_cli.push.scratch import Output, Scratch, no_space, telling_of_space, writing

# podman compresses the layers for an archive of the OCI's, side by side; docker has one form.
ENGINES: Mapping[str, Sequence[str]] = {"docker": (), "podman": ("--quiet", "--format", "oci-archive")}
_REASON_MAX = 300
_SAID_MAX = 64 * 1024


def save(engine: str, image: str, scratch: Scratch) -> Path:
    """The archive of an image of an engine.

    Raises:
        Misused: what is named can be no image.
        NotFound: the engine's command is not installed.
        CliError: it fails, and the message has what it said; or there is no room for what it saves.
    """
    if not image or image.startswith("-"):
        raise Misused(f"{engine}:{image} names no image", f"write {engine}:NAME:TAG")
    program = shutil.which(engine)
    if program is None:
        raise NotFound(f"{engine} is not installed here", "install it, or save the image to a file elsewhere")
    path = scratch.file()
    with telling_of_space(path), tempfile.TemporaryFile() as errors, writing(path) as output:
        code = _run([program, "save", *ENGINES[engine], "--", image], output, errors)
        errors.seek(max(0, errors.seek(0, os.SEEK_END) - _SAID_MAX))
        said = errors.read().decode(errors="replace").strip()
    if code or not output.size:
        if "no space left" in said:
            raise no_space(path)
        last = said.splitlines()[-1] if said else "it does not say why"
        raise CliError(f"{engine} cannot save {image}: {last[:_REASON_MAX]}")
    return path


def _run(words: Sequence[str], output: Output, errors: IO[bytes]) -> int:
    """The exit code of a program that writes to ``output``; it does not outlive the writing."""
    # Not as a context: if a signal ends us before the first line of that, its end would wait for the program.
    process = subprocess.Popen(  # noqa: S603 - the engine's own command, and no shell
        words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors
    )
    try:
        while process.stdout and (piece := process.stdout.read(PIECE)):
            output.write(piece)
        return process.wait()
    finally:
        if process.stdout:
            process.stdout.close()
        if process.poll() is None:
            process.kill()
            process.wait()
