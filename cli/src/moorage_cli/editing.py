"""Changing a resource in an editor: what differs afterwards is sent, and errors lead back into the editor."""

from __future__ import annotations

import contextlib
import copy
import os
import shlex
import shutil
import signal
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from moorage_cli.documents import parse_documents, to_yaml
from moorage_cli.errors import CliError, Misused, NotAllowed, Unreachable, VersionMismatch, printable

if TYPE_CHECKING:
    from moorage_cli.session import Session

Json = dict[str, Any]

# What the registry sets; a person cannot change it and need not see it.
READ_ONLY = frozenset(
    {"id", "kind", "version", "created", "lastModified", "links", "origin", "warnings", "status"}
)
_ABSENT: Any = object()
# The last is what Windows has.
_EDITORS = ("sensible-editor", "nano", "vi", "notepad")
_INTERRUPTED = {-signal.SIGINT, 128 + signal.SIGINT}
# For an editor that is told to end; it may have something to save.
_GRACE_SECONDS = 5.0


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
    from moorage_cli.api import require_object  # noqa: PLC0415 - help does without

    base = require_object(session.api.get(path), session.endpoint)
    file = _draft()
    keep = False
    try:
        return _rounds(session, path, base, file, hidden, replace=replace, edit=edit or run_editor)
    except BaseException:  # whatever ends it, a signal too, what the person has written is not lost
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
    from moorage_cli.api import require_object  # noqa: PLC0415 - help does without

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
            base, before = require_object(session.api.get(path), session.endpoint), shown
            _, shown = _shown(base, hidden)
            text = to_yaml(rebased(before, after, shown))
            others = (
                ", ".join(printable(each) for each in difference(before, shown)) or "nothing that is shown"
            )
            problem = CliError(
                f"{error.message.rstrip('.')}; others have changed: {others}. Below is that with your changes"
            )
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


def rebased(before: Mapping[str, Any], mine: Mapping[str, Any], theirs: Mapping[str, Any]) -> Json:
    """What two changes of ``before`` make together; where both changed the same, it is ``mine``. Of a list,
    items that one has added are in it, and those that one has taken out are not.
    """
    result: Json = {}
    for key in dict.fromkeys((*theirs, *mine)):
        was, own, other = (each.get(key, _ABSENT) for each in (before, mine, theirs))
        if own == was and type(own) is type(was):
            chosen = other
        elif all(isinstance(each, dict) for each in (own, other)):
            chosen = rebased(was if isinstance(was, dict) else {}, own, other)
        elif all(isinstance(each, list) for each in (was, own, other)) and other != was:
            chosen = _rebased_list(was, own, other)
        else:
            chosen = own
        if chosen is not _ABSENT:
            result[key] = copy.deepcopy(chosen)
    return result


def _rebased_list(before: list[Any], mine: list[Any], theirs: list[Any]) -> list[Any]:
    kept = [each for each in theirs if each in mine or each not in before]
    return [*kept, *(each for each in mine if each not in before and each not in theirs)]


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
        words = words_of(command or "")
        if not words:
            raise Misused("there is no editor", "set EDITOR, or use the command patch")
        code = _run([*words, str(file)])
    except (OSError, ValueError) as error:
        raise Misused(f"the editor {command!r} cannot be started", "set EDITOR to one that can") from error
    if code in _INTERRUPTED:
        raise KeyboardInterrupt
    if code:
        raise CliError(f"the editor ended with {code}; nothing was changed")


def words_of(command: str, *, windows: bool = os.name == "nt") -> list[str]:
    """The words of a command as the system's own shell would take it apart.

    Raises:
        ValueError: a quotation does not end.
    """
    if not windows:
        return shlex.split(command)
    # A backslash stands between folders there and quotes nothing.
    return [word.strip('"') for word in shlex.split(command, posix=False)]


def _run(words: list[str]) -> int:
    with subprocess.Popen(words) as editor:  # noqa: S603 - the person's own editor
        try:
            # Only from here on: the editor would begin with what is ignored before.
            with _uninterrupted():
                return editor.wait()
        except BaseException:
            editor.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                editor.wait(_GRACE_SECONDS)
            editor.kill()
            raise


@contextlib.contextmanager
def _uninterrupted() -> Iterator[None]:
    """Ctrl-C is the editor's meanwhile, in which it may mean something else. Only the main thread is told."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


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
