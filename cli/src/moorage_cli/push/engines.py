"""Images of a running docker or podman, saved by its own command into a temporary file.

Its command knows which engine is meant: contexts, ``DOCKER_HOST``, machines, SSH. Engines tell the digests of
what they have only in what they save, and a digest has to be known before its blob is sent: there is no way
without the file.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from moorage_cli.errors import CliError, Misused, NotFound
from moorage_cli.push.scratch import Scratch, no_space

# podman compresses the layers for an archive of the OCI's, side by side; docker has one form.
ENGINES: Mapping[str, Sequence[str]] = {"docker": (), "podman": ("--quiet", "--format", "oci-archive")}
_REASON_MAX = 300


def save(engine: str, image: str, scratch: Scratch) -> Path:
    """The archive of an image of an engine.

    Raises:
        Misused: what is named can be no image.
        NotFound: the engine's command is not installed.
        CliError: it fails; the message has what it said.
    """
    if not image or image.startswith("-"):
        raise Misused(f"{engine}:{image} names no image", f"write {engine}:NAME:TAG")
    program = shutil.which(engine)
    if program is None:
        raise NotFound(f"{engine} is not installed here", "install it, or save the image to a file elsewhere")
    path = scratch.file()
    words = [program, "save", *ENGINES[engine], "--output", str(path), "--", image]
    done = subprocess.run(  # noqa: S603 - the engine's own command, and no shell
        words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False
    )
    said = done.stderr.decode(errors="replace").strip()
    if done.returncode or not path.exists():
        if "no space left" in said:
            raise no_space(path)
        last = said.splitlines()[-1] if said else "it does not say why"
        raise CliError(f"{engine} cannot save {image}: {last[:_REASON_MAX]}")
    return path
