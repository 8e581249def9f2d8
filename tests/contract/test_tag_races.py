"""Tags under many writers, and after crashes: a tag whose manifest is gone never exists."""

import threading
from contextlib import contextmanager
from functools import partial

import pytest

from moorage.adapters.dynamodb import table as dynamodb_table
from moorage.adapters.json_service import NoAnswerError
from moorage.domain.errors import (
    ManifestUnknown,
    ResourceProtected,
    TagImmutable,
    Unavailable,
    WriteConflict,
)
from tests.contract.samples import (
    APP,
    LATER,
    NOW,
    digest,
    manifest,
    opened,
    point,
    push,
    pushed,
    put_manifest,
    referrer,
)
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
    monkeypatch.setattr(dynamodb_table, "RETRY_SECONDS", 30.0)


def test_tag_put_by_thirty_at_once_ends_at_one_of_them(table, patient):
    names = "abc"
    digests = push(table, APP, *names)
    results = together(*[partial(point, table, APP, "v1", digests[number % 3], NOW) for number in range(30)])
    assert results == [None] * 30
    assert table.find_tag(APP, "v1") in digests
    assert sum(len(table.tags_of(APP, each)) for each in digests) == 1
    assert_consistent(table, names, ["v1"])


def test_tag_put_by_thirty_at_once_has_one_row_beside_its_manifest(dynamo_table, rows, patient):
    digests = push(dynamo_table, APP, *range(30))
    results = together(*[partial(point, dynamo_table, APP, "v1", each, NOW) for each in digests])
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
        point(table, APP, "v1", digests[0], NOW)
        together(
            partial(point, table, APP, "v1", digests[1], LATER),
            partial(table.delete_tag, APP, "v1"),
            partial(point, table, APP, "v1", digests[0], LATER),
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
            point(table, APP, tag, digest("kept"), NOW)
        results = together(
            partial(table.delete_manifest, APP, digest(number)),
            *[partial(point, table, APP, tag, digest(number), LATER) for tag in TAGS],
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
        point(table, APP, "v1", digest(number), NOW)
        results = together(*[partial(table.delete_manifest, APP, digest(number))] * 4)
        assert sorted(results) == [False, False, False, True]
        assert table.tags_after(APP, None, 10) == []


def test_manifest_pushed_while_it_is_deleted_has_all_its_rows_or_none(table):
    layers = [digest(f"layer {number}") for number in range(5)]
    record, subject = manifest("a", subject=digest("subject")), digest("subject")
    put = partial(put_manifest, table, APP, record, uses=layers, referrer=referrer(subject, "a"))
    for _ in range(8):
        put()
        together(put, partial(table.delete_manifest, APP, digest("a")))
        there = table.find_manifest(APP, digest("a")) is not None
        listed = table.referrers(APP, subject, artifact_type=None, after=None).referrers
        assert bool(listed) == there
        if there:
            # Without these rows a blob could be deleted that the manifest needs.
            assert all(table.users_of(APP, layer) == [digest("a")] for layer in layers)


def refuse(tag: str) -> None:
    raise TagImmutable(f"{tag} stays")


def test_image_is_edited_and_pushed_at_once_and_loses_nothing(table, patient):
    digests = push(table, APP, "a", "b")
    point(table, APP, "v1", digests[0], NOW)
    first = table.find_image(APP, "v1")

    def label(number: int) -> int:
        """Add a label, as often as it takes."""
        for attempt in range(1000):
            image = table.find_image(APP, "v1")
            try:
                table.replace_metadata(image, {**image.tags, f"label{number}": number}, LATER)
            except WriteConflict:
                continue
            return attempt
        raise AssertionError("the label could not be added")

    def move(number: int) -> None:
        for step in range(4):
            point(table, APP, "v1", digests[(number + step) % 2], LATER)

    together(
        *[partial(label, number) for number in range(4)], *[partial(move, number) for number in range(2)]
    )
    last = table.find_image(APP, "v1")
    assert last.tags == {f"label{number}": number for number in range(4)}
    assert (last.id, last.created) == (first.id, NOW)
    # The four labels and every move that found the tag elsewhere.
    assert 1 + 4 <= last.version <= 1 + 4 + 8
    assert_consistent(table, "ab", ["v1"])


def test_version_never_goes_back_under_many_writers(table, patient):
    digests = push(table, APP, *range(6))
    point(table, APP, "v1", digests[0], NOW)
    seen = []
    stop = threading.Event()

    def look() -> None:
        while not stop.is_set():
            image = table.find_image(APP, "v1")
            seen.append((image.version, image.digest, image.last_modified, image.id))

    watcher = threading.Thread(target=look)
    watcher.start()
    together(*[partial(point, table, APP, "v1", each, LATER) for each in digests[1:]])
    stop.set()
    watcher.join()
    assert [version for version, *_ in seen] == sorted(version for version, *_ in seen)
    # A version is one state, whoever looks.
    assert len(set(seen)) == len({version for version, *_ in seen})
    assert table.find_image(APP, "v1").version == 6


def test_image_is_protected_or_deleted_but_never_both(table, patient):
    for number in range(12):
        push(table, APP, "a")
        point(table, APP, "v1", digest("a"), NOW)
        image = table.find_image(APP, "v1")
        delete = [
            partial(table.delete_tag, APP, "v1"),
            partial(table.delete_manifest, APP, digest("a")),
            partial(table.delete_image, image),
        ][number % 3]
        edit, deletion = together(
            partial(table.replace_metadata, image, {"moorage/protected": True}, LATER), delete
        )
        standing = table.find_image(APP, "v1")
        if isinstance(edit, WriteConflict):
            assert standing is None
            assert not isinstance(deletion, Exception)
        else:
            assert standing == edit
            assert isinstance(deletion, (ResourceProtected, WriteConflict))
            assert table.find_manifest(APP, digest("a")) is not None
            table.replace_metadata(edit, {}, LATER)
        assert_consistent(table, "a", ["v1"])


def test_immutable_tag_that_many_make_at_once_is_the_first_ones(table, patient):
    digests = push(table, APP, *range(8))
    for tag in TAGS:
        results = together(
            *[partial(table.put_tags, APP, [tag], pushed(each, NOW), refuse) for each in digests]
        )
        (winner,) = [each for each, result in zip(digests, results, strict=True) if result is None]
        assert all(isinstance(result, TagImmutable) for result in results if result is not None)
        image = table.find_image(APP, tag)
        assert (image.digest, image.version) == (winner, 1)


@contextmanager
def just_before(client, operation: str, action):
    """Carries out ``action`` once, before the first request for ``operation`` leaves."""
    call, waiting = client.call, [action]

    def act_and_call(name, request):
        if name == operation and waiting:
            waiting.pop()()
        return call(name, request)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(client, "call", act_and_call)
        yield
    assert not waiting


@pytest.fixture
def standing(dynamo_table):
    """A tag of the manifest ``a``, beside a manifest ``b``."""
    push(dynamo_table, APP, "a", "b")
    point(dynamo_table, APP, "v1", digest("a"), NOW)
    return dynamo_table


def protect(table) -> None:
    table.replace_metadata(table.find_image(APP, "v1"), {"protected": True}, LATER)


@pytest.mark.parametrize("by", ["tag", "manifest"])
def test_protection_that_comes_between_look_and_deletion_holds(standing, by):
    delete = {
        "tag": partial(standing.delete_tag, APP, "v1"),
        "manifest": partial(standing.delete_manifest, APP, digest("a")),
    }[by]
    client = standing._table.client()
    with (
        just_before(client, "TransactWriteItems", lambda: protect(standing)),
        pytest.raises(ResourceProtected),
    ):
        delete()
    assert standing.find_image(APP, "v1").tags == {"protected": True}
    assert_consistent(standing, "ab", ["v1"])


def test_label_that_comes_between_look_and_move_is_kept(standing):
    client = standing._table.client()

    def label() -> None:
        standing.replace_metadata(standing.find_image(APP, "v1"), {"env": "prod"}, LATER)

    with just_before(client, "TransactWriteItems", label):
        point(standing, APP, "v1", digest("b"), LATER)
    image = standing.find_image(APP, "v1")
    assert (image.digest, image.version, image.tags) == (digest("b"), 3, {"env": "prod"})


def test_move_that_comes_between_look_and_label_refuses_the_label(standing):
    client = standing._table.client()
    image = standing.find_image(APP, "v1")
    with (
        just_before(client, "UpdateItem", lambda: point(standing, APP, "v1", digest("b"), LATER)),
        pytest.raises(WriteConflict),
    ):
        standing.replace_metadata(image, {"env": "prod"}, LATER)
    image = standing.find_image(APP, "v1")
    assert (image.digest, image.version, image.tags) == (digest("b"), 2, {})


def test_immutable_tag_that_comes_between_look_and_push_is_not_moved(dynamo_table):
    push(dynamo_table, APP, "a", "b")
    client = dynamo_table._table.client()
    with (
        just_before(client, "TransactWriteItems", lambda: point(dynamo_table, APP, "v1", digest("a"), NOW)),
        pytest.raises(TagImmutable),
    ):
        dynamo_table.put_tags(APP, ["v1"], pushed(digest("b"), LATER), refuse)
    assert dynamo_table.find_image(APP, "v1").digest == digest("a")
    # The same content may come twice.
    with just_before(client, "TransactWriteItems", lambda: point(dynamo_table, APP, "v2", digest("b"), NOW)):
        dynamo_table.put_tags(APP, ["v2"], pushed(digest("b"), LATER), refuse)
    assert dynamo_table.find_image(APP, "v2").version == 1


def test_tag_that_is_deleted_between_look_and_move_is_made_anew(standing):
    before = standing.find_image(APP, "v1")
    client = standing._table.client()
    with just_before(client, "TransactWriteItems", lambda: standing.delete_tag(APP, "v1")):
        point(standing, APP, "v1", digest("b"), LATER)
    image = standing.find_image(APP, "v1")
    assert image.id != before.id
    assert (image.digest, image.version) == (digest("b"), 1)
    assert_consistent(standing, "ab", ["v1"])


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

    repository_id = opened(dynamo_table, APP).id

    def act():
        dynamo_table.put_manifest(
            APP, record, repository_id=repository_id, uses=used, referrer=referrer(digest("s"), "a")
        )
        point(dynamo_table, APP, "v1", digest("a"), NOW)

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
        put_manifest(dynamo_table, APP, record, uses=[digest(1)], referrer=referrer(digest("s"), "a"))
        for tag in TAGS[:3]:
            point(dynamo_table, APP, tag, digest("a"), NOW)

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
    assert deaths == 7


def test_moved_tag_whose_mover_dies_stands_in_one_place(dynamo_table):
    push(dynamo_table, APP, "a", "b")
    deaths = crash_everywhere(
        dynamo_table,
        lambda: point(dynamo_table, APP, "v1", digest("a"), NOW),
        lambda: point(dynamo_table, APP, "v1", digest("b"), NOW),
        lambda: assert_consistent(dynamo_table, "ab", ["v1"]),
    )
    assert deaths == 2
