"""JSON and YAML documents, from files and standard input and back."""

from __future__ import annotations

import contextlib
import json
import math
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from moorage_cli.errors import Misused

MAX_BYTES = 16 * 1024 * 1024
MAX_DEPTH = 100
MAX_VALUES = 1_000_000


@dataclass(frozen=True, slots=True)
class Document:
    """A document of a text: which one it is, and the line that it begins in, both counted from 1."""

    content: Any
    number: int
    line: int


class _Loader(yaml.SafeLoader):
    """YAML with the scalars of JSON: dates stay texts, and a key stands once in a map."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:  # noqa: FBT001, FBT002
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str):
                raise yaml.constructor.ConstructorError(None, None, "a key is no text", key_node.start_mark)
            if key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key!r} stands there twice", key_node.start_mark
                )
            seen.add(key)
        return super().construct_mapping(node, deep=deep)


class _Dumper(yaml.SafeDumper):
    """Writes no anchors, which people would have to follow by hand."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002
        return True


# The scalars of YAML 1.2, which are those of JSON: `no`, `12:30`, `010` and dates are texts or plain numbers.
_SCALARS = (
    ("tag:yaml.org,2002:bool", re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), "tTfF"),
    ("tag:yaml.org,2002:int", re.compile(r"^[-+]?[0-9]+$"), "-+0123456789"),
    (
        "tag:yaml.org,2002:float",
        re.compile(r"^[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?$"),
        "-+.0123456789",
    ),
)


def _number(loader: _Loader, node: yaml.ScalarNode) -> int | float:
    text = str(loader.construct_scalar(node))
    number = int(text) if node.tag.endswith(":int") else float(text)
    if not math.isfinite(number):
        raise yaml.constructor.ConstructorError(None, None, "a number is too large", node.start_mark)
    return number


_OLD = tuple(f"tag:yaml.org,2002:{name}" for name in ("bool", "int", "float", "timestamp", "merge", "value"))
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag not in _OLD]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
for _tag, _pattern, _first in _SCALARS:
    _Loader.add_implicit_resolver(_tag, _pattern, list(_first))
    # What either version of YAML would take for something else is written in quotes.
    _Dumper.add_implicit_resolver(_tag, _pattern, list(_first))
for _name in ("int", "float"):
    _Loader.add_constructor(f"tag:yaml.org,2002:{_name}", _number)


def read_text(source: str) -> str:
    """What is in the file ``source``, or on standard input for ``-``.

    Raises:
        Misused: it cannot be read, is no UTF-8, or is too large.
    """
    name = "standard input" if source == "-" else source
    try:
        if source == "-":
            content = sys.stdin.buffer.read(MAX_BYTES + 1)
        else:
            with Path(source).open("rb") as file:
                content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise Misused(f"{name} cannot be read: {error.strerror}") from error
    if len(content) > MAX_BYTES:
        raise Misused(f"{name} is larger than {MAX_BYTES // 1024 // 1024} MiB")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Misused(f"{name} is not UTF-8 text") from error


def parse_documents(text: str, name: str) -> list[Any]:
    """All documents of a JSON or YAML text (JSON is YAML), without empty ones; ``name`` is for errors.

    Raises:
        Misused: it is neither; says which document, and the line.
    """
    return [document.content for document in placed_documents(text, name)]


def placed_documents(text: str, name: str) -> Iterator[Document]:
    """The same one after the other, with where each stands; those before an error are given, too.

    Raises:
        Misused: as of ``parse_documents``.
    """
    if text.lstrip().startswith(("{", "[")):
        # JSON that is indented with tabs is no YAML; of what is wrong, the parser below says the line.
        with contextlib.suppress(ValueError, RecursionError):
            content = json.loads(text, object_pairs_hook=_unique, parse_constant=float)
            _require_json(content)
            yield Document(content, 1, 1)
            return
    number = 1
    loader: _Loader | None = None
    try:
        loader = _Loader(text)
        while loader.check_node():
            node = loader.get_node()
            if node is None:
                break
            content = loader.construct_document(node)
            _require_json(content)
            if content is not None:
                yield Document(content, number, node.start_mark.line + 1)
            number += 1
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f", line {mark.line + 1}" if mark else ""
        raise Misused(f"{name}, document {number}{where}: {error.problem or error}") from error
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise Misused(f"{name}, document {number}, is not valid YAML or JSON") from error
    finally:
        if loader is not None:
            loader.dispose()


def _unique(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands there twice")
    return found


def _require_json(content: Any) -> None:
    """Refuse what JSON cannot say, and aliases of aliases that would not fit into memory.

    Raises:
        ValueError: it is such.
    """
    waiting = [(content, 1)]
    seen = 0
    while waiting:
        value, depth = waiting.pop()
        seen += 1
        if depth > MAX_DEPTH or seen + len(waiting) > MAX_VALUES:
            raise ValueError("too deep, or too much")
        if isinstance(value, dict):
            waiting += [(each, depth + 1) for pair in value.items() for each in pair]
        elif isinstance(value, list):
            waiting += [(each, depth + 1) for each in value]
        elif isinstance(value, str):
            value.encode()
        elif not (
            value is None or isinstance(value, int) or (isinstance(value, float) and math.isfinite(value))
        ):
            raise ValueError("no value of JSON")


def read_object(source: str) -> dict[str, Any]:
    """The one JSON or YAML object in a file, or on standard input for ``-``.

    Raises:
        Misused: it cannot be read, or is not just that.
    """
    name = "standard input" if source == "-" else source
    documents = parse_documents(read_text(source), name)
    if len(documents) != 1 or not isinstance(documents[0], dict):
        raise Misused(f"{name} does not hold exactly one JSON or YAML object")
    return documents[0]


def to_yaml(document: Any, *, ascii_only: bool = False) -> str:
    """``document`` as YAML, its keys in their order; with ``ascii_only`` other characters are escaped."""
    text: str = yaml.dump(document, Dumper=_Dumper, sort_keys=False, allow_unicode=not ascii_only, width=110)
    return text
