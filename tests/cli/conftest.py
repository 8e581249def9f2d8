"""A terminal, a stand-in for the registry, and the real management API on loopback."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import keyring
import pytest
from keyring.backends import null

from moorage_cli import retries
from moorage_cli.command_table import COMMANDS, Row
from tests.cli.stand_in import Answer, Asked, StandIn, serving
from tests.cli.terminal import KEY, Terminal

if TYPE_CHECKING:
    from tests.protocol.management.world import Management

_OWN = {"host", "content-length", "connection", "accept-encoding"}


@pytest.fixture(autouse=True)
def no_keyring() -> Iterator[None]:
    """No test may touch the keyring of whoever runs it; the library finds one once per process."""
    keyring.set_keyring(null.Keyring())
    yield
    keyring.set_keyring(null.Keyring())


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long the command wanted to wait; it does not."""
    waited: list[float] = []
    monkeypatch.setattr(retries, "pause", waited.append)
    return waited


@pytest.fixture
def stand_in(waits: list[float]) -> Iterator[StandIn]:
    """A server that answers what the test says; clients do not really wait before they try again."""
    with serving() as running:
        yield running


@pytest.fixture
def domain(monkeypatch: pytest.MonkeyPatch) -> str:
    """A domain that is this machine, with all hosts in it."""
    found = socket.getaddrinfo

    def here(host: Any, *rest: Any, **options: Any) -> Any:
        name = host.decode() if isinstance(host, bytes) else str(host)
        return found("127.0.0.1" if name.endswith("registry.example") else host, *rest, **options)

    monkeypatch.setattr(socket, "getaddrinfo", here)
    return "registry.example"


@pytest.fixture
def terminal(tmp_path: Path) -> Terminal:
    """A terminal of somebody who has not signed in."""
    return Terminal(tmp_path / "home")


@pytest.fixture
def signed_in(terminal: Terminal, stand_in: StandIn) -> Terminal:
    """A terminal with variables for the organisation ``acme`` of the stand-in, and no profile."""
    terminal.environment |= {
        "MOORAGE_ENDPOINT": stand_in.endpoint,
        "MOORAGE_ORG": "acme",
        "MOORAGE_TOKEN": KEY,
    }
    return terminal


@pytest.fixture
def management() -> Iterator[Management]:
    """The real management API in this process, with the organisations ``demo`` and ``other``."""
    # Most tests do without the server, and without what importing it takes.
    from tests.protocol.management.world import management_in_memory  # noqa: PLC0415

    with management_in_memory() as running:
        yield running


@pytest.fixture
def real(terminal: Terminal, stand_in: StandIn, management: Management) -> Terminal:
    """A terminal with variables for ``demo`` of the real management API and ``/token``, as its superuser."""

    def forward(asked: Asked) -> Answer:
        client = management.world.tokens if asked.path == "/token" else management.client
        headers = {name: value for name, value in asked.headers.items() if name.lower() not in _OWN}
        answer = client.request(asked.method, asked.target, headers=headers, content=asked.content)
        kept = {name: value for name, value in answer.headers.items() if name.lower() not in _OWN}
        return Answer(answer.content or None, answer.status_code, kept)

    stand_in.fallback = forward
    terminal.environment |= {
        "MOORAGE_ENDPOINT": stand_in.endpoint,
        "MOORAGE_ORG": "demo",
        "MOORAGE_TOKEN": management.world.keys["demo/admin"],
    }
    return terminal


@pytest.fixture
def sample_nouns(monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands ``sample-policy``, ``sample-identity`` and ``sample-image``, with nothing but what all nouns have."""
    table = cast("dict[str, Any]", COMMANDS)
    for name in ("policy", "identity", "image"):
        monkeypatch.setitem(table, f"sample-{name}", Row(f"tests.cli.sample_nouns:{name}", "A sample."))
