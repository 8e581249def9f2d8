"""What the cache of the local CloudFront keeps, for how long, and what it forgets first."""

import pytest

from local.distribution import Caching
from local.edge_cache import EdgeCache

POLICY = Caching((), 5, 60, 600)


class Clock:
    now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def cache(tmp_path, clock):
    (tmp_path / "left-by-a-killed-process").write_bytes(b"x")
    return EdgeCache(tmp_path, most_bytes=10, clock=clock)


def fill(cache, key, content, size=None, **headers):
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    length = str(len(content) if size is None else size)
    found = cache.fill((key,), POLICY, [*named.items(), ("content-length", length)])
    if found is not None:
        for byte in content:
            found.take(bytes([byte]))
        found.end()
    return found


def content(cache, key):
    kept = cache.find((key,))
    return None if kept is None else kept.path.read_bytes()


def test_begins_empty(cache, tmp_path):
    assert list(tmp_path.iterdir()) == []
    assert cache.find(("a",)) is None


def test_what_was_filled_is_found_with_its_headers(cache, clock):
    assert cache.find(("a",)) is None
    fill(cache, "a", b"1234", etag="e")
    clock.now += 7.9
    kept = cache.find(("a",))
    assert kept.path.read_bytes() == b"1234"
    assert (kept.size, cache.age(kept)) == (4, 7)
    assert ("etag", "e") in kept.headers


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        ("", 60),
        ("max-age=30", 30),
        ("public, Max-Age=30, immutable", 30),
        ("max-age=30, s-maxage=40", 40),
        ("max-age=1", 5),
        ("max-age=9999", 600),
        ("no-store", 5),
        ("private", 5),
        ("no-cache, max-age=30", 5),
    ],
)
def test_time_is_over_when_origin_and_policy_say(cache, clock, said, seconds):
    fill(cache, "a", b"1", **({"cache_control": said} if said else {}))
    clock.now += seconds - 0.1
    assert content(cache, "a") == b"1"
    clock.now += 0.1
    assert cache.find(("a",)) is None


def test_what_time_took_leaves_no_file(cache, clock, tmp_path):
    fill(cache, "a", b"1")
    clock.now += 60
    assert cache.find(("a",)) is None
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("headers", [[], [("content-length", "x")], [("content-length", "11")]])
def test_without_a_length_that_fits_nothing_is_kept(cache, headers, tmp_path):
    assert cache.fill(("a",), POLICY, headers) is None
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("size", [1, 3])
def test_another_number_of_bytes_than_announced_is_not_kept(cache, size, tmp_path):
    assert fill(cache, "a", b"12", size) is not None
    assert cache.find(("a",)) is None
    assert list(tmp_path.iterdir()) == []


def test_what_was_asked_for_longest_ago_goes_first(cache, tmp_path):
    for key in "abc":
        fill(cache, key, b"123")
    assert content(cache, "a") == b"123"
    fill(cache, "d", b"1234")
    assert [content(cache, key) for key in "abcd"] == [b"123", None, b"123", b"1234"]
    fill(cache, "e", b"1234567890")
    assert [content(cache, key) for key in "acde"] == [None, None, None, b"1234567890"]
    assert len(list(tmp_path.iterdir())) == 1


def test_what_is_on_its_way_takes_room_and_is_not_taken_twice(cache):
    fill(cache, "a", b"123")
    first = cache.fill(("b",), POLICY, [("content-length", "6")])
    assert cache.fill(("b",), POLICY, [("content-length", "6")]) is None
    assert cache.fill(("c",), POLICY, [("content-length", "5")]) is None
    assert content(cache, "a") == b"123"
    second = cache.fill(("d",), POLICY, [("content-length", "4")])
    assert content(cache, "a") is None
    for each, part in ((first, b"123456"), (second, b"1234")):
        each.take(part)
        each.end()
    assert (content(cache, "b"), content(cache, "d")) == (b"123456", b"1234")


def test_what_was_removed_can_be_read_to_its_end(cache):
    fill(cache, "a", b"123")
    with cache.find(("a",)).path.open("rb") as file:
        fill(cache, "b", b"1234567890")
        assert cache.find(("a",)) is None
        assert file.read() == b"123"


def test_disk_that_takes_nothing_keeps_nothing(cache, tmp_path):
    tmp_path.rmdir()
    assert fill(cache, "a", b"123") is None


def test_later_answer_takes_the_place_of_an_earlier_one(cache, clock, tmp_path):
    fill(cache, "a", b"123")
    fill(cache, "a", b"4567")
    assert content(cache, "a") == b"4567"
    assert len(list(tmp_path.iterdir())) == 1
