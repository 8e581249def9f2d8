"""Functions as the template declares them, and the worker processes that run them."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
import uuid
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from local import limits
from local.processes import StartError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from local.traffic import Traffic

_LENGTH_BYTES = 4
# Lambda gives 10 s; here all workers may start at once on a busy machine.
_IMPORT_SECONDS = 60
_WORKER = Path(__file__).with_name("worker.py")


class FunctionError(Exception):
    """An invocation brought no answer; the message says why, the function's log says more."""


class EventTooLargeError(FunctionError):
    """The event exceeds what a function can be given."""


@dataclass(frozen=True)
class Function:
    """What the platform knows of a function."""

    name: str
    arn: str
    handler: str
    folder: Path
    path: Sequence[Path]
    """Where its modules are searched after its own folder: layers first."""
    environment: Mapping[str, str]
    timeout: float
    memory_mb: int
    log_group: str

    def runtime_environment(self, log_stream: str) -> dict[str, str]:
        """Exactly the variables that a worker gets: the template's, and those that Lambda sets."""
        return {
            "AWS_EXECUTION_ENV": f"AWS_Lambda_python{sys.version_info[0]}.{sys.version_info[1]}",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(self.memory_mb),
            "AWS_LAMBDA_FUNCTION_NAME": self.name,
            "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
            "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
            "AWS_LAMBDA_LOG_GROUP_NAME": self.log_group,
            "AWS_LAMBDA_LOG_STREAM_NAME": log_stream,
            "LAMBDA_TASK_ROOT": str(self.folder),
            "LANG": "en_US.UTF-8",
            "PATH": os.defpath,
            "TZ": ":UTC",
            "_HANDLER": self.handler,
            **self.environment,
        }


class Pool:
    """The workers of one function: one event at a time each, more of them while all are busy."""

    def __init__(self, function: Function, log: Path, size: int, traffic: Traffic | None = None) -> None:
        self.function = function
        self.log = log
        self._traffic = traffic
        self._idle: list[_Worker] = []
        self._all: set[_Worker] = set()
        self._free = asyncio.Semaphore(size)

    async def warm(self) -> None:
        """Start one worker and wait until it has imported the handler.

        Raises:
            StartError: it could not.
        """
        try:
            self._release(await self._take())
        except FunctionError as error:
            raise StartError(f"{self.function.name}: {error}; its output is in {self.log}") from error

    async def invoke(self, event: Any, request_id: str | None = None) -> bytes:
        """The function's answer to an event, as JSON.

        Raises:
            EventTooLargeError: the event was not given to the function.
            FunctionError: the function raised, ended, ran out of time or answered with too much.
        """
        payload = json.dumps(event, ensure_ascii=False, separators=(",", ":")).encode(
            "utf-8", "surrogatepass"
        )
        if len(payload) > limits.FUNCTION_PAYLOAD_BYTES:
            raise EventTooLargeError(f"the event has {len(payload)} bytes")
        request_id = request_id or str(uuid.uuid4())
        try:
            async with self._free:
                return await self._exchange(payload, request_id)
        except FunctionError as error:
            # Beside what the function itself has printed, as the platform does.
            with self.log.open("a", encoding="utf-8") as log:
                log.write(f"{request_id} {error}\n")
            raise

    async def _exchange(self, payload: bytes, request_id: str) -> bytes:
        worker = await self._take()
        if self._traffic:
            self._traffic.count(payload)
        try:
            async with asyncio.timeout(self.function.timeout):
                answer = await worker.exchange(payload, request_id)
        except TimeoutError:
            self._discard(worker)
            raise FunctionError(f"timed out after {self.function.timeout:g} s") from None
        except (ConnectionError, asyncio.IncompleteReadError) as error:
            self._discard(worker)
            raise FunctionError("the process ended") from error
        except asyncio.CancelledError:
            self._discard(worker)
            raise
        except FunctionError:
            self._release(worker)
            raise
        self._release(worker)
        if len(answer) > limits.FUNCTION_PAYLOAD_BYTES:
            raise FunctionError(f"the answer has {len(answer)} bytes")
        return answer

    async def close(self) -> None:
        """End all workers."""
        workers, self._all = self._all, set()
        for worker in workers:
            worker.close()
        await asyncio.gather(*(worker.ended() for worker in workers))

    async def _take(self) -> _Worker:
        if self._idle:
            return self._idle.pop()
        worker = _Worker(self.function, self.log)
        self._all.add(worker)
        try:
            await worker.ready()
        except BaseException:
            self._discard(worker)
            raise
        return worker

    def _release(self, worker: _Worker) -> None:
        self._idle.append(worker)

    def _discard(self, worker: _Worker) -> None:
        self._all.discard(worker)
        worker.kill()


class _Worker:
    """One worker process and the socket to it."""

    def __init__(self, function: Function, log: Path) -> None:
        self._function = function
        ours, theirs = socket.socketpair()
        self._socket = ours
        path = [str(function.folder), *map(str, function.path)]
        with theirs, log.open("ab") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", _WORKER, str(theirs.fileno()), json.dumps(path)],
                env=function.runtime_environment(
                    f"{time.strftime('%Y/%m/%d')}/[$LATEST]{secrets.token_hex(16)}"
                ),
                cwd=function.folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )

    async def ready(self) -> None:
        """Wait for the handler to be imported.

        Raises:
            FunctionError: the import failed.
        """
        self._reader, self._writer = await asyncio.open_connection(
            sock=self._socket, limit=limits.FUNCTION_PAYLOAD_BYTES
        )
        try:
            async with asyncio.timeout(_IMPORT_SECONDS):
                await self._receive()
        except (ConnectionError, TimeoutError, asyncio.IncompleteReadError) as error:
            raise FunctionError(f"cannot import {self._function.handler}") from error

    async def exchange(self, event: bytes, request_id: str) -> bytes:
        """Give the worker an event and wait for its answer.

        Raises:
            FunctionError: the handler raised.
        """
        envelope = {
            "aws_request_id": request_id,
            "invoked_function_arn": self._function.arn,
            "deadline": time.time() + self._function.timeout,
        }
        for frame in (json.dumps(envelope).encode(), event):
            self._writer.write(len(frame).to_bytes(_LENGTH_BYTES, "big"))
            self._writer.write(frame)
        await self._writer.drain()
        header = json.loads(await self._receive())
        payload = await self._receive()
        if header["error"] is not None:
            raise FunctionError(f"{header['error']} was raised")
        return payload

    def close(self) -> None:
        """Let the worker end by itself."""
        self._writer.close()

    def kill(self) -> None:
        """End the worker at once, and whatever it started."""
        if hasattr(self, "_writer"):
            self._writer.close()
        else:
            self._socket.close()
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    async def ended(self) -> None:
        """Wait for a closed worker to end, and kill it when it does not."""
        try:
            await asyncio.to_thread(self._process.wait, 2)
        except subprocess.TimeoutExpired:
            self.kill()

    async def _receive(self) -> bytes:
        size = await self._reader.readexactly(_LENGTH_BYTES)
        return await self._reader.readexactly(int.from_bytes(size, "big"))
