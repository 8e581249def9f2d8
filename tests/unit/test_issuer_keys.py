"""Keys of issuers are kept for a while: not asked for too often, and not believed for too long."""

from datetime import timedelta
from typing import Any

import pytest

from moorage.adapters.memory.issuers import MemoryIssuers
from moorage.domain.errors import Unavailable
from moorage.services.issuer_keys import KeptIssuerKeys
from tests.protocol.world import Clock
from tests.unit.faults import Faults
from tests.unit.token_issuer import public_jwk

ISSUER = "https://issuer.example.com"
SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)


class Bench:
    """Kept keys over issuers in memory that count how often they are asked."""

    def __init__(self) -> None:
        self.clock, self.faults, self.issuers = Clock(), Faults(), MemoryIssuers()
        self.kept = KeptIssuerKeys(self.faults.wrap(self.issuers), self.clock)
        self.publish("a")

    def publish(self, *kids: str, age: timedelta | None = None, issuer: str = ISSUER) -> None:
        self.issuers.publish(issuer, {"keys": [public_jwk("P-256", kid) for kid in kids]}, age)

    def kids(self, kid: str | None = None, issuer: str = ISSUER) -> list[str | None]:
        return [key.kid for key in self.kept.keys(issuer, kid)]

    @property
    def fetched(self) -> int:
        return len(self.faults.calls)


@pytest.fixture
def bench() -> Bench:
    return Bench()


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        (None, 15 * MINUTE),
        (timedelta(0), 5 * MINUTE),
        (MINUTE, 5 * MINUTE),
        (20 * MINUTE, 20 * MINUTE),
        (60 * MINUTE, 60 * MINUTE),
        (timedelta(days=365), 60 * MINUTE),
    ],
)
def test_keys_are_kept_for_as_long_as_their_issuer_says_within_bounds(
    bench: Bench, said: Any, kept: timedelta
) -> None:
    bench.publish("a", age=said)
    assert bench.kids("a") == ["a"]
    bench.publish("b", age=said)
    bench.clock.advance(kept - SECOND)
    assert bench.kids("a") == ["a"]
    assert bench.fetched == 1
    bench.clock.advance(SECOND)
    # What the issuer has withdrawn is gone.
    assert bench.kids("a") == ["b"]


def test_an_unknown_key_is_fetched_at_most_once_a_minute(bench: Bench) -> None:
    assert bench.kids("a") == ["a"]
    bench.publish("a", "b")
    for _ in range(59):
        assert "b" not in bench.kids("b")
        bench.clock.advance(SECOND)
    assert bench.fetched == 1
    bench.clock.advance(SECOND)
    assert bench.kids("b") == ["a", "b"]
    assert bench.fetched == 2
    for number in range(120):
        bench.kids(f"invented-{number}")
        bench.clock.advance(SECOND)
    assert bench.fetched == 3


def test_a_token_without_a_key_id_fetches_nothing_anew(bench: Bench) -> None:
    for _ in range(5):
        assert bench.kids(None) == ["a"]
        bench.clock.advance(MINUTE)
    assert bench.fetched == 1


def test_a_failure_is_repeated_for_half_a_minute_without_asking(bench: Bench) -> None:
    bench.issuers.withdraw(ISSUER)
    for _ in range(30):
        with pytest.raises(Unavailable, match=ISSUER):
            bench.kids("a")
        bench.clock.advance(SECOND)
    assert bench.fetched == 1
    bench.publish("a")
    assert bench.kids("a") == ["a"]


def test_keys_are_not_believed_after_their_time_though_their_issuer_is_down(bench: Bench) -> None:
    assert bench.kids("a") == ["a"]
    bench.issuers.withdraw(ISSUER)
    bench.clock.advance(15 * MINUTE - SECOND)
    assert bench.kids("a") == ["a"]
    bench.clock.advance(SECOND)
    for _ in range(100):
        with pytest.raises(Unavailable):
            bench.kids("a")
        bench.clock.advance(10 * SECOND)
    assert bench.fetched < 40


def test_an_issuer_that_is_down_takes_nothing_from_keys_that_are_known(bench: Bench) -> None:
    assert bench.kids("a") == ["a"]
    bench.issuers.withdraw(ISSUER)
    bench.clock.advance(MINUTE)
    for _ in range(60):
        # Whether there is such a key is not known.
        with pytest.raises(Unavailable):
            bench.kids("b")
        assert bench.kids("a") == ["a"]
        bench.clock.advance(SECOND)
    assert bench.fetched == 2
    bench.publish("a", "b")
    assert bench.kids("b") == ["a", "b"]


def test_a_failure_of_another_kind_is_not_kept(bench: Bench) -> None:
    with bench.faults.failing(named="fetch_keys", error=ZeroDivisionError), pytest.raises(ZeroDivisionError):
        bench.kids("a")
    assert bench.kids("a") == ["a"]


def test_the_number_of_issuers_is_bounded_and_the_longest_unused_is_given_up(bench: Bench) -> None:
    names = [f"https://issuer-{number}.example.com" for number in range(64)]
    for name in names:
        bench.publish("a", issuer=name)
        bench.kids("a", name)
    for name in (names[10], names[0]):
        bench.kids("a", name)
    assert bench.fetched == 64
    bench.kids("a", ISSUER)
    bench.kids("a", names[0])
    assert bench.fetched == 65
    bench.kids("a", names[1])
    assert bench.fetched == 66
    assert len(bench.kept._held) == 64
