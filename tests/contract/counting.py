"""How many requests a call costs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from moorage.adapters.json_service import JsonService


@contextmanager
def counted(client: Any) -> Iterator[list[str]]:
    """A list that grows by the operation's name with every request that a client sends, retries included."""
    sent: list[str] = []

    def note(event_name: str, **_: Any) -> None:
        sent.append(event_name.rpartition(".")[2])

    with pytest.MonkeyPatch.context() as patch:
        if isinstance(client, JsonService):
            send = client._send

            def note_and_send(operation: str, body: bytes) -> dict[str, Any]:
                sent.append(operation)
                return send(operation, body)

            patch.setattr(client, "_send", note_and_send)
            yield sent
            return
        client.meta.events.register("before-send", note)
        try:
            yield sent
        finally:
            client.meta.events.unregister("before-send", note)
