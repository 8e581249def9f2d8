"""Tags under many writers, and after crashes: a tag whose manifest is gone never exists."""

import threading
from contextlib import contextmanager
from functools import partial

import pytest

from moorage.adapters.dynamodb import table as dynamodb_table
from moorage.adapters.json_service import NoAnswerError
from moorage.domain.errors import ManifestUnknown, Unavailable
from tests.contract.samples import APP, LATER, NOW, digest, manifest, push, referrer
from tests.contract.threads import together

TAGS = [f"v{number}" for number in range(4)]


def assert_consistent(table, names, tags) -> None:
    """Both kinds of rows say the same about where the tags point, and that is there."""
    listed = table.tags_after(APP, None, 100)
    for name in names:
        pointing = [tag for tag in listed if table.find_tag(APP, tag) == digest(name)]
        assert table.tags_of(APP, digest(name)) == pointing
        assert not pointing or table.find_manifest(APP, digest(name))
    assert {tag for tag in tags if table.find_tag(APP, tag)} == set(listed)


@pytest.fixture
def patient(monkeypatch):
    """Time for writers that the emulator serves one after the other."""
    monkeypatch.setattr(dynamodb_table, "_RETRY_SECONDS", 30.0)


def test_tag_put_by_thirty_at_once_ends_at_one_of_them(table, patient):
    names = "abc"
    digests = push(table, APP, *names)
    results = together(*[partial(table.put_tag, APP, "v1", digests[number % 3], NOW) for number in range(30)])
    assert results == [None] * 30
    assert table.find_tag(APP, "v1") in digests
    assert sum(len(table.tags_of(APP, each)) for each in digests) == 1
    assert_consistent(table, names, ["v1"])


def test_tag_put_by_thirty_at_once_has_one_row_beside_its_manifest(dynamo_table, rows, patient):
    digests = push(dynamo_table, APP, *range(30))
    results = together(*[partial(dynamo_table.put_tag, APP, "v1", each, NOW) for each in digests])
    assert results == [None] * 30
    found = rows()
    (tag,) = [row for row in found if row["type"] == "tag"]
    (beside,) = [row for row in found if row["type"] == "digest-tag"]
    assert beside["digest"] == tag["digest"]
    assert tag["version"] == 30
    assert sum(row["tag_writes"] for row in found if row["type"] == "manifest") == 30


def test_tag_moved_and_deleted_at_once_is_consistent(table):
    digests = push(table, APP, "a", "b")
    for _ in range(6):
        table.put_tag(APP, "v1", digests[0], NOW)
        together(
            partial(table.put_tag, APP, "v1", digests[1], LATER),
            partial(table.delete_tag, APP, "v1"),
            partial(table.put_tag, APP, "v1", digests[0], LATER),
            partial(table.delete_tag, APP, "v1"),
        )
        assert_consistent(table, "ab", ["v1"])


@pytest.fixture
def dangling(table):
    """The tags that were seen to point at a manifest that was gone, by one who looks all the time."""
    seen: list[str] = []
    looks = []
    stop = threading.Event()

    def look() -> None:
        while not stop.is_set():
            for tag in TAGS:
                target = table.find_tag(APP, tag)
                # The tag is read again: it may go between the two reads, and its manifest after it.
                if target and table.find_manifest(APP, target) is None and table.find_tag(APP, tag) == target:
                    seen.append(tag)
            looks.append(len(seen))

    watcher = threading.Thread(target=look)
    watcher.start()
    yield seen
    stop.set()
    watcher.join()
    assert looks


def test_tag_put_while_its_manifest_is_deleted_never_dangles(table, dangling):
    for number in range(5):
        push(table, APP, "kept", number)
        for tag in TAGS[:2]:
            table.put_tag(APP, tag, digest("kept"), NOW)
        results = together(
            partial(table.delete_manifest, APP, digest(number)),
            *[partial(table.put_tag, APP, tag, digest(number), LATER) for tag in TAGS],
        )
        assert results[0] is True
        assert all(result is None or isinstance(result, ManifestUnknown) for result in results[1:])
        assert table.find_manifest(APP, digest(number)) is None
        assert table.tags_of(APP, digest(number)) == []
        assert_consistent(table, ["kept", number], TAGS)
    assert dangling == []


def test_manifest_deleted_by_many_at_once_is_deleted_once(table):
    for number in range(5):
        push(table, APP, number)
        table.put_tag(APP, "v1", digest(number), NOW)
        results = together(*[partial(table.delete_manifest, APP, digest(number))] * 4)
        assert sorted(results) == [False, False, False, True]
        assert table.tags_after(APP, None, 10) == []


def test_manifest_pushed_while_it_is_deleted_has_all_its_rows_or_none(table):
    layers = [digest(f"layer {number}") for number in range(5)]
    record, subject = manifest("a", subject=digest("subject")), digest("subject")
    put = partial(table.put_manifest, APP, record, uses=layers, referrer=referrer(subject, "a"))
    for _ in range(8):
        put()
        together(put, partial(table.delete_manifest, APP, digest("a")))
        there = table.find_manifest(APP, digest("a")) is not None
        listed = table.referrers(APP, subject, artifact_type=None, after=None).referrers
        assert bool(listed) == there
        if there:
            # Without these rows a blob could be deleted that the manifest needs.
            assert all(table.users_of(APP, layer) == [digest("a")] for layer in layers)


@contextmanager
def crash(client, allowed: int):
    """Lets a number of requests through to DynamoDB, then none any more."""
    send, left = client._send, [True] * allowed

    def send_or_fail(operation, body):
        if not left:
            raise NoAnswerError
        left.pop()
        return send(operation, body)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(client, "_send", send_or_fail)
        yield


def crash_everywhere(table, prepare, act, check) -> int:
    """Carry out ``act`` dying before each of its requests in turn; before how many it can die."""
    for allowed in range(50):
        prepare()
        with crash(table._table.client(), allowed):
            try:
                act()
            except Unavailable:
                died = True
            else:
                died = False
        check()
        if not died:
            return allowed
        act()
        check()
    raise AssertionError("the call never came to an end")


def test_push_that_dies_anywhere_can_be_repeated(dynamo_table):
    used = [digest(number) for number in range(30)]
    record = manifest("a", subject=digest("s"))

    def act():
        dynamo_table.put_manifest(APP, record, uses=used, referrer=referrer(digest("s"), "a"))
        dynamo_table.put_tag(APP, "v1", digest("a"), NOW)

    def check():
        there = dynamo_table.find_manifest(APP, digest("a")) is not None
        assert there == bool(
            dynamo_table.referrers(APP, digest("s"), artifact_type=None, after=None).referrers
        )
        if there:
            assert all(dynamo_table.users_of(APP, each) == [digest("a")] for each in sorted(used)[::13])
        assert_consistent(dynamo_table, "a", ["v1"])

    assert (
        crash_everywhere(dynamo_table, lambda: dynamo_table.delete_manifest(APP, digest("a")), act, check)
        == 5
    )


def test_deletion_that_dies_anywhere_leaves_no_dangling_tag_and_can_be_repeated(dynamo_table, monkeypatch):
    monkeypatch.setattr("moorage.adapters.dynamodb.tags._TAGS_AT_ONCE", 2)
    record = manifest("a", subject=digest("s"))

    def prepare():
        dynamo_table.put_manifest(APP, record, uses=[digest(1)], referrer=referrer(digest("s"), "a"))
        for tag in TAGS[:3]:
            dynamo_table.put_tag(APP, tag, digest("a"), NOW)

    def check():
        assert_consistent(dynamo_table, "a", TAGS[:3])
        there = dynamo_table.find_manifest(APP, digest("a")) is not None
        assert there == bool(
            dynamo_table.referrers(APP, digest("s"), artifact_type=None, after=None).referrers
        )
        if there:
            assert dynamo_table.users_of(APP, digest(1)) == [digest("a")]

    deaths = crash_everywhere(
        dynamo_table, prepare, partial(dynamo_table.delete_manifest, APP, digest("a")), check
    )
    assert deaths == 6


def test_moved_tag_whose_mover_dies_stands_in_one_place(dynamo_table):
    push(dynamo_table, APP, "a", "b")
    deaths = crash_everywhere(
        dynamo_table,
        lambda: dynamo_table.put_tag(APP, "v1", digest("a"), NOW),
        lambda: dynamo_table.put_tag(APP, "v1", digest("b"), NOW),
        lambda: assert_consistent(dynamo_table, "ab", ["v1"]),
    )
    assert deaths == 2
