"""The upload keys and the front door: what paths are signed with, the front door knows, whatever dies or races."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, nullcontext
from datetime import timedelta
from itertools import product

import pytest

from moorage.adapters.key_pairs import new_key_pair
from moorage.domain.errors import Unavailable
from moorage.ports import UPLOAD_KEY, KeyPair
from moorage.services.secrets import Secrets, upload_kid
from tests.unit.secret_fakes import MemoryEdgeKeys, MemorySecretRecords, MemorySecretWriter, Writes
from tests.unit.test_secrets import LIFETIME, NAMES, START

# Making a pair takes longer than everything else here.
PAIR = new_key_pair()
PREFIX = NAMES.upload_key_prefix


class World:
    """The service over fakes, with a front door, and a clock that the test turns."""

    def __init__(self) -> None:
        self.now = START
        self.writes = Writes()
        self.writer = MemorySecretWriter(self.writes)
        self.records = MemorySecretRecords(self.writes)
        self.edge = MemoryEdgeKeys(self.writes)
        self._pairs = 0
        self.secrets = Secrets(
            writer=self.writer,
            records=self.records,
            names=NAMES,
            new_key_pair=self._pair,
            clock=lambda: self.now,
            lifetime=LIFETIME,
            edge=self.edge,
            propagate=lambda: self.writes.log.append("propagate"),
        )

    def _pair(self) -> KeyPair:
        self._pairs += 1
        return KeyPair(f"{PAIR.kid}{self._pairs}", PAIR.private_pem, PAIR.public_pem)

    @property
    def kid(self) -> str:
        """The one that paths are signed with."""
        return upload_kid(self.records.states[UPLOAD_KEY])

    def signing(self) -> tuple[str, str]:
        """What the registry reads: kid and key of the recorded version."""
        state = self.records.states[UPLOAD_KEY]
        return self.kid, json.loads(self.writer.versions[f"{PREFIX}/{state.kid}"][state.version - 1])["key"]

    def check(self) -> None:
        """At every moment, within a run and after its death: what signs is known to the front door."""
        if UPLOAD_KEY in self.records.states:
            kid, key = self.signing()
            assert self.edge.keys.get(kid) == key, self.writes.log

    @contextmanager
    def checked_at_every_write(self) -> Iterator[None]:
        happen = self.writes.happen

        def checking(what: str) -> None:
            self.check()
            happen(what)

        self.writes.happen = checking  # type: ignore[method-assign]
        try:
            yield
        finally:
            self.writes.happen = happen  # type: ignore[method-assign]
        self.check()


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def made(world: World) -> World:
    world.secrets.ensure()
    world.check()
    return world


def test_both_first_keys_are_known_to_the_front_door_before_one_is_in_use(world: World) -> None:
    with world.checked_at_every_write():
        world.secrets.ensure()
    assert set(world.edge.keys) == {"a1", "b1"}
    assert world.kid == "a1"
    log = world.writes.log
    for slot in "ab":
        assert (
            log.index(f"secret {PREFIX}/{slot}")
            < log.index(f"publish {slot}1")
            < log.index("state upload-key")
        )


def test_a_kid_is_a_slot_and_a_version_so_that_no_two_keys_share_one(made: World) -> None:
    seen = {made.kid}
    for number in range(1, 6):
        made.now += LIFETIME
        made.secrets.rotate()
        assert made.kid not in seen
        seen.add(made.kid)
        assert len(seen) == number + 1
    assert seen == {"a1", "b2", "a2", "b3", "a3", "b4"}


def test_a_rotation_leaves_the_key_that_paths_were_just_signed_with(made: World) -> None:
    for _ in range(5):
        before = made.signing()
        made.now += LIFETIME
        with made.checked_at_every_write():
            made.secrets.rotate()
        assert made.kid != before[0]
        # Its paths live for hours, and it for a lifetime more.
        assert made.edge.keys[before[0]] == before[1]
        assert set(made.edge.keys) == {before[0], made.kid}


def test_the_older_key_of_a_slot_goes_when_its_successor_has_come_into_use(made: World) -> None:
    made.now += LIFETIME
    made.writes.log.clear()
    made.secrets.rotate()
    log = [
        entry
        for entry in made.writes.log
        if "upload-key" in entry or "b" in entry[-2:] or entry == "propagate"
    ]
    assert [entry for entry in made.writes.log if "signing-key" not in entry][2:] == [
        f"secret {PREFIX}/b",
        "publish b2",
        "propagate",
        "state upload-key",
        "withdraw b1",
    ], log


def test_a_scheduled_rotation_waits_for_the_front_door_and_nothing_else_does(world: World) -> None:
    world.secrets.ensure()
    world.secrets.replace()
    world.edge.keys.clear()
    world.secrets.ensure()
    world.secrets.rotate()
    assert "propagate" not in world.writes.log
    world.now += LIFETIME
    world.secrets.rotate()
    assert world.writes.log.count("propagate") == 1


def test_where_there_is_no_front_door_nothing_waits() -> None:
    writes = Writes()
    waited = []
    now = [START]
    secrets = Secrets(
        writer=MemorySecretWriter(writes),
        records=MemorySecretRecords(writes),
        names=NAMES,
        new_key_pair=new_key_pair,
        clock=lambda: now[0],
        lifetime=LIFETIME,
        propagate=lambda: waited.append("propagate"),
    )
    secrets.ensure()
    now[0] += LIFETIME
    assert secrets.rotate() == ["signing-key", "upload-key"]
    secrets.replace()
    assert waited == []


def test_a_new_empty_store_is_filled_by_the_next_deployment(made: World) -> None:
    """The front door was taken away and made again: nobody can read a key that exists, so a new one is made."""
    made.edge.keys.clear()
    assert made.secrets.ensure() == [UPLOAD_KEY]
    made.check()
    assert made.kid == "b2"
    assert made.secrets.ensure() == []
    # And it was renewed once, not with every deployment.
    assert len(made.writer.versions[f"{PREFIX}/b"]) == 2


def test_a_front_door_that_comes_later_gets_a_key_of_its_own() -> None:
    world = World()
    without = Secrets(
        writer=world.writer,
        records=world.records,
        names=NAMES,
        new_key_pair=new_key_pair,
        clock=lambda: world.now,
        lifetime=LIFETIME,
    )
    without.ensure()
    assert world.edge.keys == {}
    assert world.secrets.ensure() == [UPLOAD_KEY]
    world.check()


def test_a_deployment_renews_nothing_that_the_front_door_knows(made: World) -> None:
    made.edge.keys.pop("b1")
    before = made.writes.count
    assert made.secrets.ensure() == []
    assert made.writes.count == before


def test_a_replacement_ends_both_old_keys(made: World) -> None:
    for _ in range(3):
        old = set(made.edge.keys)
        made.now += timedelta(minutes=1)
        assert made.secrets.replace() == ["signing-key", UPLOAD_KEY]
        made.check()
        assert not old & set(made.edge.keys)
        assert len(made.edge.keys) == 2


# ------------------------------------------------------------------ crashes
def empty(world: World) -> None:
    """Nothing was deployed yet."""


def deployed(world: World) -> None:
    world.secrets.ensure()


def due(world: World) -> None:
    world.secrets.ensure()
    world.now += LIFETIME


def forgotten(world: World) -> None:
    world.secrets.ensure()
    world.edge.keys.clear()


def prepared(prepare: Callable[[World], None]) -> World:
    world = World()
    prepare(world)
    return world


RUNS = [(empty, "ensure"), (due, "rotate"), (deployed, "replace"), (forgotten, "ensure")]
runs = pytest.mark.parametrize(
    ("prepare", "run"), RUNS, ids=["first", "rotation", "replacement", "new store"]
)


@runs
def test_whatever_write_a_run_dies_before_what_signs_is_known_and_a_repetition_ends_it(
    prepare: Callable[[World], None], run: str
) -> None:
    number = 0
    while True:
        world = prepared(prepare)
        died = False
        # Of a store that was emptied, the key that signs is unknown until the run has ended.
        checked = world.checked_at_every_write() if prepare is not forgotten else nullcontext()
        with checked, world.writes.dying_before(number):
            try:
                getattr(world.secrets, run)()
            except Unavailable:
                died = True
        getattr(world.secrets, run)()
        world.check()
        assert world.secrets.ensure() == []
        # What died runs have left goes with the next rotations of its slot.
        for _ in range(2):
            world.now += LIFETIME
            world.secrets.rotate()
            world.check()
        assert len(world.edge.keys) == 2
        if not died:
            break
        number += 1
    assert number > 3


# ------------------------------------------------------------------ two runs at once
@contextmanager
def overtaken(world: World, at: int, by: Callable[[], object]) -> Iterator[Callable[[], bool]]:
    """Another run happens as a whole before the ``at``-th write of the first,."""
    happen, steps = world.writes.happen, [0]
    done: list[str] = []

    def interrupt(what: str) -> None:
        if steps[0] == at and not done:
            done.append(what)
            by()
        steps[0] += 1
        world.check()
        happen(what)
        world.check()

    world.writes.happen = interrupt  # type: ignore[method-assign]
    try:
        yield lambda: bool(done)
    finally:
        world.writes.happen = happen  # type: ignore[method-assign]


@pytest.mark.parametrize(
    ("prepare", "first", "second"),
    [
        (empty, "ensure", ["ensure"]),
        (empty, "ensure", ["ensure", "replace"]),
        *(
            (due, first, list(second))
            for first in ("ensure", "rotate", "replace")
            for count in (1, 2)
            for second in product(("rotate", "replace"), repeat=count)
        ),
    ],
    ids=lambda value: (
        value.__name__ if callable(value) else "-".join([value] if isinstance(value, str) else value)
    ),
)
def test_of_two_runs_at_once_the_recorded_key_is_known_at_every_step(
    prepare: Callable[[World], None], first: str, second: list[str]
) -> None:
    at = 0
    while True:
        world = prepared(prepare)

        def by(world: World = world) -> None:
            for run in second:
                getattr(world.secrets, run)()
                world.check()

        with overtaken(world, at, by) as happened:
            getattr(world.secrets, first)()
        world.check()
        # Both have ended: whatever they have left, the next ones put right.
        for _ in range(2):
            world.now += LIFETIME
            world.secrets.rotate()
            world.check()
        assert len(world.edge.keys) == 2
        if not happened():
            break
        at += 1
    assert at > 0 or first == "ensure"


@pytest.mark.parametrize("times", [1, 2, 3])
@pytest.mark.parametrize("first_listed", [True, False])
def test_a_run_that_is_overtaken_while_it_looks_at_the_store_takes_no_key_away_that_is_in_use(
    first_listed: bool, times: int
) -> None:
    """It has recorded its key; before it takes the others away, they have all been renewed."""
    world = prepared(due)
    kids, left = world.edge.kids, [times]

    def slow() -> Collection[str]:
        listed = kids()
        if left[0]:
            runs, left[0] = left[0], 0
            for _ in range(runs):
                world.secrets.replace()
        return listed if first_listed else kids()

    world.edge.kids = slow  # type: ignore[method-assign]
    world.secrets.rotate()
    world.check()
    world.secrets.ensure()
    world.check()


@pytest.mark.parametrize("turns", range(40))
def test_two_rotations_step_by_step_in_any_order(turns: int) -> None:
    """Two runs as generators of their writes: each order of their steps that ``turns`` spells."""
    world = prepared(due)
    happen = world.writes.happen
    gates = [threading.Semaphore(0), threading.Semaphore(0)]
    arrived = threading.Semaphore(0)
    names: dict[int, int] = {}

    def step(what: str) -> None:
        number = names[threading.get_ident()]
        arrived.release()
        assert gates[number].acquire(timeout=20)
        world.check()
        happen(what)
        world.check()

    world.writes.happen = step  # type: ignore[method-assign]
    failures: list[BaseException] = []
    alive = [True, True]

    def run(number: int) -> None:
        names[threading.get_ident()] = number
        try:
            world.secrets.rotate()
        except BaseException as failure:  # noqa: BLE001
            failures.append(failure)
        alive[number] = False
        arrived.release()

    threads = [threading.Thread(target=run, args=(number,)) for number in (0, 1)]
    for thread in threads:
        thread.start()
    for _ in threads:
        assert arrived.acquire(timeout=20)
    order = turns * 2654435761 % 2**32
    while any(alive):
        number = order & 1 if all(alive) else alive.index(True)
        order = (order >> 1) | ((order & 1) << 31)
        gates[number].release()
        assert arrived.acquire(timeout=20)
    for thread in threads:
        thread.join(20)
    assert failures == []
    world.writes.happen = happen  # type: ignore[method-assign]
    world.check()
