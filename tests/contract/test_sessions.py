from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial

import pytest

from moorage.adapters import keys
from moorage.adapters.dynamodb.rows import from_item
from moorage.domain.blobs import NAMED_BY_DIGEST, Way
from moorage.domain.digests import Algorithm
from moorage.domain.errors import BlobUploadUnknown, ChunkOutOfOrder, WriteConflict
from moorage.domain.sessions import MAX_CHUNKS, Announcement, Chunk, SessionState
from tests.contract.samples import APP, NOW, OTHER_IMAGE, OTHER_ORG, connect, digest, link, session
from tests.contract.threads import together


def test_session_is_found_as_it_was_made_in_its_repository_only(table):
    made = session(algorithm=Algorithm.SHA512, chunks=(Chunk("chunks/1", 7),))
    assert table.find_session(APP, made.id) is None
    table.create_session(made)
    assert table.find_session(APP, made.id) == made
    assert table.find_session(OTHER_IMAGE, made.id) is None
    assert table.find_session(OTHER_ORG, made.id) is None


@pytest.mark.parametrize(
    "session_id", ["", "a" * 129, "a" * 5000, "é", "..", "4F2A", "4f2a#", "\0", "\ud800"], ids=ascii
)
def test_session_of_an_odd_id_is_none(table, session_id):
    table.create_session(session())
    assert table.find_session(APP, session_id) is None


def test_session_says_which_store_it_is_for(table):
    made = session(store="second")
    table.create_session(made)
    assert table.find_session(APP, made.id).store == "second"
    assert table.append_chunk(made, Chunk("chunks/1", 10)).store == "second"
    assert table.find_session(APP, made.id).store == "second"


def test_session_whose_row_names_no_store_is_for_the_default_one(dynamo_table, without_store):
    made = session(store="second")
    dynamo_table.create_session(made)
    without_store(keys.session(APP, made.id))
    assert dynamo_table.find_session(APP, made.id) == session(store="default")


def test_session_made_twice_is_there_once(table):
    """The network may repeat the write when its answer was lost."""
    made = session(chunks=(Chunk("chunks/1", 7),))
    for _ in range(2):
        table.create_session(made)
    assert table.find_session(APP, made.id) == made


@pytest.mark.parametrize("since", ["continued", "closed"])
def test_session_that_has_gone_on_is_not_made_again(table, since):
    table.create_session(session())
    if since == "continued":
        table.append_chunk(session(), Chunk("chunks/1", 7))
    else:
        connect(table, link("a"), session())
    standing = table.find_session(APP, session().id)
    with pytest.raises(WriteConflict):
        table.create_session(session())
    assert table.find_session(APP, session().id) == standing


def test_session_of_an_id_that_is_taken_is_refused(table):
    table.create_session(session())
    with pytest.raises(WriteConflict):
        table.create_session(session(principal="/org/acme/serviceaccount/thief"))
    assert table.find_session(APP, session().id) == session()


def test_chunks_are_kept_in_the_order_they_came(table):
    state = session()
    table.create_session(state)
    chunks = [Chunk(f"chunks/{number}", number + 1) for number in range(5)]
    for chunk in chunks:
        state = table.append_chunk(state, chunk)
    assert state.chunks == tuple(chunks)
    assert state.offset == 15
    assert table.find_session(APP, state.id) == state


def test_chunk_added_to_a_state_that_has_passed_is_out_of_order(table):
    table.create_session(session())
    current = table.append_chunk(session(), Chunk("chunks/1", 10))
    with pytest.raises(ChunkOutOfOrder) as caught:
        table.append_chunk(session(), Chunk("chunks/other", 10))
    assert caught.value.offset == 10
    assert table.find_session(APP, session().id) == current


def test_chunk_added_to_a_state_that_has_not_come_is_out_of_order(table):
    table.create_session(session())
    with pytest.raises(ChunkOutOfOrder) as caught:
        table.append_chunk(session(chunks=(Chunk("chunks/1", 10),)), Chunk("chunks/2", 10))
    assert caught.value.offset == 0


def test_chunk_added_twice_is_added_once(dynamo_table):
    """The network may repeat the write when its answer was lost."""
    dynamo_table.create_session(session())
    for _ in range(2):
        state = dynamo_table.append_chunk(session(), Chunk("chunks/1", 10))
        assert state.chunks == (Chunk("chunks/1", 10),)
    assert dynamo_table.find_session(APP, session().id) == state


def test_chunks_added_at_once_at_the_same_place_are_one(table):
    table.create_session(session())
    results = together(
        *[partial(table.append_chunk, session(), Chunk(f"chunks/{number}", 10)) for number in range(10)]
    )
    refused = [result for result in results if isinstance(result, ChunkOutOfOrder)]
    assert [error.offset for error in refused] == [10] * 9
    (winner,) = [result for result in results if not isinstance(result, ChunkOutOfOrder)]
    assert table.find_session(APP, session().id) == winner


@pytest.mark.parametrize("ended", ["never made", "closed", "deleted"])
def test_chunk_for_a_session_that_has_ended_is_refused(table, ended):
    if ended != "never made":
        table.create_session(session())
    if ended == "closed":
        connect(table, link("a"), session())
    if ended == "deleted":
        assert table.delete_session(session())
    with pytest.raises(BlobUploadUnknown):
        table.append_chunk(session(), Chunk("chunks/1", 1))


def test_session_with_as_many_chunks_as_there_may_be_fits_its_row(table):
    chunks = tuple(
        Chunk(f"chunks/{'r' * 36}/{'s' * 32}/{number:012}-{'x' * 16}", 262_144)
        for number in range(MAX_CHUNKS - 1)
    )
    state = session(chunks=chunks)
    table.create_session(state)
    full = table.append_chunk(state, Chunk("chunks/last", 262_144))
    assert full.offset == 256 * 1024 * 1024
    assert table.find_session(APP, state.id) == full


def test_open_session_is_deleted_once(table):
    table.create_session(session())
    assert table.delete_session(session(repository=OTHER_IMAGE)) is False
    assert table.delete_session(session()) is True
    assert table.delete_session(session()) is False
    assert table.find_session(APP, session().id) is None


def test_session_with_more_chunks_than_the_caller_saw_is_deleted(table):
    table.create_session(session())
    table.append_chunk(session(), Chunk("chunks/1", 1))
    assert table.delete_session(session()) is True


def test_closed_session_is_not_deleted(table):
    table.create_session(session())
    connect(table, link("a"), session())
    assert table.delete_session(session()) is False
    assert table.find_session(APP, session().id).digest == digest("a")


def test_session_is_cancelled_or_finished_never_both(table):
    for number in range(10):
        upload = session(f"{number}a")
        table.create_session(upload)
        linked, deleted = together(
            partial(connect, table, link(number), upload), partial(table.delete_session, upload)
        )
        finished = linked is None
        assert finished != deleted
        assert (table.find_link(APP, digest(number)) is not None) == finished


def test_chunk_arrives_before_the_session_is_finished_or_not_at_all(table):
    for number in range(10):
        upload = session(f"{number}b")
        table.create_session(upload)
        together(
            partial(connect, table, link(number), upload),
            partial(table.append_chunk, upload, Chunk("chunks/late", 1)),
        )
        assert table.find_session(APP, upload.id).digest == digest(number)


def test_open_sessions_are_found_by_their_expiry_and_finished_ones_are_not(dynamo_table):
    open_late = session("4aaa", expires=NOW + timedelta(days=2))
    open_soon = session("4bbb", OTHER_ORG)
    other_shard = session("5ccc")
    finished = session("4ddd")
    for each in (open_late, open_soon, other_shard, finished):
        dynamo_table.create_session(each)
    connect(dynamo_table, link("a"), finished)
    request = {
        "TableName": dynamo_table._table._name,
        "IndexName": "gsi1",
        "KeyConditionExpression": "gsi1pk = :shard AND gsi1sk < :time",
        "ExpressionAttributeValues": {
            ":shard": {"S": keys.session_expiry(APP, "4", NOW).gsi1pk},
            ":time": {"S": (NOW + timedelta(days=3)).isoformat()},
        },
    }
    found = dynamo_table._table.client().call("Query", request)
    # The index has keys alone, and they are enough to know the session by.
    assert [from_item(item) for item in found["Items"]] == [
        {**keys.session(each.repository, each.id)._asdict(), **_index(each)}
        for each in (open_soon, open_late)
    ]


def _index(upload):
    return keys.session_expiry(upload.repository, upload.id, upload.expires)._asdict()


# ------------------------------------------------------------------ presigned uploads
@pytest.mark.parametrize(
    "announced",
    [
        Announcement(digest("a"), 0),
        Announcement(digest("a"), 20 * 1024**3),
        Announcement(digest("a", Algorithm.SHA512), 7, 5 * 1024**2, "an upload id/of~S3.-_" * 8),
    ],
    ids=["empty", "large", "in parts"],
)
def test_what_was_announced_is_found_as_it_was(table, announced):
    made = session(way=Way.PRESIGNED, announced=announced)
    table.create_session(made)
    assert table.find_session(APP, made.id) == made
    table.create_session(made)


@pytest.mark.parametrize("way", NAMED_BY_DIGEST)
def test_the_way_of_a_session_is_found_as_it_was(table, way):
    made = session(way=way)
    table.create_session(made)
    assert table.find_session(APP, made.id) == made


# ------------------------------------------------------------------ ends
STATES = {
    "open": lambda table: None,
    "closed": lambda table: connect(table, link("a"), session()),
    "failed": lambda table: table.fail_session(session(), "before"),
    "expired": lambda table: table.expire_session(session()),
    "deleted": lambda table: table.delete_session(session()),
}


def ended(table, state):
    """A session in some state, and how it is stored."""
    table.create_session(session())
    STATES[state](table)
    return table.find_session(APP, session().id)


def test_a_failed_session_says_why(table):
    ended(table, "open")
    reason = "the stored content does not have that digest: \u00fc\n" + "x" * 500
    assert table.fail_session(session(), reason) is True
    assert table.find_session(APP, session().id) == replace(
        session(), state=SessionState.FAILED, failure=reason
    )


@pytest.mark.parametrize("state", ["closed", "failed", "expired", "deleted"])
def test_only_an_open_session_fails(table, state):
    standing = ended(table, state)
    assert table.fail_session(session(), "after") is False
    assert table.find_session(APP, session().id) == standing


@pytest.mark.parametrize(("state", "expires"), [(state, state in ("open", "expired")) for state in STATES])
def test_an_open_session_expires_and_an_expired_one_stays_so(table, state, expires):
    standing = ended(table, state)
    for _ in range(2):
        assert table.expire_session(session()) is expires
        found = table.find_session(APP, session().id)
        assert found == (replace(standing, state=SessionState.EXPIRED) if expires else standing)


def test_a_session_that_is_not_there_neither_fails_nor_expires(table):
    assert table.fail_session(session(), "why") is False
    assert table.expire_session(session()) is False
    table.remove_ended_session(session())
    assert table.find_session(APP, session().id) is None


@pytest.mark.parametrize("state", STATES)
def test_only_a_session_that_has_expired_or_was_closed_is_removed(table, state):
    standing = ended(table, state)
    for _ in range(2):
        table.remove_ended_session(session())
        assert table.find_session(APP, session().id) == (None if state in ("expired", "closed") else standing)


@pytest.mark.parametrize("state", ["failed", "expired"])
def test_by_a_session_that_has_ended_nothing_is_linked_or_received(table, state):
    standing = ended(table, state)
    with pytest.raises(BlobUploadUnknown):
        connect(table, link("a"), session())
    assert table.find_link(APP, digest("a")) is None
    with pytest.raises(BlobUploadUnknown):
        table.append_chunk(session(), Chunk("chunks/1", 1))
    assert table.delete_session(session()) is False
    with pytest.raises(WriteConflict):
        table.create_session(session())
    assert table.find_session(APP, session().id) == standing


def test_a_session_expires_or_is_finished_never_both(table):
    for number in range(10):
        upload = session(f"{number}c")
        table.create_session(upload)
        linked, expired = together(
            partial(connect, table, link(number), upload), partial(table.expire_session, upload)
        )
        assert (linked is None) != expired
        assert (table.find_link(APP, digest(number)) is None) == expired


# ------------------------------------------------------------------ those whose time is over
def test_sessions_whose_time_is_over_are_found_the_oldest_first(table):
    ages = {"4a": 5, "5b": 9, "fc": 1, "0d": 7, "4e": 0, "4f": -1}
    for session_id, hours in ages.items():
        table.create_session(session(session_id, expires=NOW - timedelta(hours=hours)))
    assert table.expired_sessions(NOW, 10) == [(APP, each) for each in ("5b", "0d", "4a", "fc")]
    assert table.expired_sessions(NOW, 2) == [(APP, "5b"), (APP, "0d")]
    assert table.expired_sessions(NOW - timedelta(days=1), 10) == []


@pytest.mark.parametrize("microseconds", [0, 1, 999_999])
def test_a_session_is_over_after_its_last_microsecond(table, microseconds):
    end = NOW.replace(microsecond=microseconds)
    table.create_session(session(expires=end))
    assert table.expired_sessions(end - timedelta(microseconds=1), 10) == []
    assert table.expired_sessions(end, 10) == []
    assert table.expired_sessions(end + timedelta(microseconds=1), 10) == [(APP, session().id)]


def test_sessions_of_all_repositories_are_found_by_their_names(table):
    made = [
        session(f"{number}", repository) for number, repository in enumerate((APP, OTHER_IMAGE, OTHER_ORG))
    ]
    for each in made:
        table.create_session(each)
    found = table.expired_sessions(NOW + timedelta(days=2), 10)
    assert sorted(found) == sorted((each.repository, each.id) for each in made)
    assert [table.find_session(*each) for each in found] == [
        next(one for one in made if (one.repository, one.id) == each) for each in found
    ]


@pytest.mark.parametrize(("state", "named"), [(state, state in ("open", "expired")) for state in STATES])
def test_what_nobody_has_ended_is_named_until_it_is_removed(table, state, named):
    ended(table, state)
    late = NOW + timedelta(days=2)
    assert table.expired_sessions(late, 10) == ([(APP, session().id)] if named else [])
    table.remove_ended_session(session())
    assert table.expired_sessions(late, 10) == ([(APP, session().id)] if state == "open" else [])


def test_many_sessions_of_one_shard_are_limited_and_all_come_in_turn(table):
    for number in range(25):
        table.create_session(session(f"4{number:02}", expires=NOW + timedelta(seconds=number)))
    late, seen = NOW + timedelta(days=1), []
    while found := table.expired_sessions(late, 10):
        assert len(found) <= 10
        for repository, session_id in found:
            expired = table.find_session(repository, session_id)
            assert table.expire_session(expired)
            table.remove_ended_session(expired)
            seen.append(session_id)
    assert seen == [f"4{number:02}" for number in range(25)]


def test_session_ids_spread_over_sixteen_shards():
    shards = {keys.session_expiry(APP, f"{number:032x}"[::-1], NOW).gsi1pk for number in range(256)}
    assert len(shards) == 16


def test_row_of_a_session_outlives_its_expiry_by_days(dynamo_table, rows):
    dynamo_table.create_session(session())
    (row,) = rows()
    assert datetime.fromtimestamp(row["ttl"], NOW.tzinfo) > replace(session()).expires + timedelta(days=1)
