"""Making and rotating secrets: whatever dies or runs twice, what signs can be verified."""

import hashlib
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import pytest

from moorage.adapters.key_pairs import new_key_pair
from moorage.domain.errors import Unavailable
from moorage.ports import SIGNING_KEY, UPLOAD_KEY, PublicKey
from moorage.services.secrets import RETIREMENT, SecretNames, Secrets
from tests.unit.secret_fakes import MemorySecretRecords, MemorySecretWriter, Writes

START = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)
LIFETIME = timedelta(days=30)
NAMES = SecretNames("/m/signing-key", "/m/upload-key", "/m/bootstrap")
ALL = {NAMES.signing_key, "/m/upload-key/a", "/m/upload-key/b", NAMES.bootstrap}


class World:
    """The service over fakes, with a clock that the test turns."""

    def __init__(self) -> None:
        self.now = START
        self.writes = Writes()
        self.writer = MemorySecretWriter(self.writes)
        self.records = MemorySecretRecords(self.writes)
        self.secrets = Secrets(
            writer=self.writer,
            records=self.records,
            names=NAMES,
            new_key_pair=new_key_pair,
            clock=lambda: self.now,
            lifetime=LIFETIME,
        )

    def signing_key(self) -> Any:
        return json.loads(self.writer.latest(NAMES.signing_key))

    def verifies(self, signing_key: Any) -> bool:
        """Whether a token signed with ``signing_key`` now is believed now."""
        key, _ = self.records.published[signing_key["kid"]]
        token = jwt.encode({"sub": "x"}, signing_key["private_pem"], algorithm="ES256")
        jwt.decode(token, key.pem, algorithms=["ES256"])
        return key.not_after is None or self.now < key.not_after

    def check(self) -> None:
        """What must hold whenever no run is under way."""
        assert self.verifies(self.signing_key())
        assert self.records.find_bootstrap() == sha256(self.writer.latest(NAMES.bootstrap))
        state = self.records.states[UPLOAD_KEY]
        current = json.loads(
            self.writer.versions[f"{NAMES.upload_key_prefix}/{state.kid}"][state.version - 1]
        )
        assert current["kid"] == state.kid
        assert len(bytes.fromhex(current["key"])) == 32


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


@pytest.fixture
def world() -> World:
    return World()


def test_ensure_makes_everything_once(world: World) -> None:
    assert world.secrets.ensure() == ["signing-key", "upload-key", "bootstrap"]
    assert set(world.writer.versions) == ALL
    world.check()
    before = world.writes.count
    assert world.secrets.ensure() == []
    assert world.writes.count == before


def test_signing_key_has_the_promised_format(world: World) -> None:
    world.secrets.ensure()
    stored = world.signing_key()
    assert list(stored) == ["v", "kid", "private_pem", "created"]
    assert stored["v"] == 1
    assert stored["created"] == int(START.timestamp())
    assert stored["kid"] == world.records.states[SIGNING_KEY].kid


def test_nothing_recorded_is_secret(world: World) -> None:
    world.secrets.ensure()
    world.now += LIFETIME
    world.secrets.rotate()
    recorded = repr(vars(world.records)) + repr(world.writes.log)
    for name, values in world.writer.versions.items():
        for value in values:
            secret = json.loads(value) if value.startswith("{") else {"whole": value}
            for part in ("private_pem", "key", "whole"):
                assert secret.get(part, "\0") not in recorded, name
    assert "PRIVATE" not in recorded


def test_two_stacks_share_no_secret(world: World) -> None:
    other = World()
    world.secrets.ensure()
    other.secrets.ensure()
    assert all(world.writer.latest(name) != other.writer.latest(name) for name in ALL)


def test_public_key_is_published_before_the_private_one_is_stored(world: World) -> None:
    world.secrets.ensure()
    log = world.writes.log
    assert log.index("public key") < log.index(f"secret {NAMES.signing_key}") < log.index("state signing-key")
    assert log.index(f"secret {NAMES.bootstrap}") < log.index("bootstrap")


@pytest.mark.parametrize("number", range(8))
def test_ensure_that_dies_before_any_write_is_made_good_by_a_repetition(world: World, number: int) -> None:
    with world.writes.dying_before(number), pytest.raises(Unavailable):
        world.secrets.ensure()
    if NAMES.signing_key in world.writer.versions:
        assert world.verifies(world.signing_key())
    world.secrets.ensure()
    world.check()


def test_ensure_has_no_more_writes_than_the_ones_it_is_killed_at(world: World) -> None:
    world.secrets.ensure()
    assert world.writes.count == 8


def test_rotation_waits_for_the_age(world: World) -> None:
    world.secrets.ensure()
    world.now += LIFETIME - timedelta(seconds=1)
    before = world.writes.count
    assert world.secrets.rotate() == []
    assert world.writes.count == before
    world.now += timedelta(seconds=1)
    assert world.secrets.rotate() == ["signing-key", "upload-key"]
    world.check()
    assert world.secrets.rotate() == []


def test_rotation_before_the_first_deployment_makes_nothing(world: World) -> None:
    assert world.secrets.rotate() == []
    assert world.writes.count == 0


def test_rotated_key_verifies_for_a_day_and_then_no_longer(world: World) -> None:
    world.secrets.ensure()
    old = world.signing_key()
    world.now += LIFETIME
    world.secrets.rotate()
    assert world.signing_key()["kid"] != old["kid"]
    # An environment that read the old key just before may sign with it for minutes.
    world.now += timedelta(minutes=10)
    assert world.verifies(old)
    world.now += RETIREMENT
    assert not world.verifies(old)
    assert world.verifies(world.signing_key())


def test_each_rotation_ends_exactly_the_key_before_it(world: World) -> None:
    world.secrets.ensure()
    for _ in range(4):
        world.now += LIFETIME
        world.secrets.rotate()
    ends = [key.not_after for key, _ in world.records.published.values()]
    assert ends == [START + n * LIFETIME + RETIREMENT for n in (1, 2, 3, 4)] + [None]


@pytest.mark.parametrize("number", range(6))
def test_rotation_that_dies_before_any_write_leaves_keys_that_verify(world: World, number: int) -> None:
    world.secrets.ensure()
    world.now += LIFETIME
    with world.writes.dying_before(number), pytest.raises(Unavailable):
        world.secrets.rotate()
    world.check()
    for _ in range(3):
        world.now += timedelta(days=1)
        world.secrets.rotate()
        world.check()


def test_rotation_has_no_more_writes_than_the_ones_it_is_killed_at(world: World) -> None:
    world.secrets.ensure()
    before = world.writes.count
    world.now += LIFETIME
    world.secrets.rotate()
    assert world.writes.count - before == 6


def test_upload_keys_take_turns_and_only_the_resting_one_is_renewed(world: World) -> None:
    world.secrets.ensure()
    seen = []
    for _ in range(4):
        kid = world.records.states[UPLOAD_KEY].kid
        in_use = world.writer.latest(f"/m/upload-key/{kid}")
        seen.append(kid)
        world.now += LIFETIME
        world.secrets.rotate()
        assert world.writer.latest(f"/m/upload-key/{kid}") == in_use
        world.check()
    assert seen == ["a", "b", "a", "b"]


def test_two_first_deployments_at_once_agree_with_what_is_stored(world: World) -> None:
    """Every place where a second run can overtake the first."""
    for place in range(8):
        world = World()
        happen = world.writes.happen

        def overtaken(what: str, *, world: World = world, place: int = place, happen=happen) -> None:
            if world.writes.count == place:
                world.writes.happen = happen  # type: ignore[method-assign]
                world.secrets.ensure()
            happen(what)

        world.writes.happen = overtaken  # type: ignore[method-assign]
        world.secrets.ensure()
        world.check()
        assert world.records.states[SIGNING_KEY].kid == world.signing_key()["kid"]


def test_two_rotations_at_once_do_not_end_the_key_in_use() -> None:
    for place in range(6):
        world = World()
        world.secrets.ensure()
        world.now += LIFETIME
        start = world.writes.count
        happen = world.writes.happen

        def overtaken(what: str, *, world: World = world, at: int = start + place, happen=happen) -> None:
            if world.writes.count == at:
                world.writes.happen = happen  # type: ignore[method-assign]
                world.secrets.rotate()
            happen(what)

        world.writes.happen = overtaken  # type: ignore[method-assign]
        world.secrets.rotate()
        world.check()
        world.now += RETIREMENT
        world.check()


def test_key_of_an_unfinished_run_is_not_ended(world: World) -> None:
    world.secrets.ensure()
    world.now += LIFETIME
    world.records.publish_verification_key(
        PublicKey("unfinished", "pem", None), world.now - timedelta(minutes=1)
    )
    world.secrets.rotate()
    assert world.records.published["unfinished"][0].not_after is None


def test_leftovers_of_an_earlier_stack_of_the_same_name_are_replaced(world: World) -> None:
    for name in sorted(ALL):
        world.writer.write_secret(name, "left over")
    world.secrets.ensure()
    world.check()
    assert "left over" not in {world.writer.latest(name) for name in ALL}


def test_replacement_ends_every_old_key_now_and_renews_both_upload_keys(world: World) -> None:
    world.secrets.ensure()
    old = world.signing_key()
    uploads = [world.writer.latest(f"/m/upload-key/{kid}") for kid in "ab"]
    world.now += timedelta(minutes=1)
    assert world.secrets.replace() == ["signing-key", "upload-key"]
    world.check()
    assert not world.verifies(old)
    assert world.verifies(world.signing_key())
    assert not {world.writer.latest(f"/m/upload-key/{kid}") for kid in "ab"} & set(uploads)
    assert len(world.writer.versions[NAMES.bootstrap]) == 1


def test_replacement_ends_at_once_what_a_rotation_had_left_for_a_day(world: World) -> None:
    world.secrets.ensure()
    old = world.signing_key()
    world.now += LIFETIME
    world.secrets.rotate()
    world.now += timedelta(minutes=1)
    assert world.verifies(old)
    world.secrets.replace()
    assert not world.verifies(old)
    world.check()


@pytest.mark.parametrize("number", range(8))
def test_replacement_that_dies_before_any_write_is_made_good_by_a_repetition(
    world: World, number: int
) -> None:
    world.secrets.ensure()
    old = world.signing_key()
    world.now += timedelta(minutes=1)
    with world.writes.dying_before(number), pytest.raises(Unavailable):
        world.secrets.replace()
    world.check()
    world.now += timedelta(minutes=1)
    world.secrets.replace()
    world.check()
    assert not world.verifies(old)


def test_replacement_has_no_more_writes_than_the_ones_it_is_killed_at(world: World) -> None:
    world.secrets.ensure()
    before = world.writes.count
    world.secrets.replace()
    assert world.writes.count - before == 8


def test_parameter_that_was_deleted_by_hand_is_made_again_and_tokens_go_on(world: World) -> None:
    world.secrets.ensure()
    for _ in range(3):
        world.now += LIFETIME
        world.secrets.rotate()
    # SSM counts the versions of a parameter that is made anew from 1.
    world.writer.versions[NAMES.signing_key].clear()
    world.now += LIFETIME
    for _ in range(6):
        world.secrets.rotate()
        assert world.verifies(world.signing_key())
        world.now += timedelta(days=1)
    assert world.records.states[SIGNING_KEY].kid == world.signing_key()["kid"]
