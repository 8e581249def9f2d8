"""The stack's distribution, ready to be served on this machine."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from local import distribution_reader
from local.cloudfront import CloudFront
from local.edge import EdgeError, EdgeFunction
from local.edge_cache import EdgeCache
from local.intrinsics import TemplateError
from local.key_value_stores import KeyValueStore
from local.s3_origin import S3Origin

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from local.distribution import FunctionDeclaration
    from local.emulators import Emulators
    from local.state import StateFolder
    from local.template import Stack
    from local.web_functions import WebFunction


def cloudfront(
    stack: Stack,
    state: StateFolder,
    emulators: Emulators,
    *,
    listener: socket.socket,
    api_port: int,
    drop_checksum: bool,
    web_functions: Mapping[str, WebFunction] = MappingProxyType({}),
) -> CloudFront:
    """The distribution of a stack that has one, at this listener. `web_functions` are by their endpoints.

    Raises:
        TemplateError: it says what the local cloud does not understand, or a function cannot be run.
    """
    declared = distribution_reader.declared(stack)
    if declared is None:
        raise TemplateError("the template declares no distribution")
    storage = S3Origin(
        emulators.s3_endpoint_url.removeprefix("http://"),
        emulators.access_key,
        emulators.secret_key,
        emulators.region,
        drop_checksum=drop_checksum,
    )
    functions = {
        arn: _function(function, emulators, state.folder("logs") / f"{function.logical_id}.log")
        for arn, function in declared.functions.items()
    }
    cache = EdgeCache(state.folder("edge-cache"))
    return CloudFront(
        *(listener, declared, functions),
        api_port=api_port,
        storage=storage,
        web_functions=web_functions,
        cache=cache,
    )


def _function(declared: FunctionDeclaration, emulators: Emulators, log: Path) -> EdgeFunction:
    store = KeyValueStore(emulators.aws_endpoint_url, declared.store_arn) if declared.store_arn else None
    try:
        return EdgeFunction(declared.logical_id, declared.code, store, _writer(log))
    except EdgeError as error:
        raise TemplateError(str(error)) from error


def _writer(log: Path) -> Callable[[str], None]:
    def write(line: str) -> None:
        with log.open("a", encoding="utf-8") as output:
            output.write(f"{line}\n")

    return write
