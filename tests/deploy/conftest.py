"""One emulator with one deployed stack for all tests of this folder."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from local import ports
from local.emulators import await_ready_at, ministack_settings
from local.processes import Child
from tests.deploy.proxy import Proxy
from tests.deploy.stack import ROOT, Stack, ask_runtime

EMULATORS = ROOT / ".venv-emulators" / "bin" / "python"
ADMIN = ROOT / ".venv" / "bin" / "moorage-admin"


@dataclass(frozen=True)
class Registry:
    """The deployed registry, as a client reaches it."""

    stack: Stack
    proxy: Proxy
    host: str
    key: str

    @property
    def image(self) -> str:
        return f"docker://{self.host}/demo/hello"

    def skopeo(self, *arguments: str) -> str:
        """Run skopeo with the account's key; what it prints."""
        return self._run("skopeo", "--insecure-policy", *arguments)

    def oras(self, verb: str, key: str, *arguments: str, folder: Path) -> str:
        """Run oras with a key, in a folder of files; what it prints."""
        login = ("--plain-http", "--username", "<token>", "--password-stdin")
        return self._run(os.environ["ORAS"], verb, *login, *arguments, folder=folder, secret=key)

    def _run(self, *command: str, folder: Path | None = None, secret: str = "") -> str:
        result = subprocess.run(
            command,
            cwd=folder,
            env={**self.stack.environment, "http_proxy": self.proxy.url, "https_proxy": self.proxy.url},
            input=secret,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=180,
            check=False,
        )
        assert result.returncode == 0, result.stdout
        return result.stdout


@pytest.fixture(scope="session")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The endpoint of a ministack without its own registry, whose functions see nothing of it."""
    folder = tmp_path_factory.mktemp("emulator")
    (port,) = ports.free(1)
    settings = ministack_settings(folder, port) | {"S3_DATA_DIR": str(folder / "s3")}
    function_python = folder / "function-python"
    own = " ".join(settings.keys() - {"TMPDIR", "AWS_DEFAULT_REGION"})
    interpreter = ask_runtime("sys.executable")
    # -I and -S: no directory of the script, no site-packages, no PYTHON* variables.
    function_python.write_text(
        "#!/bin/sh\n"
        f"unset FUNCTION_PYTHON {own}\n"
        f"export AWS_ENDPOINT_URL_CLOUDFRONT_KEYVALUESTORE=http://localhost:{port}\n"
        f'exec "{interpreter}" -I -S "{Path(__file__).with_name("function.py")}" "$@"\n'
    )
    function_python.chmod(0o755)
    child = Child(
        "ministack",
        [EMULATORS, "-I", Path(__file__).with_name("launcher.py")],
        settings | {"PATH": "/usr/bin:/bin", "FUNCTION_PYTHON": str(function_python)},
        folder,
    )
    try:
        endpoint = f"http://{ports.LOOPBACK}:{port}"
        await_ready_at(child, f"{endpoint}/_ministack/health")
        yield endpoint
    finally:
        child.terminate()
        child.wait()


@pytest.fixture(scope="session")
def stack(emulator: str, tmp_path_factory: pytest.TempPathFactory) -> Stack:
    """The stack, built and deployed."""
    stack = Stack(emulator, tmp_path_factory.mktemp("sam"))
    stack.build()
    stack.deploy()
    return stack


@pytest.fixture(scope="session")
def admin(stack: Stack) -> Callable[..., Any]:
    """Runs ``moorage-admin`` against the deployed table; what it answers."""

    def run(*arguments: str) -> Any:
        result = subprocess.run(
            [ADMIN, "--table", stack.outputs()["TableName"], *arguments],
            env=stack.environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert result.returncode == 0, result.stderr
        return json.loads(result.stdout)

    return run


@pytest.fixture(scope="session")
def registry(stack: Stack, admin: Callable[..., Any]) -> Iterator[Registry]:
    """The registry behind a proxy, and a key of a service account that may do everything."""
    admin("organisation", "create", "demo")
    admin("serviceaccount", "create", "demo", "pusher", "--group", "superusers")
    key = admin("key", "create", "demo", "pusher", "laptop")["key"]
    port = int(stack.endpoint.rsplit(":", 1)[1])
    host = f"{stack.resources()['Api']}.execute-api.localhost:{port}"
    with Proxy(port) as proxy:
        thread = Thread(target=proxy.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield Registry(stack, proxy, host, key)
        proxy.shutdown()
        thread.join()
