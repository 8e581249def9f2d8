"""The commands that every kind of resource has; a noun declares its columns and gets a group of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import click

from moorage_cli.errors import CliError, Misused, NotLoggedIn, Unreachable, together
from moorage_cli.nouns import Function, Json, Noun, Scope
from moorage_cli.output import Column, cell
from moorage_cli.queries import build_query, guess_value, query_options
from moorage_cli.session import Session, common_options, pass_session

VERBS = ("get", "query", "edit", "patch", "delete", "tag", "permissions", "access-report", "explain")

_PERMISSIONS = (
    Column("NAME", "name", whole=True),
    Column("DESCRIPTION", "description"),
    Column("IMPLIES", "implies"),
)


def _match(row: Json) -> str:
    # Pushes and pulls are decided per repository, where a link to one image counts for nothing.
    suffix = " (not push or pull)" if row.get("authorizesRegistry") is False else ""
    return f"{row.get('match', '')}{suffix}"


_ACCESS = (
    Column("PERMISSION", "permission", whole=True),
    Column("PRINCIPAL", "principalLink", whole=True),
    Column("GRANTED", "grantedPermissions"),
    Column("POLICY", "grantingPolicyLink"),
    Column("MATCH", _match),
)


def noun_group(noun: Noun, summary: str, verbs: Sequence[str] = VERBS) -> click.Group:
    """A group with the commands of ``verbs`` for ``noun``; more are added with ``@group.command()``."""
    group = click.Group(noun.kind, help=summary, no_args_is_help=True)
    for verb in verbs:
        group.add_command(_VERBS[verb](noun))
    return common_options(group)


def scope_options(noun: Noun) -> Callable[[Function], Function]:
    """Decorator that gives a command the flags of ``noun.scope``, for ``scope_of``."""

    def decorate(function: Function) -> Function:
        for each in noun.scope:
            function = each.flag(required=True)(function)
        return function

    return decorate


def scope_of(noun: Noun, arguments: Mapping[str, Any]) -> dict[str, str]:
    """The values of the flags of ``noun.scope``."""
    return {each.name: arguments[each.name] for each in noun.scope}


def noun_command(noun: Noun, name: str, summary: str) -> Callable[[Callable[..., None]], click.Command]:
    """Decorator for a command on a noun: with the common flags and those of its scope.

    The function gets ``(session, **arguments)``.
    """

    def decorate(function: Callable[..., None]) -> click.Command:
        command = click.command(name, help=summary)
        return command(common_options(scope_options(noun)(pass_session(function))))

    return decorate


def write(session: Session, method: str, path: str, body: Json, columns: Sequence[Column]) -> Json:
    """Send a change, show what the registry has now and its warnings; the resource.

    Raises:
        CliError: the registry refuses, or is not reached.
    """
    changed = _changed(session, method, path, body)
    session.show(changed, columns)
    return changed


def _changed(session: Session, method: str, path: str, body: Json) -> Json:
    """What the registry has after a change; what it warns of is told."""
    from moorage_cli.api import require_object  # noqa: PLC0415 - help does without

    changed = require_object(session.api.call(method, path, body), session.endpoint)
    session.show_warnings(changed)
    return {key: value for key, value in changed.items() if key != "warnings"}


def for_each(session: Session, references: Sequence[str], act: Callable[[str], None]) -> None:
    """Do ``act`` to each reference. One failure is raised as it is; of several references all are tried, each
    failure is told on stderr, and one error is raised at the end.

    Raises:
        Unreachable, NotLoggedIn: at once, because those that follow would fare no better.
        CliError: some failed; its exit code is theirs, if they have the same.
    """
    if len(references) == 1:
        act(references[0])
        return
    failed: list[CliError] = []
    for index, reference in enumerate(references):
        try:
            act(reference)
        except (Unreachable, NotLoggedIn):
            left = len(references) - index - 1
            session.note(
                f"{reference} failed" + (f", and the {left} after it were not tried" if left else "")
            )
            raise
        except CliError as error:
            failed.append(error)
            session.note(f"{reference}: {error.line}")
    if failed:
        raise together(f"{len(failed)} of {len(references)} failed", failed)


def show_named(session: Session, noun: Noun, references: Sequence[str], scope: Scope) -> None:
    """Show the resources that are named, one as it is and several as a list; errors as of ``for_each``."""
    from moorage_cli.api import require_object  # noqa: PLC0415

    def read(reference: str) -> Json:
        path = noun.path(session, reference, scope)
        return require_object(session.api.get(path), session.endpoint)

    _show_each(session, noun, references, read)


def _show_each(session: Session, noun: Noun, references: Sequence[str], ask: Callable[[str], Json]) -> None:
    """Show what ``ask`` gives for each reference as ``show_named`` does."""
    found: list[Json] = []
    try:
        for_each(session, references, lambda reference: found.append(ask(reference)))
    finally:
        if len(references) > 1 and found:
            session.show_list(noun.kind, found, noun.columns)
    if len(references) == 1:
        session.show(found[0], noun.columns)


def _get(noun: Noun) -> click.Command:
    @noun_command(noun, "get", f"Show {noun.plural}: all, or those that are named.")
    @click.argument("refs", nargs=-1, metavar="[REF]...")
    def get(session: Session, refs: tuple[str, ...], **arguments: Any) -> None:
        scope = scope_of(noun, arguments)
        if not refs:
            collection = noun.collection_path(session, scope)
            session.show_list(noun.kind, session.items(collection, page_size=noun.page_size), noun.columns)
            return
        show_named(session, noun, refs, scope)

    return get


def _query(noun: Noun) -> click.Command:
    @noun_command(noun, "query", f"Show the {noun.plural} that satisfy a query; without terms, all.")
    @query_options()
    def query(session: Session, match: str | None, **arguments: Any) -> None:
        terms = {subject: arguments[subject] for subject in ("property", "tag", "rel")}
        path = f"{noun.collection_path(session, scope_of(noun, arguments))}/-query"
        found = session.items(path, build_query(noun.kind, match, **terms), page_size=noun.page_size)
        session.show_list(noun.kind, found, noun.columns)

    return query


def _edit(noun: Noun) -> click.Command:
    @noun_command(noun, "edit", f"Change one of the {noun.plural} in $VISUAL or $EDITOR.")
    @click.argument("ref")
    @click.option("--replace", "-r", is_flag=True, help="Replace it (PUT), instead of changing what differs.")
    def edit(session: Session, ref: str, *, replace: bool, **arguments: Any) -> None:
        from moorage_cli.editing import edit_resource  # noqa: PLC0415

        path = noun.path(session, ref, scope_of(noun, arguments))
        changed = edit_resource(session, path, fixed=noun.fixed, replace=replace)
        if changed is None:
            session.note("nothing was changed")
            return
        session.show_warnings(changed)
        session.show(changed, noun.columns)

    return edit


def _patch(noun: Noun) -> click.Command:
    @noun_command(noun, "patch", f"Change one of the {noun.plural} as a JSON or YAML file says.")
    @click.argument("ref")
    @click.option(
        "--file", "-f", "source", required=True, metavar="FILE", help="The change; - is standard input."
    )
    def patch(session: Session, ref: str, source: str, **arguments: Any) -> None:
        from moorage_cli.documents import read_object  # noqa: PLC0415

        path = noun.path(session, ref, scope_of(noun, arguments))
        write(session, "PATCH", path, read_object(source), noun.columns)

    return patch


def _delete(noun: Noun) -> click.Command:
    def delete(session: Session, refs: tuple[str, ...], *, force: bool = False, **arguments: Any) -> None:
        params = {"force": "true"} if force else None
        scope = scope_of(noun, arguments)

        def remove(reference: str) -> None:
            session.api.call("DELETE", noun.path(session, reference, scope), params=params)

        for_each(session, refs, remove)

    function: Callable[..., None] = click.argument("refs", nargs=-1, required=True, metavar="REF...")(delete)
    if noun.forced:
        function = click.option("--force", is_flag=True, help="Also if it is in use.")(function)
    return noun_command(noun, "delete", f"Delete {noun.plural}.")(function)


def _tag(noun: Noun) -> click.Command:
    @noun_command(noun, "tag", f"Set and remove metadata tags of {noun.plural}.")
    @click.argument("refs", nargs=-1, required=True, metavar="REF...")
    @click.option(
        "--tag",
        "tags",
        multiple=True,
        metavar="K=V",
        help="Set a tag; K:V sets it to the text V, whatever it is.",
    )
    @click.option("--remove-tag", "--remove", "removed", multiple=True, metavar="K", help="Remove a tag.")
    def tag(
        session: Session,
        refs: tuple[str, ...],
        tags: tuple[str, ...],
        removed: tuple[str, ...],
        **arguments: Any,
    ) -> None:
        change = parse_tags(tags, removed)
        scope = scope_of(noun, arguments)
        if not change:
            raise Misused("no tag is named", "add --tag KEY=VALUE or --remove-tag KEY")

        def put(reference: str) -> Json:
            return _changed(session, "PATCH", noun.path(session, reference, scope), {"tags": change})

        _show_each(session, noun, refs, put)

    return tag


def parse_tags(tags: Sequence[str], removed: Sequence[str] = ()) -> dict[str, Any]:
    """Metadata tags as ``--tag`` (``k=v`` of the type that it looks like, ``k:v`` text) and ``--remove-tag``
    write them, for a PATCH: what is removed is None.

    Raises:
        Misused: one names no key or no value, or a key is both set and removed.
    """
    change: dict[str, Any] = {}
    for text in tags:
        places = [place for place in (text.find("="), text.find(":")) if place > 0]
        if not places:
            raise Misused(f"--tag {text!r} is no tag", "write KEY=VALUE, or KEY:VALUE for a text")
        place = min(places)
        value = text[place + 1 :]
        change[text[:place]] = guess_value(value) if text[place] == "=" else value
    for key in removed:
        if key in change:
            raise Misused(f"the tag {key!r} is both set and removed")
        change[key] = None
    return change


def _permissions(noun: Noun) -> click.Command:
    @noun_command(noun, "permissions", f"Show the permissions that there are on {noun.plural}.")
    def permissions(session: Session, **arguments: Any) -> None:
        from moorage_cli.api import require_object  # noqa: PLC0415 - help does without

        path = noun.schema_path(session, scope_of(noun, arguments))
        schema = require_object(session.api.get(path), session.endpoint)
        if session.output in {"json", "yaml"}:
            session.show_document(schema)
            return
        implied = require_object(schema.get("implied", {}), session.endpoint)
        rows = [
            {**each, "implies": implied.get(str(each.get("name")), ())}
            for each in _objects(session, schema, "items")
        ]
        session.show_list("permission", rows, _PERMISSIONS)

    return permissions


def _access_report(noun: Noun) -> click.Command:
    @noun_command(noun, "access-report", f"Show who may do what with one of the {noun.plural}.")
    @click.argument("ref")
    def access_report(session: Session, ref: str, **arguments: Any) -> None:
        path = noun.path(session, ref, scope_of(noun, arguments))
        from moorage_cli.api import require_object  # noqa: PLC0415 - help does without

        report = require_object(session.api.get(f"{path}/-accessreport"), session.endpoint)
        if session.output in {"json", "yaml"}:
            session.show_document(report)
            return
        rows = [
            {
                **binding,
                "permission": each.get("name"),
                "name": f"{each.get('name')} {binding.get('principalLink')}",
            }
            for each in _objects(session, report, "permissions")
            for binding in _objects(session, each, "bindings")
        ]
        session.show_list("binding", rows, _ACCESS)
        if report.get("note"):
            session.note(str(report["note"]))

    return access_report


def _explain(noun: Noun) -> click.Command:
    @noun_command(
        noun, "explain", "Show whether a principal has a permission, and why or why not: exit code 0, or 1."
    )
    @click.argument("ref")
    @click.option("--principal", required=True, metavar="LINK", help="Such as //serviceaccount/ci.")
    @click.option("--permission", required=True, metavar="NAME", help="Such as pull.")
    def explain(session: Session, ref: str, principal: str, permission: str, **arguments: Any) -> None:
        path = noun.path(session, ref, scope_of(noun, arguments))
        asked = {"principal": _principal_link(principal), "permission": permission}
        from moorage_cli.api import require_object  # noqa: PLC0415 - help does without

        explanation = require_object(session.api.get(f"{path}/-explain", params=asked), session.endpoint)
        if not isinstance(explanation.get("allowed"), bool):
            require_object(None, session.endpoint)
        if session.output in {"json", "yaml"}:
            session.show_document(explanation)
        else:
            for line in _explained(session, explanation):
                click.echo(line)
        if not explanation["allowed"]:
            click.get_current_context().exit(1)

    return explain


def _principal_link(text: str) -> str:
    return text if text.startswith("/") else f"//{text}"


def _objects(session: Session, document: Json, field: str) -> list[Json]:
    """The objects that a field of an answer lists; a registry may leave out an empty list.

    Raises:
        NotARegistry: there is something else.
    """
    from moorage_cli.api import is_list_of_objects, require_object  # noqa: PLC0415 - help does without

    found = document.get(field, [])
    if not is_list_of_objects(found):
        require_object(None, session.endpoint)
    return list(found)


def _explained(session: Session, explanation: Json) -> list[str]:
    answer = "yes" if explanation["allowed"] else "no"
    asked = (cell(explanation.get(each)) for each in ("permission", "principalLink"))
    lines = [f"{answer}: {' for '.join(asked)}"]
    lines += [
        f"  {cell(each.get('grantingPolicyLink'))} gives {cell(each.get('grantedPermissions'))}"
        f" to {cell(each.get('principalLink'))} ({cell(each.get('match'))})"
        for each in _objects(session, explanation, "grants")
    ]
    if explanation.get("reason"):
        lines.append(f"  {cell(explanation['reason'])}")
    lines += [
        f"  {cell(each.get('policy'))}: {cell(each.get('reason'))}"
        for each in _objects(session, explanation, "nearMisses")
        if each.get("reason") != explanation.get("reason")
    ]
    return lines


_VERBS: Mapping[str, Callable[[Noun], click.Command]] = {
    "get": _get,
    "query": _query,
    "edit": _edit,
    "patch": _patch,
    "delete": _delete,
    "tag": _tag,
    "permissions": _permissions,
    "access-report": _access_report,
    "explain": _explain,
}
