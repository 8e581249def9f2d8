"""``moorage rest``: single requests to the management API, for what has no command of its own."""

from __future__ import annotations

import click

from moorage_cli.errors import Misused
from moorage_cli.session import Session, common_options, pass_session

_SUMMARIES = {
    "get": "Show what there is at PATH.",
    "post": "Make a resource in the list at PATH, or ask for what PATH does.",
    "put": "Replace the resource at PATH; in the list at PATH, make or replace the one that the file names.",
    "patch": "Change what a file says of the resource at PATH.",
    "delete": "Delete the resource at PATH.",
}
_WITH_FILE = frozenset({"patch", "put"})
_WITHOUT_FILE = frozenset({"delete", "get"})


@common_options
@click.group("rest")
def rest() -> None:
    """Send one request to the management API; its answer is written as JSON, or as YAML if --output says so.

    PATH is one of the API's, such as /org/acme/image?limit=10, or a short link, such as //policy/ci.
    """


def _path_of(session: Session, text: str) -> str:
    if not text.startswith("/") or "\\" in text:
        raise Misused(f"{text!r} is no path", "write /org/ORG/... or, within the organisation, //KIND/NAME")
    return f"/org/{session.org}/{text[2:]}" if text.startswith("//") else text


def _request(method: str, summary: str) -> click.Command:
    def request(session: Session, path: str, source: str | None = None) -> None:
        from moorage_cli.documents import read_object  # noqa: PLC0415
        from moorage_cli.output import write_answer  # noqa: PLC0415

        body = None if source is None else read_object(source)
        answer = session.api.call(method.upper(), _path_of(session, path), body)
        if isinstance(answer, dict):
            session.show_warnings(answer)
        if answer is not None:
            write_answer(session, answer)

    function = pass_session(request)
    if method not in _WITHOUT_FILE:
        option = click.option(
            *("--file", "-f", "source"),
            required=method in _WITH_FILE,
            metavar="FILE",
            help="The JSON or YAML object to send; - is standard input.",
        )
        function = option(function)
    function = click.argument("path")(function)
    return click.command(method, help=summary)(common_options(function))


for _method, _summary in _SUMMARIES.items():
    rest.add_command(_request(_method, _summary))
