"""Starts ministack for a deployment; runs with the interpreter of the emulators.

Its registry emulation would answer ``/v2`` before what was deployed, so it is off. And its functions would
share its own packages, so that a dependency missing from a layer went unnoticed: they run under the command
in ``FUNCTION_PYTHON``, which sees the standard library and nothing else but what was deployed.
"""

import os

from ministack import app  # type: ignore[import-not-found,unused-ignore]
from ministack.core import lambda_runtime  # type: ignore[import-not-found,unused-ignore]

_detect = lambda_runtime._detect_runtime_binary


def _isolated(runtime: str) -> tuple[str, str]:
    binary, worker = _detect(runtime)
    return (os.environ["FUNCTION_PYTHON"] if runtime.startswith("python") else binary), worker


if __name__ == "__main__":
    app._is_ecr_registry_path = lambda _path: False
    lambda_runtime._detect_runtime_binary = _isolated
    app.main()
