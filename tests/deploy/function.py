"""Runs the emulator's script for a function: `function.py SCRIPT`, where names below `localhost` are this machine.

AWS's SDKs put a name before the host of some endpoints, and no resolver knows the name that comes out.
"""

import importlib.util
import runpy
import sys
from pathlib import Path

WORKER = Path(__file__).resolve().parents[2] / "local" / "worker.py"

if __name__ == "__main__":
    specification = importlib.util.spec_from_file_location("resolver", WORKER)
    assert specification is not None
    assert specification.loader is not None
    resolver = importlib.util.module_from_spec(specification)
    # A dataclass looks its module up. Nothing of it is left for the function to see.
    sys.modules["resolver"] = resolver
    specification.loader.exec_module(resolver)
    del sys.modules["resolver"]
    resolver.resolve_local_names()
    del sys.argv[0]
    runpy.run_path(sys.argv[0], run_name="__main__")
