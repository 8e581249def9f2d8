"""A token that expires while the client is at work: nothing is lost, and almost all clients get another and go on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from moorage.ports import SigningKey
from tests.clients import ageing, image, relay
from tests.clients.ageing import Ageing
from tests.clients.cells import cell
from tests.clients.command import TIMED_OUT, Outcome
from tests.clients.drivers import Driver
from tests.clients.relay import header
from tests.clients.subject import Pushed, Subject

pytestmark = pytest.mark.timeout(420)

SIZES = (1_000_000, 1_500_000)
UPLOADS = "/blobs/uploads/"
# After the first upload is opened. What is sent then goes past the API, and needs no token.
OPENED = ("POST", UPLOADS)
READ = ("GET", "/manifests/")
# It asks for one token and no second; the next try has to find everything as it was left.
GIVES_UP = {("ctr", READ)}
# Seconds. regctl takes a token that has less than five left for one whose times are wrong.
LEFT = {"regctl": 8}


@pytest.fixture(scope="session")
def key(subject: Subject) -> SigningKey:
    return ageing.signing_key(subject.cloud)


def let_expire(
    subject: Subject, key: SigningKey, middle: tuple[str, str], act: Callable[[Driver, str], Outcome]
) -> Outcome:
    """Let the token of ``act`` expire after the first request of the kind ``middle``; how ``act`` has ended then, or
    the second try of a client that gives up.
    """
    change = Ageing(key, middle, LEFT.get(subject.name, 4))
    with relay.between(subject.cloud.endpoint, change) as between:
        driver = subject.another()
        assert driver.login(between.host, subject.cloud.admin).exit_code == 0
        with change.working():
            outcome = act(driver, between.host)
        if (subject.name, middle) in GIVES_UP:
            assert outcome.exit_code not in (0, TIMED_OUT), outcome
            assert "invalid_token: authorization failed" in outcome.output
            outcome = act(driver, between.host)
        worked = [exchange for exchange in between.exchanges if change.used(exchange)]
        assert [exchange for exchange in worked if exchange.answered.status < 400]
        # Those that go by their own clock do not try the old token again; all others are told that it is over.
        refused = [exchange.answered for exchange in worked if exchange.answered.status == 401]
        for answer in refused:
            assert 'error="invalid_token"' in (header(answer.headers, "WWW-Authenticate") or "")
        asked = [exchange for exchange in between.exchanges if exchange.sent.path == "/token"]
        assert len(asked) > len(change.aged)
    return outcome


def test_push_goes_on_when_its_token_expires(
    subject: Subject, pushed: Pushed, key: SigningKey, tmp_path: Path
) -> None:
    late = subject.build(tmp_path, f"{subject.name}-late", SIZES)
    repository = f"{subject.repository}-late"
    with cell(subject, "expired token, push") as outcomes:
        outcomes.append(
            let_expire(
                subject,
                key,
                OPENED,
                lambda driver, host: driver.push(late, f"{host}/{repository}:{image.TAG}"),
            )
        )
        assert outcomes[-1].exit_code == 0, outcomes[-1]
        outcome, place = subject.driver.pull(f"{subject.recorder.host}/{repository}:{image.TAG}")
        assert outcome.exit_code == 0, outcome
        assert image.layers_of(place) == late.layers


def test_pull_goes_on_when_its_token_expires(subject: Subject, pushed: Pushed, key: SigningKey) -> None:
    places: list[Path] = []

    def pull(driver: Driver, host: str) -> Outcome:
        outcome, place = driver.pull(f"{host}/{subject.repository}:{image.TAG}")
        places.append(place)
        return outcome

    with cell(subject, "expired token, pull") as outcomes:
        outcomes.append(let_expire(subject, key, READ, pull))
        assert outcomes[-1].exit_code == 0, outcomes[-1]
        assert image.layers_of(places[-1]) == subject.image.layers
