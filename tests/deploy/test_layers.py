"""What `sam build` made of the two layers."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.deploy.stack import Stack, ask_runtime

# PEP 552: the flags after the magic number of a file that is valid whatever its source says.
UNCHECKED_HASH = (1).to_bytes(4, "little")

UNUSED = {"boto3", "pydantic", "pip", "setuptools", "pytest", "pycparser", "yaml", "fastapi"}


@pytest.fixture
def core(stack: Stack) -> Path:
    return stack.folder / "build" / "CoreLayer" / "python"


@pytest.fixture
def dependencies(stack: Stack) -> Path:
    return stack.folder / "build" / "DependenciesLayer" / "python"


def megabytes(folder: Path) -> float:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6


@pytest.mark.parametrize("name", ["core", "dependencies"])
def test_each_module_has_bytecode_of_the_runtime_that_is_never_checked(
    name: str, request: pytest.FixtureRequest
) -> None:
    folder: Path = request.getfixturevalue(name)
    modules = sorted(folder.rglob("*.py"))
    assert modules
    magic = bytes.fromhex(ask_runtime("importlib.util.MAGIC_NUMBER.hex()"))
    tag = ask_runtime("sys.implementation.cache_tag")
    for module in modules:
        compiled = (module.parent / "__pycache__" / f"{module.stem}.{tag}.pyc").read_bytes()
        assert compiled[:4] == magic, module
        assert compiled[4:8] == UNCHECKED_HASH, module
    assert b"/opt/python/" in compiled
    assert str(folder).encode() not in compiled


def test_library_is_whole_but_for_what_only_developers_use(core: Path) -> None:
    assert [path.name for path in core.iterdir()] == ["moorage"]
    assert not list(core.rglob("admin*"))
    assert not (core / "moorage" / "adapters" / "memory").exists()
    for part in ("domain", "services", "adapters", "web", "bootstrap"):
        assert list((core / "moorage" / part).glob("*.py")), part
    print(f"core layer: {megabytes(core):.1f} MB")
    assert megabytes(core) < 5


def test_dependencies_are_those_of_the_lock_file_and_no_more(dependencies: Path) -> None:
    found = {path.name for path in dependencies.iterdir()}
    assert {"botocore", "cryptography", "jwt", "mangum", "starlette", "aws_lambda_powertools"} <= found
    assert not found & UNUSED
    services = {path.name for path in (dependencies / "botocore" / "data").iterdir() if path.is_dir()}
    assert services == {"cloudfront-keyvaluestore", "dynamodb", "s3", "ssm"}
    print(f"dependency layer: {megabytes(dependencies):.1f} MB")
    assert megabytes(dependencies) < 45


def test_functions_are_their_handlers_alone_but_for_those_with_packages_of_their_own(stack: Stack) -> None:
    packages = {
        folder.name: {path.name for path in folder.iterdir()}
        for folder in (stack.folder / "build").glob("*Function")
    }
    secrets = packages.pop("SecretsFunction")
    assert {"handler.py", "awscrt", "_awscrt.abi3.so"} <= secrets
    assert {name for name in secrets if not name.endswith(".dist-info")} == {
        *("handler.py", "awscrt", "_awscrt.abi3.so", "__pycache__")
    }
    management = {name for name in packages.pop("ManagementFunction") if not name.endswith(".dist-info")}
    assert {"handler.py", "fastapi", "pydantic", "pydantic_core"} <= management
    assert not management & {"starlette", "anyio", "typing_extensions.py", "botocore"}
    assert set(map(frozenset, packages.values())) == {frozenset({"handler.py"})}
