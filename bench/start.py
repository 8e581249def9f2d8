"""CPU time and modules of a function's start, as deployed: over the layers, with bytecode and without."""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.figures import Figure, alternating
from bench.functions import ENVIRONMENT, ROOT, world

PART = "start"
ROUNDS = 7
_PLACE = ROOT / ".local" / "bench"
_CASES = {
    "registry": ["manifest GET by tag", "blob GET"],
    "token": ["token GET"],
}
# -S and -I: nothing but the layers is importable; -B: what has no bytecode gets none.
_PYTHON = [sys.executable, "-I", "-S", "-B"]
_STARTED = """
import json, sys, time
began = time.process_time()
told = json.load(sys.stdin)
sys.path[:0] = told["path"]
before = time.process_time()
from handler import handler
imported, modules = time.process_time(), len(sys.modules)
sys.path.append(told["root"])
from bench.stand_in import Services, network
from bench.context import Context
services = Services.loaded(told["services"])
output, sys.stdout = sys.stdout, open("/dev/null", "w")
with network(services):
    ready = time.process_time()
    answer = handler(told["event"], Context())
    answered = time.process_time()
assert answer["statusCode"] == told["status"], answer
json.dump({"import": imported - before, "first": answered - ready, "modules": modules}, output)
"""


def measure(note: Callable[[str], None], rounds: int = ROUNDS) -> list[Figure]:
    """Per function the import, its number of modules, and the first request with all that it makes."""
    places = {"with bytecode": _built(note), "without bytecode": _bare()}
    found: dict[tuple[str, str, str], list[dict[str, float]]] = {}
    contestants: dict[str, Callable[[], float]] = {}
    for function, names in _CASES.items():
        for name, told in _told(function, names):
            for state, layers in places.items():
                place = found.setdefault((function, name, state), [])
                contestants[f"{name} {state}"] = _starts(function, told, layers, place)
    alternating(contestants, rounds, note)
    return [figure for case, starts in found.items() for figure in _figures(*case, starts)]


def _figures(function: str, name: str, state: str, starts: list[dict[str, float]]) -> list[Figure]:
    import_bound = "Lambda's init phase; a plain interpreter is not counted"
    figures = [
        Figure(
            PART,
            f"{function}: first {name}, {state}",
            "ms",
            tuple(each["first"] * 1000 for each in starts),
            "credentials and clients are made for it; comes after the import",
        )
    ]
    if name == _CASES[function][0]:
        imports = tuple(each["import"] * 1000 for each in starts)
        figures.insert(0, Figure(PART, f"{function}: import, {state}", "ms", imports, import_bound))
        if state == "with bytecode":
            modules = tuple(each["modules"] for each in starts)
            figures.insert(0, Figure(PART, f"{function}: modules", "", modules, "loaded by the import"))
    return figures


def _told(function: str, names: list[str]) -> list[tuple[str, dict[str, Any]]]:
    """What a new process has to know to answer each request."""
    with world() as (services, made):
        stored = services.stored()
        return [
            (request.name, {"services": stored, "event": request.event, "status": request.status})
            for request in made
            if request.function == function and request.name in names
        ]


def _starts(
    function: str, told: dict[str, Any], layers: Path, place: list[dict[str, float]]
) -> Callable[[], float]:
    path = [str(layers / "functions" / function), str(layers / "python")]
    sent = json.dumps({**told, "path": path, "root": str(ROOT)})

    def run() -> float:
        result = subprocess.run(
            [*_PYTHON, "-c", _STARTED],
            input=sent,
            env={"PATH": os.environ["PATH"], **ENVIRONMENT},
            cwd="/",
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        if result.returncode:
            raise RuntimeError(result.stderr)
        place.append(json.loads(result.stdout))
        return place[-1]["first"]

    return run


def _built(note: Callable[[str], None]) -> Path:
    """Both layers and the functions, built by the layers' own rules for this Python and this processor."""
    place = _PLACE / "built"
    note("building the layers")
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    runtime = f"python{sys.version_info.major}.{sys.version_info.minor}"
    architecture = {"aarch64": "arm64"}.get(platform.machine(), platform.machine())
    for layer, target in (("dependencies", "build-DependenciesLayer"), ("core", "build-CoreLayer")):
        command = ["make", "--silent", "-f", str(ROOT / "layers" / layer / "Makefile"), target]
        variables = {"ARTIFACTS_DIR": place, "RUNTIME": runtime, "ARCHITECTURE": architecture}
        command += [f"{name}={value}" for name, value in variables.items()]
        subprocess.run(
            command,
            cwd=ROOT,
            env={**os.environ, "MAKEFLAGS": ""},
            check=True,
            timeout=300,
            stdout=subprocess.DEVNULL,
        )
    shutil.copytree(ROOT / "functions", place / "functions", ignore=shutil.ignore_patterns("__pycache__"))
    subprocess.run([sys.executable, "-m", "compileall", "-q", place / "functions"], check=True, timeout=60)
    return place


def _bare() -> Path:
    """The same without bytecode."""
    place = _PLACE / "bare"
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(_PLACE / "built", place, ignore=shutil.ignore_patterns("__pycache__"))
    return place
