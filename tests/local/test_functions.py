"""Functions run as in Lambda: alone in their process, with nothing but what they were given."""

import asyncio
import json
import sys
import time

import pytest

from local.functions import EventTooLargeError, FunctionError, Pool
from local.limits import FUNCTION_PAYLOAD_BYTES
from local.processes import StartError
from tests.local.conftest import toy_function


def run(tmp_path, *paths, size=2, together=False, **changes):
    """What a pool answers to events with these paths; an exception in place of an answer that is none."""

    async def invoke_all():
        pool = Pool(toy_function(**changes), tmp_path / "log", size)
        calls = [pool.invoke(event(path)) for path in paths]
        try:
            if together:
                return await asyncio.gather(*calls, return_exceptions=True)
            return [(await asyncio.gather(call, return_exceptions=True))[0] for call in calls]
        finally:
            await pool.close()

    return [
        json.loads(json.loads(answer)["body"]) if isinstance(answer, bytes) else answer
        for answer in asyncio.run(invoke_all())
    ]


def event(path):
    path, _, query = path.partition("?")
    return {
        "rawPath": path,
        "queryStringParameters": dict(pair.split("=") for pair in query.split("&") if pair),
    }


def test_environment_is_what_lambda_and_the_template_give(tmp_path, monkeypatch):
    monkeypatch.setenv("HOST_SECRET", "leaks")
    monkeypatch.setenv("PYTHONPATH", "/leaks")
    (answer,) = run(tmp_path, "/environment")
    variables = answer["variables"]
    assert variables["TABLE_NAME"] == "table"
    assert variables["AWS_LAMBDA_FUNCTION_NAME"] == "toy"
    assert variables["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"] == "512"
    assert variables["_HANDLER"] == "handler.handler"
    assert variables["LAMBDA_TASK_ROOT"] == str(toy_function().folder)
    assert variables.keys() - {"LC_CTYPE"} == {
        "AWS_EXECUTION_ENV",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
        "AWS_LAMBDA_FUNCTION_NAME",
        "AWS_LAMBDA_FUNCTION_VERSION",
        "AWS_LAMBDA_INITIALIZATION_TYPE",
        "AWS_LAMBDA_LOG_GROUP_NAME",
        "AWS_LAMBDA_LOG_STREAM_NAME",
        "LAMBDA_TASK_ROOT",
        "LANG",
        "PATH",
        "TABLE_NAME",
        "TZ",
        "_HANDLER",
    }


def test_nothing_of_the_project_can_be_imported_but_what_is_on_the_path(tmp_path):
    layer = tmp_path / "layer"
    (layer / "given").mkdir(parents=True)
    (layer / "given" / "__init__.py").touch()
    names = ("given", "pytest", "samtranslator", "moorage", "local")
    answers = run(tmp_path, *(f"/imported?name={name}" for name in names), path=[layer])
    assert [answer["missing"] for answer in answers] == [None, "pytest", "samtranslator", "moorage", "local"]


def test_context_is_that_of_lambda(tmp_path):
    (context,) = run(tmp_path, "/context")
    assert context["function_name"] == "toy"
    assert context["memory_limit_in_mb"] == "512"
    assert context["function_version"] == "$LATEST"
    assert context["invoked_function_arn"] == toy_function().arn
    assert len(context["aws_request_id"]) == 36
    assert 3000 < context["left"] <= 4000


def test_worker_is_kept_from_one_event_to_the_next(tmp_path):
    first, second = run(tmp_path, "/environment", "/environment")
    assert first["pid"] == second["pid"]
    assert (first["calls"], second["calls"]) == (1, 2)


def test_worker_that_raised_is_kept_as_in_lambda(tmp_path):
    first, error, second = run(tmp_path, "/environment", "/failure", "/environment")
    assert isinstance(error, FunctionError)
    assert first["pid"] == second["pid"]
    assert "on purpose" in (tmp_path / "log").read_text("utf-8")


def test_pool_grows_to_its_bound_and_no_further(tmp_path):
    answers = run(tmp_path, *["/sleep?s=0.3"] * 5, size=2, together=True)
    assert len({answer["pid"] for answer in answers}) == 2


@pytest.mark.parametrize("way", ["/crash", "/leave"])
def test_worker_that_ends_is_replaced(tmp_path, way):
    first, error, second = run(tmp_path, "/environment", way, "/environment")
    assert "the process ended" in (tmp_path / "log").read_text("utf-8")
    assert isinstance(error, FunctionError)
    assert first["pid"] != second["pid"]


def test_worker_that_takes_too_long_is_killed_and_replaced(tmp_path):
    start = time.monotonic()
    first, error, second = run(tmp_path, "/environment", "/sleep?s=60", "/environment", timeout=1)
    assert time.monotonic() - start < 10
    assert isinstance(error, FunctionError)
    assert "timed out" in str(error)
    assert "timed out after 1 s" in (tmp_path / "log").read_text("utf-8")
    assert first["pid"] != second["pid"]


def test_event_beyond_the_limit_never_reaches_the_function(tmp_path):
    async def invoke(size):
        pool = Pool(toy_function(), tmp_path / "log", 1)
        try:
            return await pool.invoke({"rawPath": "/measure", "pad": "x" * size})
        finally:
            await pool.close()

    fixed = len(json.dumps({"rawPath": "/measure", "pad": ""}, separators=(",", ":")))
    answer = json.loads(asyncio.run(invoke(FUNCTION_PAYLOAD_BYTES - fixed)))
    assert json.loads(answer["body"]) == {"size": FUNCTION_PAYLOAD_BYTES}
    with pytest.raises(EventTooLargeError):
        asyncio.run(invoke(FUNCTION_PAYLOAD_BYTES - fixed + 1))


def test_handler_that_cannot_be_imported_is_said_at_the_start(tmp_path):
    async def warm():
        pool = Pool(toy_function(folder=toy_function().folder.with_name("broken")), tmp_path / "log", 1)
        try:
            await pool.warm()
        finally:
            await pool.close()

    with pytest.raises(StartError, match=r"handler\.handler.*log"):
        asyncio.run(warm())
    assert "this function cannot be imported" in (tmp_path / "log").read_text("utf-8")


def test_execution_environment_names_the_python_that_runs(tmp_path):
    (answer,) = run(tmp_path, "/environment")
    version = f"{sys.version_info[0]}.{sys.version_info[1]}"
    assert answer["variables"]["AWS_EXECUTION_ENV"] == f"AWS_Lambda_python{version}"
    assert answer["path"][0] == str(toy_function().folder)


def test_every_name_below_localhost_is_this_machine(tmp_path):
    (found,) = run(tmp_path, "/resolve?host=000000000000.LOCALHOST.")
    assert found == ["127.0.0.1", 80]
    (failure,) = run(tmp_path, "/resolve?host=notlocalhost")
    assert isinstance(failure, FunctionError)
