"""What each client did once is done again, without the client: a change that breaks one shows here first.

``make golden`` records anew; what has changed is then in the diff.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from tests.clients.matrix import CLIENTS
from tests.protocol.transcript import FOLDER, Replay, Transcript

if TYPE_CHECKING:
    from tests.protocol.world import World

NAMES = [f"{client}-{case}" for client in CLIENTS for case in ("push", "pull")]
# Keys, tokens, signatures of storage, addresses, times.
REDACTED = re.compile(
    r"mrg_|eyJ|X-Amz-|127\.0\.0\.1|localhost|\b[0-9a-f]{32,}\b|20[2-9]\d-\d\d-\d\dT", re.ASCII
)


def test_there_is_a_push_and_a_pull_of_each_client_and_nothing_else():
    assert sorted(file.name for file in FOLDER.iterdir()) == sorted(f"{name}.json" for name in NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_registry_answers_as_it_answered_the_client(world: World, name: str):
    transcript = Transcript.read(FOLDER / f"{name}.json")
    replay = Replay(transcript, world)
    assert transcript.given == name.endswith("-pull")
    if transcript.given:
        replay.give()
    for turn in transcript.turns:
        replay.tell(turn)
    requests = [turn.request for turn in transcript.turns]
    if transcript.given:
        assert sum("GET" in request and "/blobs/" in request for request in requests) >= len(transcript.blobs)
    else:
        assert any(request.startswith("PUT") and "/manifests/" in request for request in requests)


@pytest.mark.parametrize("name", NAMES)
def test_nothing_secret_and_nothing_of_one_run_is_kept(name: str):
    assert REDACTED.findall((FOLDER / f"{name}.json").read_text("utf-8")) == []


@pytest.mark.parametrize(
    "change",
    [
        {"status": 403},
        {"says": {}},
        {"says": {"WWW-Authenticate": 'Bearer realm="{origin}/token",service="other"'}},
        {"answer": {"code": "DENIED"}},
        {"answer": ""},
    ],
    ids=str,
)
def test_another_answer_than_the_recorded_one_is_noticed(world: World, change: dict[str, Any]):
    transcript = Transcript.read(FOLDER / "crane-push.json")
    first = transcript.turns[0]
    Replay(transcript, world).tell(first)
    says = {**first.says, **change["says"]} if change.get("says") else change.get("says", first.says)
    with pytest.raises(AssertionError, match=r"GET /v2/"):
        Replay(transcript, world).tell(replace(first, **{**change, "says": says}))
