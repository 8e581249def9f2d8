"""CloudFront Functions: runs their code in QuickJS, with what their runtime offers and nothing else.

Each call has an engine of its own, as nothing that a function leaves behind is there the next time. QuickJS
takes more of the language than CloudFront does; the tests of the functions run in a second engine for that.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import quickjs  # type: ignore[import-untyped]

from local import limits

if TYPE_CHECKING:
    from collections.abc import Callable

_RUNTIME = Path(__file__).with_name("edge_runtime.js").read_text("utf-8")
_IMPORT = re.compile(r"^import\s+(\w+)\s+from\s+['\"](\w+)['\"];?[ \t]*$", re.MULTILINE)
_MODULES = {"crypto", "cloudfront"}
# CloudFront gives 2 MB, but to another engine. A time limit would keep the engine from calling its host.
_MEMORY_BYTES = 16 * 1024 * 1024
_STEPS = 10_000


class EdgeError(Exception):
    """A function cannot be run, or has failed."""


class Store(Protocol):
    """A KeyValueStore as a function sees it."""

    async def get(self, key: str) -> str | None:
        """The value, or None when there is no such key."""

    async def count(self) -> int:
        """How many keys there are."""


class EdgeFunction:
    """One function; `call` runs it."""

    def __init__(
        self, name: str, code: str, store: Store | None = None, log: Callable[[str], None] = lambda _: None
    ) -> None:
        """`log` gets the lines that the function prints.

        Raises:
            EdgeError: the code is too large, or imports what there is not.
        """
        size = len(code.encode())
        if size > limits.EDGE_CODE_BYTES:
            raise EdgeError(f"{name} has {size} bytes, more than {limits.EDGE_CODE_BYTES}")
        if unknown := {module for _, module in _IMPORT.findall(code)} - _MODULES:
            raise EdgeError(f"{name} imports {', '.join(sorted(unknown))}, which there is not")
        self.name = name
        # On the same lines, so that errors name the lines of the source.
        self._code = _IMPORT.sub(r"const \1 = __modules.\2;", code)
        self._store = store
        self._log = log
        self._compile(_Call(store, log))

    async def call(self, event: dict[str, Any]) -> Any:
        """What the function returns for this event; `rawQueryString` of its request is the text or None.

        Raises:
            EdgeError: it threw, took too long, or has not settled.
        """
        call = _Call(self._store, self._log)
        context, runtime = self._compile(call)
        try:
            runtime(context.eval("handler"), json.dumps(event))
            await self._settle(call, context, runtime)
        except quickjs.JSException as error:
            raise EdgeError(f"{self.name}: {error}") from error
        if call.result is None:
            raise EdgeError(f"{self.name} did not come to an end")
        result = json.loads(call.result)
        if "error" in result:
            raise EdgeError(f"{self.name}: {result['error']}")
        return result.get("value")

    async def _settle(self, call: _Call, context: Any, runtime: Any) -> None:
        for _ in range(_STEPS):
            if context.execute_pending_job():
                continue
            if not call.asked:
                return
            number, operation, key = call.asked.pop(0)
            runtime(number, json.dumps(await call.answer(operation, key)))

    def _compile(self, call: _Call) -> tuple[Any, Any]:
        context = quickjs.Context()
        context.set_memory_limit(_MEMORY_BYTES)
        try:
            context.eval("globalThis.__host = {}")
            for name in ("toHex", "fromHex", "digest", "ask", "hasStore", "log", "done"):
                context.add_callable(f"__{name}", getattr(call, name))
                context.eval(f"__host.{name} = globalThis.__{name}; delete globalThis.__{name};")
            runtime = context.eval(_RUNTIME)
            context.eval(self._code)
            if context.eval("typeof handler") != "function":
                raise EdgeError(f"{self.name} has no function handler")
        except quickjs.JSException as error:
            raise EdgeError(f"{self.name}: {error}") from error
        return context, runtime


class _Call:
    """What the runtime asks of its host during one call.

    Nothing here may raise: the engine does not pass it on.
    """

    def __init__(self, store: Store | None, log: Callable[[str], None]) -> None:
        self._store = store
        self.log = log
        self.asked: list[tuple[int, str, str]] = []
        self.result: str | None = None

    def done(self, result: str) -> None:
        self.result = result

    def ask(self, number: int, operation: str, key: str) -> None:
        self.asked.append((int(number), operation, key))

    def hasStore(self) -> bool:  # noqa: N802 - as the runtime calls it
        return self._store is not None

    async def answer(self, operation: str, key: str) -> dict[str, Any]:
        try:
            if self._store is None:
                return {"error": "no store"}
            if operation == "count":
                return {"value": await self._store.count()}
            value = await self._store.get(key)
        except Exception as error:  # noqa: BLE001 - whatever it is, the function gets to know of it
            return {"error": str(error) or type(error).__name__}
        if operation == "exists":
            return {"value": value is not None}
        return {"error": "KeyNotFound"} if value is None else {"value": value}

    @staticmethod
    def toHex(text: str, encoding: str) -> str:  # noqa: N802
        """Lenient, as the runtime's Buffer is: what is no such encoding ends the bytes."""
        if encoding == "hex":
            found = re.match(r"(?:[0-9a-fA-F]{2})*", text)
            return found[0].lower() if found else ""
        plain = re.sub(r"[^A-Za-z0-9+/]", "", text.replace("-", "+").replace("_", "/"))
        try:
            return base64.b64decode(plain + "=" * (-len(plain) % 4)).hex()
        except binascii.Error:
            return ""

    @staticmethod
    def fromHex(data: str, encoding: str) -> str:  # noqa: N802
        content = bytes.fromhex(data)
        if encoding == "hex":
            return data
        if encoding == "utf8":
            return content.decode("utf-8", "replace")
        text = (base64.urlsafe_b64encode if encoding == "base64url" else base64.b64encode)(content).decode()
        return text.rstrip("=") if encoding == "base64url" else text

    @staticmethod
    def digest(algorithm: str, key: str | None, data: str) -> str:
        content = bytes.fromhex(data)
        if key is None:
            return hashlib.new(algorithm, content).hexdigest()
        return hmac.new(bytes.fromhex(key), content, algorithm).hexdigest()
