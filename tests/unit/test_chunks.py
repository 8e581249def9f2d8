"""Reading the chunks of an upload ahead: in order, several at a time, and no more than that."""

import threading

import pytest

from moorage.adapters.memory import MemoryStorage
from moorage.domain.errors import Unavailable
from moorage.services.chunks import READ_AHEAD, read_ahead


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
    assert list(read_ahead(storage, keys)) == [bytes([number]) * (number + 1) for number in range(count)]
    assert storage.most == min(count, READ_AHEAD)


def test_a_chunk_that_is_not_there_is_told_in_its_place():
    storage = MemoryStorage()
    storage.put("chunks/a", b"a")
    assert list(read_ahead(storage, ["chunks/a", "chunks/b", "chunks/a"])) == [b"a", None, b"a"]


def test_a_failing_store_fails_the_reader():
    class Failing(MemoryStorage):
        def read(self, key):
            raise Unavailable("down")

    with pytest.raises(Unavailable):
        list(read_ahead(Failing(), ["chunks/a", "chunks/b"]))


def test_a_reader_that_stops_early_leaves_no_thread_behind():
    storage = MemoryStorage()
    keys = [f"chunks/{number}" for number in range(50)]
    for key in keys:
        storage.put(key, b"x")
    before = threading.active_count()
    reading = read_ahead(storage, keys)
    next(reading)
    reading.close()
    assert threading.active_count() == before
