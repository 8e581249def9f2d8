"""Programs that commands in the pages need, and that a machine may lack."""

from __future__ import annotations

import os
import shutil

import pytest


def needing(*programs: str) -> pytest.MarkDecorator:
    """Skips a test where a program is missing; under ``CI``, which has installed them, it then fails."""
    missing = [name for name in programs if shutil.which(name) is None]
    return pytest.mark.skipif(
        bool(missing) and not os.environ.get("CI"), reason=f"not installed: {', '.join(missing)}"
    )
