"""What imports what: arrows point inwards, and a function loads no more than it needs."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
LIBRARY = ROOT / "layers" / "core" / "moorage"

FUNCTIONS = sorted(path.parent.name for path in (ROOT / "functions").glob("*/handler.py"))

# Modules of the library and packages that the modules of a layer may import, beside the standard library.
# `moorage` alone is its version.
LAYERS: dict[str, set[str]] = {
    "domain": {"moorage.domain"},
    "ports": {"moorage.domain", "moorage.ports"},
    "services": {"moorage.domain", "moorage.ports", "moorage.services", "jwt"},
    "web": {
        "moorage",
        "moorage.domain",
        "moorage.ports",
        "moorage.services",
        "moorage.web",
        "aws_lambda_powertools",
        "mangum",
        "starlette",
    },
    "web/management": {
        "moorage",
        "moorage.domain",
        "moorage.ports",
        "moorage.services",
        "moorage.web",
        "fastapi",
        "pydantic",
        "starlette",
    },
    "adapters": {
        "moorage.adapters",
        "moorage.domain",
        "moorage.ports",
        "botocore",
        "cryptography",
        "types_boto3_s3",
        "types_boto3_ssm",
        "urllib3",
    },
}

# Started as Lambda starts a function, it answers an event that needs no dependency and says what it has loaded.
STARTED = """
import json, sys
before = set(sys.modules)
import handler
imported = set(sys.modules) - before
event = json.load(sys.stdin)
answer = None
if event is not None:
    context = type("Context", (), {
        "function_name": "f", "memory_limit_in_mb": 128, "invoked_function_arn": "arn", "aws_request_id": "1",
        "get_remaining_time_in_millis": lambda self: 1000,
    })()
    answer = handler.handler(event, context)
after = set(sys.modules) - before
print(json.dumps({"imported": sorted(imported), "used": sorted(after), "answer": answer}))
"""


def imports(source: str, package: str) -> Iterator[str]:
    """Dotted names that a module imports, wherever in it."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                yield ".".join([*package.split(".")[: -node.level + 1 or None], node.module or ""])
            elif node.module in ("moorage", "moorage.adapters"):
                # What is imported from a package may be a module of it.
                yield from (f"{node.module}.{alias.name}" for alias in node.names)
            else:
                yield node.module or ""


def forbidden(source: str, package: str, allowed: set[str]) -> set[str]:
    """Imports that are neither of the standard library nor allowed."""
    return {
        name
        for name in imports(source, package)
        if name.split(".")[0] not in sys.stdlib_module_names
        and not any(name == each or (each != "moorage" and name.startswith(f"{each}.")) for each in allowed)
        and not (name.startswith("moorage.__") and "moorage" in allowed)
    }


def modules(layer: str) -> list[Path]:
    """Its modules, without those of a layer inside it."""
    inner = [LIBRARY / other for other in LAYERS if other.startswith(f"{layer}/")]
    found = sorted((LIBRARY / layer).rglob("*.py"))
    return [path for path in found if not any(path.is_relative_to(each) for each in inner)]


@pytest.mark.parametrize("layer", LAYERS)
def test_arrows_point_inwards(layer: str) -> None:
    found = {}
    for path in modules(layer):
        package = ".".join(("moorage", *path.relative_to(LIBRARY).parent.parts))
        found[str(path.relative_to(LIBRARY))] = forbidden(path.read_text("utf-8"), package, LAYERS[layer])
    assert found
    assert {path: names for path, names in found.items() if names} == {}


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("import botocore.session", "botocore.session"),
        ("def f():\n    from starlette.responses import Response", "starlette.responses"),
        ("from moorage.adapters import keys", "moorage.adapters.keys"),
        ("from moorage import adapters", "moorage.adapters"),
        ("from moorage.ports import Clock", "moorage.ports"),
        ("from ..services import pull", "moorage.services"),
    ],
)
def test_an_outward_arrow_is_found(source: str, name: str) -> None:
    assert forbidden(source, "moorage.domain", LAYERS["domain"]) == {name}


def test_every_module_of_the_library_belongs_to_a_layer() -> None:
    known = {
        *(layer.partition("/")[0] for layer in LAYERS),
        "bootstrap",
        "admin.py",
        "__init__.py",
        "py.typed",
        "__pycache__",
    }
    assert {path.name for path in LIBRARY.iterdir()} <= known


SETTINGS = {
    "TABLE_NAME": "table",
    "BUCKET_NAME": "bucket",
    "SIGNING_KEY_PARAMETER": "/signing-key",
    "LOG_LEVEL": "ERROR",
    "AWS_REGION": "us-east-1",
}


def start(function: str, event: object = None, settings: Mapping[str, str] = SETTINGS) -> Any:
    """What a function has loaded after its import, and after one event, with its answer."""
    result = subprocess.run(
        [sys.executable, "-c", STARTED],
        cwd="/",
        input=json.dumps(event),
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": f"{ROOT / 'functions' / function}{os.pathsep}{ROOT / 'layers' / 'core'}",
            **settings,
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout.splitlines()[-1])


def packages(names: list[str]) -> set[str]:
    return {name.split(".")[0] for name in names}


@pytest.mark.parametrize(
    ("function", "event", "status"),
    [("registry", "http-api-registry-base", 401), ("token", "http-api-token-head", 405)],
)
def test_functions_that_a_user_waits_for_load_no_heavy_package(
    function: str, event: str, status: int
) -> None:
    loaded = start(function, json.loads((ROOT / "events" / f"{event}.json").read_text("utf-8")))
    assert loaded["answer"]["statusCode"] == status
    assert not packages(loaded["used"]) & {"fastapi", "pydantic", "boto3", "s3transfer", "requests", "yaml"}
    assert {"starlette", "mangum", "moorage"} <= packages(loaded["used"])


def test_token_never_loads_the_object_store() -> None:
    used = start("token", json.loads((ROOT / "events" / "http-api-token-head.json").read_text("utf-8")))[
        "used"
    ]
    assert "moorage.adapters.s3" not in used
    assert "moorage.adapters.ssm" in used


@pytest.mark.parametrize("function", [name for name in FUNCTIONS if name != "management"])
def test_only_management_loads_the_framework_that_describes_its_api(function: str) -> None:
    assert not packages(start(function)["imported"]) & {"fastapi", "pydantic"}


@pytest.mark.parametrize("function", FUNCTIONS)
def test_nothing_is_read_from_the_environment_at_import(function: str) -> None:
    assert "moorage" in packages(start(function, settings={})["imported"])


# A tenth above what they were when this was written: 500, 487 and 384 with Python 3.11.
@pytest.mark.parametrize(("function", "most"), [("registry", 560), ("token", 550), ("secrets", 430)])
def test_number_of_modules_is_bounded(function: str, most: int) -> None:
    imported = start(function)["imported"]
    print(f"{function}: {len(imported)} modules at import")
    assert 100 < len(imported) <= most


def test_handlers_import_nothing_but_their_composition_root() -> None:
    for function in FUNCTIONS:
        source = (ROOT / "functions" / function / "handler.py").read_text("utf-8")
        names = set(imports(source, ""))
        assert names - {"functools", "os", "typing"} == {"moorage.bootstrap"}, function
