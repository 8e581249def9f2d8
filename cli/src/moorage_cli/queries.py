"""Queries as flags write them: ``repository=app``, ``size>=1000``, ``env`` (is there), ``env!`` (is not)."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import click

from moorage_cli.errors import Misused

Json = dict[str, Any]

MATCHES = ("all", "any", "none")
SUBJECTS = ("property", "tag", "rel")
# The longest first: `a<=b` is not `a<` with the value `=b`.
OPERATORS = ("!=", ">=", "<=", "=~", "=", ">", "<", "~")
_EXPRESSION = re.compile(
    f"(?P<name>.*?)(?P<op>{'|'.join(re.escape(each) for each in OPERATORS)})(?P<value>.*)", re.DOTALL
)
_NUMBER = re.compile(r"-?[0-9]{1,15}(?:\.[0-9]{1,15})?")

Function = TypeVar("Function", bound=Callable[..., Any])


def guess_value(text: str) -> str | int | float | bool:
    """``text`` as the number or boolean that it looks like; else as it is, and so is a number that would be
    written differently afterwards, such as ``1.10``.
    """
    if text in {"true", "false"}:
        return text == "true"
    if _NUMBER.fullmatch(text):
        number = float(text) if "." in text else int(text)
        return number if str(number) == text else text
    return text


def parse_term(subject: str, expression: str) -> Json:
    """The term that an expression writes about a ``property``, a ``tag`` or a ``rel``.

    ``NAME`` alone means that there is one, ``NAME!`` that there is none; the first operator divides.

    Raises:
        Misused: it names nothing.
    """
    found = _EXPRESSION.fullmatch(expression)
    if found is not None:
        name, op, text = found["name"].strip(), found["op"], found["value"]
        term: Json = {"op": op, subject: name, "value": guess_value(text)}
    else:
        name = expression.strip()
        op = "!exists" if name.endswith("!") else "exists"
        name = name.removesuffix("!")
        term = {"op": op, subject: name}
    if not name:
        raise Misused(
            f"--{subject} {expression!r} names no {subject}", f"write for example --{subject} name=value"
        )
    return term


def build_query(kind: str, match: str | None = None, **expressions: Sequence[str]) -> Json:
    """A query on ``kind``; ``expressions`` are those of each of ``SUBJECTS``. Without any it means all.

    Raises:
        Misused: an expression is none.
    """
    terms = [
        parse_term(subject, expression) for subject in SUBJECTS for expression in expressions.get(subject, ())
    ]
    return {"kind": kind, "fetch": "items", "spec": {"match": match or MATCHES[0], "terms": terms}}


def query_options(prefix: str = "") -> Callable[[Function], Function]:
    """Decorator for the flags that write a query: ``--match``, ``--property``, ``--tag``, ``--rel``, with
    ``prefix`` ``query-`` as ``--query-match`` and so on. The function gets ``match``, ``property``, ``tag``
    and ``rel`` (or ``query_match`` ...), which ``build_query`` takes.
    """
    variable = prefix.replace("-", "_")
    short = () if prefix else ("--prop",)
    options = (
        click.option(
            f"--{prefix}match",
            f"{variable}match",
            type=click.Choice(MATCHES),
            help="How many have to hold (all).",
        ),
        click.option(
            f"--{prefix}property",
            *short,
            f"{variable}property",
            multiple=True,
            metavar="EXPR",
            help="What a property is: name=value, and != > >= < <= ~ =~; name, name!.",
        ),
        click.option(
            f"--{prefix}tag",
            f"{variable}tag",
            multiple=True,
            metavar="EXPR",
            help="The same of a metadata tag.",
        ),
        click.option(
            f"--{prefix}rel",
            f"{variable}rel",
            multiple=True,
            metavar="EXPR",
            help="The same of where a link leads.",
        ),
    )

    def decorate(function: Function) -> Function:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate
