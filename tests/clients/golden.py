"""Records what each client says to the registry in a small push and a small pull, as transcripts to be replayed.

The replay knows the registry and no storage beside it, so uploads go through the API here, whoever sends them.
Run as a program it writes all of them, or those of the clients that are named.
"""

from __future__ import annotations

import sys
from contextlib import ExitStack
from pathlib import Path

from tests.clients import cloud, matrix, relay
from tests.clients.command import Outcome
from tests.clients.folders import named_for_clients
from tests.clients.image import TAG
from tests.clients.redaction import Redaction
from tests.clients.relay import Exchange, Relay
from tests.clients.roster import MAKERS, parsed_version
from tests.clients.subject import content
from tests.protocol.transcript import FOLDER, Transcript

SIZES = (1_000, 2_000)


def main(clients: list[str]) -> int:
    """Write the transcripts; 1 when a client fails."""
    FOLDER.mkdir(exist_ok=True)
    with (
        named_for_clients() as place,
        cloud.running(place, front_door=False) as running,
    ):
        for name in clients or matrix.CLIENTS:
            folder = place / name
            folder.mkdir()
            with ExitStack() as stack:
                between = stack.enter_context(relay.between(running.endpoint))
                version, push, pull = _sessions(name, folder, running, between, stack)
            redaction = Redaction(between.host, running.admin, push)
            client, repository = f"{name} {version}", f"{running.org}/{name}"
            for case, exchanges in (("push", push), ("pull", pull)):
                transcript = Transcript(
                    client, repository, case == "pull", redaction.blobs, redaction.manifests
                )
                transcript.turns.extend(redaction.turns(exchanges))
                transcript.write(FOLDER / f"{name}-{case}.json")
            print(f"{client}: {len(push)} requests in a push, {len(pull)} in a pull")
    return 0


def _sessions(
    name: str, folder: Path, running: cloud.Cloud, between: Relay, stack: ExitStack
) -> tuple[str, list[Exchange], list[Exchange]]:
    """The client's version, and what it says in a push and in a pull after it has logged in."""
    pushing, pulling, images = folder / "pushing", folder / "pulling", folder / "images"
    for part in (pushing, pulling, images):
        part.mkdir()
    driver = MAKERS[name](pushing, folder / "daemons.log", stack)
    version = parsed_version(driver.version())
    reference = f"{between.host}/{running.org}/{name}:{TAG}"
    pushed = content(name, images, name, SIZES)
    _must(driver.login(between.host, running.admin))
    first = len(between.exchanges)
    _must(driver.push(pushed, reference))
    push = between.exchanges[first:]
    fresh = MAKERS[name](pulling, folder / "daemons.log", stack)
    _must(fresh.login(between.host, running.admin))
    first = len(between.exchanges)
    _must(fresh.pull(reference)[0])
    return version, push, between.exchanges[first:]


def _must(outcome: Outcome) -> None:
    if outcome.exit_code != 0:
        raise RuntimeError(str(outcome))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
