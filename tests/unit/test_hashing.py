"""Reading the chunks of an upload ahead: in order, several at a time, and no more than that."""

import threading

import pytest

from moorage.adapters.memory import MemoryStorage
from moorage.domain.errors import Unavailable
from moorage.services import hashing
from moorage.services.hashing import READ_AHEAD, content_of, contents


class Watched(MemoryStorage):
    """Storage whose reads wait until as many have begun as are expected to run side by side."""

    def __init__(self, together: int) -> None:
        super().__init__()
        self.running = 0
        self.most = 0
        self._changed = threading.Condition()
        self._together = together

    def read(self, key):
        with self._changed:
            self.running += 1
            self.most = max(self.most, self.running)
            self._changed.notify_all()
            assert self._changed.wait_for(lambda: self.most >= self._together, timeout=20)
        try:
            return super().read(key)
        finally:
            with self._changed:
                self.running -= 1


@pytest.mark.parametrize("count", [0, 1, 2, READ_AHEAD, READ_AHEAD * 3 + 1])
def test_chunks_come_in_order_and_are_read_side_by_side_up_to_the_limit(count):
    storage = Watched(min(count, READ_AHEAD))
    keys = [f"chunks/{number}" for number in range(count)]
    for number, key in enumerate(keys):
        storage.put(key, bytes([number]) * (number + 1))
    assert list(contents(storage, keys)) == [bytes([number]) * (number + 1) for number in range(count)]
    assert storage.most == min(count, READ_AHEAD)


def test_a_chunk_that_is_not_there_is_told_in_its_place():
    storage = MemoryStorage()
    storage.put("chunks/a", b"a")
    assert list(contents(storage, ["chunks/a", "chunks/b", "chunks/a"])) == [b"a", None, b"a"]


def test_a_failing_store_fails_the_reader():
    class Failing(MemoryStorage):
        def read(self, key):
            raise Unavailable("down")

    with pytest.raises(Unavailable):
        list(contents(Failing(), ["chunks/a", "chunks/b"]))


def test_a_reader_that_stops_early_leaves_no_thread_behind():
    storage = MemoryStorage()
    keys = [f"chunks/{number}" for number in range(50)]
    for key in keys:
        storage.put(key, b"x")
    before = threading.active_count()
    reading = contents(storage, keys)
    next(reading)
    reading.close()
    assert threading.active_count() == before


# ------------------------------------------------------------------ one object, in ranges
@pytest.fixture
def ranges_of_7(monkeypatch):
    monkeypatch.setattr(hashing, "_RANGE", 7)


@pytest.mark.usefixtures("ranges_of_7")
@pytest.mark.parametrize("size", [0, 1, 6, 7, 8, 13, 14, 15, 7 * READ_AHEAD + 3, 7 * 3 * READ_AHEAD])
def test_an_object_is_read_whole_whatever_its_size(size):
    content = bytes(number % 251 for number in range(size))
    storage = MemoryStorage()
    storage.put("object", content)
    assert b"".join(content_of(storage, "object", size)) == content


@pytest.mark.usefixtures("ranges_of_7")
@pytest.mark.parametrize("size", [3, 7, 8, 1000])
def test_an_object_that_is_gone_or_shorter_than_it_was_is_an_outage(size):
    with pytest.raises(Unavailable):
        list(content_of(MemoryStorage(), "object", size))
    storage = MemoryStorage()
    storage.put("object", bytes(size))
    with pytest.raises(Unavailable):
        list(content_of(storage, "object", size + 7))


@pytest.mark.usefixtures("ranges_of_7")
def test_an_object_that_goes_while_it_is_read_is_an_outage():
    class Vanishing(MemoryStorage):
        reads = 0

        def read_range(self, key, start, size):
            self.reads += 1
            if self.reads > READ_AHEAD + 2:
                self.delete([key])
            return super().read_range(key, start, size)

    storage = Vanishing()
    storage.put("object", bytes(7 * 100))
    with pytest.raises(Unavailable):
        list(content_of(storage, "object", 7 * 100))


@pytest.mark.usefixtures("ranges_of_7")
def test_ranges_are_read_side_by_side_and_a_reader_that_stops_leaves_no_thread():
    class Side(MemoryStorage):
        def __init__(self):
            super().__init__()
            self.met = threading.Barrier(READ_AHEAD, timeout=10)

        def read_range(self, key, start, size):
            if start < 7 * READ_AHEAD:
                self.met.wait()
            return super().read_range(key, start, size)

    storage = Side()
    storage.put("object", bytes(7 * 100))
    before = threading.active_count()
    reading = content_of(storage, "object", 7 * 100)
    # It comes to this only when so many reads wait for each other.
    assert next(reading) == bytes(7)
    reading.close()
    assert threading.active_count() == before
