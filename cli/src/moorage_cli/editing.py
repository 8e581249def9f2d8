"""Changing a resource in an editor: what differs afterwards is sent, and errors lead back into the editor."""

from __future__ import annotations

import copy
import os
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from moorage_cli.documents import parse_documents, to_yaml
from moorage_cli.errors import CliError, Misused, NotAllowed, Unreachable, VersionMismatch

if TYPE_CHECKING:
    from moorage_cli.session import Session

Json = dict[str, Any]

# What the registry sets; a person cannot change it and need not see it.
READ_ONLY = frozenset(
    {"id", "kind", "version", "created", "lastModified", "links", "origin", "warnings", "status"}
)
_EDITORS = ("sensible-editor", "nano", "vi")


def edit_resource(
    session: Session,
    path: str,
    *,
    fixed: Iterable[str] = (),
    replace: bool = False,
    edit: Callable[[Path], None] | None = None,
) -> Json | None:
    """Let the person change the resource at ``path``; what the registry has then, or None if nothing changed.

    Changes go as a PATCH of what differs, with the version that was read; with ``replace`` as a PUT of all.
    What the registry refuses opens the editor again, with the reason in its first lines.

    Raises:
        CliError: there is no editor, or the person gave up after an error; then the text is kept in a file.
    """
    hidden = READ_ONLY | frozenset(fixed)
    base: Json = session.api.get(path)
    file = _draft()
    keep = False
    try:
        return _rounds(session, path, base, file, hidden, replace=replace, edit=edit or run_editor)
    except (CliError, OSError, KeyboardInterrupt):
        keep = _differs(file, _shown(base, hidden)[0])
        raise
    finally:
        if keep:
            session.note(f"your text is kept in {file}")
        else:
            file.unlink(missing_ok=True)


def _differs(file: Path, text: str) -> bool:
    """Whether the person has written anything that would be lost."""
    try:
        written = file.read_text("utf-8", errors="replace")
    except OSError:
        return False
    return written.strip() != "" and _without_comments(written) != text


def _rounds(
    session: Session,
    path: str,
    base: Json,
    file: Path,
    hidden: frozenset[str],
    *,
    replace: bool,
    edit: Callable[[Path], None],
) -> Json | None:
    text, shown = _shown(base, hidden)
    problem: CliError | None = None
    while True:
        file.write_text(_with_reason(text, problem), "utf-8")
        edit(file)
        edited = _without_comments(_read(file))
        if edited == text:
            if problem is not None:
                raise problem
            return None
        text = edited
        try:
            after = _parsed(text)
            change = difference(shown, after)
            if not change:
                return None
            body = {**after, **_lock(base)} if replace else {**change, **_lock(base)}
            answer: Json = session.api.call("PUT" if replace else "PATCH", path, body)
        except VersionMismatch as error:
            base = session.api.get(path)
            _, shown = _shown(base, hidden)
            text = to_yaml(merged(shown, change))
            problem = CliError(f"{error.message} Below are your changes to what is there now")
        except (NotAllowed, Unreachable):
            raise
        except CliError as error:
            problem = error
        else:
            return answer


def difference(before: Mapping[str, Any], after: Mapping[str, Any]) -> Json:
    """What a merging PATCH has to say to turn ``before`` into ``after``: None removes a key."""
    change: Json = {key: None for key in before if key not in after}
    for key, value in after.items():
        if key not in before or type(before[key]) is not type(value):
            change[key] = value
        elif isinstance(value, dict):
            inner = difference(before[key], value)
            if inner:
                change[key] = inner
        elif before[key] != value:
            change[key] = value
    return change


def merged(document: Mapping[str, Any], change: Mapping[str, Any]) -> Json:
    """``document`` after a merging PATCH with ``change``."""
    result = copy.deepcopy(dict(document))
    for key, value in change.items():
        if value is None:
            result.pop(key, None)
        elif isinstance(value, dict) and isinstance(result.get(key), dict):
            result[key] = merged(result[key], value)
        else:
            result[key] = value
    return result


def run_editor(file: Path) -> None:
    """Open ``$VISUAL``, ``$EDITOR`` or an editor that is there, and wait until it ends.

    Raises:
        Misused: there is none.
        CliError: it ended with an error.
    """
    command = os.environ.get("VISUAL") or os.environ.get("EDITOR")
    if not command:
        command = next((each for each in _EDITORS if shutil.which(each)), None)
    try:
        words = shlex.split(command or "")
        if not words:
            raise Misused("there is no editor", "set EDITOR, or use the command patch")
        code = subprocess.run([*words, str(file)], check=False).returncode  # noqa: S603 - the person's own editor
    except (OSError, ValueError) as error:
        raise Misused(f"the editor {command!r} cannot be started", "set EDITOR to one that can") from error
    if code:
        raise CliError(f"the editor ended with {code}; nothing was changed")


def _read(file: Path) -> str:
    try:
        return file.read_text("utf-8")
    except UnicodeDecodeError as error:
        raise Misused("the text is not UTF-8") from error


def _draft() -> Path:
    handle, name = tempfile.mkstemp(prefix="moorage-", suffix=".yaml")
    os.close(handle)
    return Path(name)


def _shown(resource: Json, hidden: frozenset[str]) -> tuple[str, Json]:
    shown = {key: value for key, value in resource.items() if key not in hidden}
    # A field that is not set yet can be seen and filled in.
    shown.setdefault("tags", {})
    return to_yaml(shown), shown


def _lock(base: Json) -> Json:
    return {key: base[key] for key in ("id", "version") if key in base}


def _with_reason(text: str, problem: CliError | None) -> str:
    if problem is None:
        return text
    return f"# Not accepted: {problem.line}\n# Save it unchanged to give up.\n{text}"


def _without_comments(text: str) -> str:
    lines = text.splitlines(keepends=True)
    while lines and lines[0].startswith("#"):
        del lines[0]
    return "".join(lines)


def _parsed(text: str) -> Json:
    documents = parse_documents(text, "the text")
    if len(documents) != 1 or not isinstance(documents[0], dict):
        raise Misused("the text does not hold exactly one object")
    return documents[0]
