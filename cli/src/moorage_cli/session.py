"""What every command is given: its settings, the registry, and how it speaks to the person."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

import click

from moorage_cli.credentials import parse_credential
from moorage_cli.errors import Misused, NotFound, NotLoggedIn, printable

if TYPE_CHECKING:
    from moorage_cli.api import Api, Json
    from moorage_cli.output import Column
    from moorage_cli.profiles import ProfileFile
    from moorage_cli.secret_store import SecretStore
    from moorage_cli.settings import Settings

OUTPUTS = ("text", "json", "yaml", "json-slim", "yaml-slim", "names")
_SLIM = "-slim"
TIMES = ("local", "iso", "age")
DEFAULT_MAX = 50
_ORG = re.compile(r"[a-z][-a-z0-9]*")
_SIGN_IN = "run 'moorage profile login'"


class Session:
    """One run of the command. Nothing is read or connected before it is asked for.

    ``flags`` are the common flags that were given, by name; the innermost command's win.
    """

    def __init__(
        self, flags: Mapping[str, Any] | None = None, environment: Mapping[str, str] | None = None
    ) -> None:
        self.flags = dict(flags or {})
        self._environment = os.environ if environment is None else environment
        self._warned: set[str] = set()
        self._profileless = False

    @cached_property
    def profile_file(self) -> ProfileFile:
        """The file of profiles."""
        from moorage_cli.profiles import ProfileFile  # noqa: PLC0415 - `--help` does without
        from moorage_cli.storage import config_folder  # noqa: PLC0415

        return ProfileFile(config_folder(self._environment))

    @cached_property
    def secrets(self) -> SecretStore:
        """The keys of profiles."""
        from moorage_cli.secret_store import SecretStore  # noqa: PLC0415

        return SecretStore(self.profile_file.folder)

    @cached_property
    def settings(self) -> Settings:
        """Flags, environment and profile together.

        Raises:
            CliError: they do not fit together, or the profiles cannot be read.
        """
        from moorage_cli.profiles import Profiles  # noqa: PLC0415
        from moorage_cli.settings import resolve  # noqa: PLC0415

        if self.flags.get("token"):
            self.warn("--token shows the key to other users of this machine; MOORAGE_TOKEN does not")
        profiles = Profiles({}) if self._profileless else self.profile_file.load()
        return resolve(self.flags, self._environment, profiles)

    @property
    def org(self) -> str:
        """The organisation that is meant.

        Raises:
            Misused: none is named, or what is named cannot be one.
        """
        org = self.settings.org
        if org is None:
            raise Misused("no organisation is named", f"add --org ORG, set MOORAGE_ORG, or {_SIGN_IN}")
        return parse_org(org)

    @property
    def endpoint(self) -> str:
        """The address of the registry.

        Raises:
            Misused: none is known.
        """
        endpoint = self.settings.endpoint
        if endpoint is None:
            raise Misused("no registry is named", f"{_SIGN_IN}, or add --endpoint https://HOST")
        return endpoint

    @cached_property
    def credential(self) -> str:
        """The key or bearer token to present: the one that was given, else the profile's.

        Raises:
            NotLoggedIn: there is none for this endpoint.
            CliError: the place where it is kept cannot be read.
        """
        settings = self.settings
        if settings.token is not None:
            return parse_credential(settings.token)
        if settings.profile is None:
            raise NotLoggedIn("there is no key", f"{_SIGN_IN}, or set MOORAGE_TOKEN")
        name = settings.profile.name
        if not settings.profile_serves:
            raise NotLoggedIn(
                f"the key of profile {name!r} is for another registry", "set MOORAGE_TOKEN for this one"
            )
        kept = self.secrets.get(name, settings.profile.endpoint)
        if kept is None:
            raise NotLoggedIn(f"profile {name!r} has no key", f"run 'moorage profile login {name}'")
        return parse_credential(kept)

    @cached_property
    def api(self) -> Api:
        """The registry, with the credential.

        Raises:
            CliError: it is not known which, or with which key.
        """
        return self.connect(self.endpoint, self.credential, insecure=self.settings.insecure)

    @cached_property
    def anonymous_api(self) -> Api:
        """The registry, for what anybody may ask (``anonymous=True``), or with other credentials."""
        return self.connect(self.endpoint, None, insecure=self.settings.insecure)

    @cached_property
    def announced_images(self) -> str:
        """Where the registry says that images are, with ``{org}`` in it; empty if it does not say.

        Raises:
            CliError: it is not reached, or is no registry.
        """
        try:
            document = self.anonymous_api.get("/discovery", anonymous=True)
        except NotFound:
            return ""
        endpoints = document.get("endpoints") if isinstance(document, dict) else None
        announced = endpoints.get("registry") if isinstance(endpoints, dict) else None
        return announced if isinstance(announced, str) else ""

    def connect(self, endpoint: str, credential: str | None, *, insecure: bool = False) -> Api:
        """A client of the registry at an address of ``parse_endpoint``; closed when the command ends."""
        from moorage_cli.api import Api  # noqa: PLC0415

        if insecure:
            self.warn("--insecure: nobody vouches that this is the registry, or that nobody listens")
        trace = self.note_plainly if self.verbose else None
        api = Api(endpoint, credential, insecure=insecure, note=self.note, trace=trace)
        context = click.get_current_context(silent=True)
        if context is not None:
            context.find_root().call_on_close(api.close)
        return api

    def other(self, **flags: Any) -> Session:
        """The same run with other common flags, such as another ``profile`` or ``org``; None unsets one."""
        return Session({**self.flags, **flags}, self._environment)

    def without_profile(self) -> Session:
        """The same run as if there were no profiles: flags and environment alone."""
        environment = {name: value for name, value in self._environment.items() if name != "MOORAGE_PROFILE"}
        session = Session({**self.flags, "profile": None}, environment)
        session._profileless = True
        return session

    @property
    def output(self) -> str:
        """``text``, ``json``, ``yaml`` or ``names``."""
        return self._output.removesuffix(_SLIM)

    @property
    def slim(self) -> bool:
        """Whether documents are written without what the registry sets."""
        return self._output.endswith(_SLIM)

    @property
    def _output(self) -> str:
        return str(self.flags.get("output") or OUTPUTS[0])

    @property
    def times(self) -> str:
        """One of ``TIMES``: how moments are written in text."""
        return str(self.flags.get("ts") or TIMES[0])

    @property
    def maximum(self) -> int:
        """How many items of a list are wanted; 0 for all."""
        maximum = self.flags.get("max")
        return DEFAULT_MAX if maximum is None else int(maximum)

    @property
    def verbose(self) -> bool:
        """Whether each request is shown on stderr."""
        return bool(self.flags.get("verbose"))

    def colored(self, stream: Any = None) -> bool:
        """Whether to write colours to ``stream``, which is stdout unless it is given."""
        wanted = self.flags.get("color") or "auto"
        if wanted != "auto":
            return wanted == "always"
        if self._environment.get("NO_COLOR") or self._environment.get("TERM") == "dumb":
            return False
        return is_terminal(stream or sys.stdout)

    @property
    def draws_bars(self) -> bool:
        """Whether progress is drawn on stderr: in a terminal, unless there is a line for each request."""
        return is_terminal(sys.stderr) and not self.verbose

    def note(self, text: str) -> None:
        """Tell the person something, in one line on stderr."""
        self.note_plainly(f"moorage: {text}")

    def note_plainly(self, text: str, *, lines: bool = False) -> None:
        """Write a line to stderr as it is, but for control characters; with ``lines`` there are several."""
        # What draws bars there has put something in its place, by which the line comes to stand above them.
        for line in text.splitlines() if lines else (text,):
            sys.stderr.write(f"{printable(line)}\n")
        sys.stderr.flush()

    def warn(self, text: str) -> None:
        """The same as ``note``, but once per run however often it is said."""
        if text not in self._warned:
            self._warned.add(text)
            self.note(text)

    def items(
        self,
        path: str,
        query: Json | None = None,
        *,
        page_size: int | None = None,
        params: Mapping[str, str] | None = None,
    ) -> list[Json]:
        """Items of a list, or of what ``query`` selects there, up to ``--max``; stderr says if there is more.

        ``page_size`` is how many the registry gives in one answer if asked, where it can be asked.
        """
        wanted = page_size if page_size is None or not self.maximum else min(page_size, self.maximum)
        asked = {**(params or {}), **({} if wanted is None else {"limit": str(wanted)})}
        listing = self.api.items(path, self.maximum, asked or None, query)
        if listing.more:
            self.note(f"there are more than these {len(listing.items)}; --max 0 shows all")
        return listing.items

    def show(self, item: Json, columns: Sequence[Column]) -> None:
        """Write one resource to stdout in the form that ``--output`` asks for."""
        from moorage_cli.output import write_item  # noqa: PLC0415

        write_item(self, item, columns)

    def show_list(self, kind: str, items: Sequence[Json], columns: Sequence[Column]) -> None:
        """The same of several resources."""
        from moorage_cli.output import write_list  # noqa: PLC0415

        write_list(self, kind, items, columns)

    def show_document(self, document: Any) -> None:
        """Write any other document to stdout: YAML if ``--output yaml`` asks for it, else JSON."""
        from moorage_cli.output import write_document  # noqa: PLC0415

        write_document(self, document)

    def show_warnings(self, answer: Any) -> None:
        """Say on stderr what the registry warns of in its answer to a write."""
        for each in (answer or {}).get("warnings") or ():
            self.note(f"warning: {each}")


def is_terminal(stream: Any) -> bool:
    """Whether a stream is one; a closed one is not."""
    try:
        return bool(stream.isatty())
    except ValueError:
        return False


def parse_org(text: str) -> str:
    """``text``, if it can be the name of an organisation.

    Raises:
        Misused: it cannot.
    """
    if not _ORG.fullmatch(text):
        raise Misused(
            f"{text!r} cannot be the name of an organisation",
            "take lower-case letters, digits and hyphens, a letter first",
        )
    return text


Command = TypeVar("Command", bound=Callable[..., Any])


def _keep(context: click.Context, parameter: click.Parameter, value: Any) -> None:
    if value is None or parameter.name is None:
        return
    context.ensure_object(Session).flags[parameter.name] = value


def _common(*names: str, **settings: Any) -> Callable[[Command], Command]:
    return click.option(*names, expose_value=False, callback=_keep, default=None, **settings)


_COMMON = (
    _common("--org", metavar="ORG", help="The organisation ($MOORAGE_ORG)."),
    _common("--profile", metavar="NAME", help="The profile to use ($MOORAGE_PROFILE)."),
    _common("--endpoint", metavar="URL", help="The address of the registry ($MOORAGE_ENDPOINT)."),
    _common("--token", metavar="KEY", help="A key or bearer token; better in $MOORAGE_TOKEN."),
    _common(
        "--insecure/--no-insecure",
        "-k",
        is_flag=True,
        help="Accept plain HTTP and certificates that cannot be verified.",
    ),
    _common("--output", "-o", type=click.Choice(OUTPUTS), help="How to write results (text)."),
    _common("--ts", type=click.Choice(TIMES), help="How to write times in text (local)."),
    _common(
        "--max", metavar="N", type=click.IntRange(min=0), help=f"Items of a list, 0 for all ({DEFAULT_MAX})."
    ),
    _common("--verbose", "-v", is_flag=True, help="Show each request on stderr, without secrets."),
    _common("--color", type=click.Choice(("auto", "always", "never")), help="Colours (auto)."),
)


def common_options(command: Command) -> Command:
    """Decorator that gives a command or group the common flags, behind its own; the function gets none of
    them, because the session has them. It stands below ``@click.command``.
    """
    if isinstance(command, click.Command):
        for option in _COMMON:
            option(command)
        return command
    # A function collects its parameters from the last to the first.
    own: list[click.Parameter] = list(getattr(command, "__click_params__", ()))
    command.__click_params__ = []  # type: ignore[attr-defined]
    for option in reversed(_COMMON):
        option(command)
    command.__click_params__ += own  # type: ignore[attr-defined]
    return command


pass_session = click.make_pass_decorator(Session, ensure=True)
"""Decorator that gives a command the ``Session`` as its first argument."""
