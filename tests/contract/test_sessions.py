from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial

import pytest

from moorage.adapters import keys
from moorage.adapters.dynamodb.rows import from_item
from moorage.domain.digests import Algorithm
from moorage.domain.errors import BlobUploadUnknown, ChunkOutOfOrder, WriteConflict
from moorage.domain.sessions import MAX_CHUNKS, Chunk
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


def test_session_ids_spread_over_sixteen_shards():
    shards = {keys.session_expiry(APP, f"{number:032x}"[::-1], NOW).gsi1pk for number in range(256)}
    assert len(shards) == 16


def test_row_of_a_session_outlives_its_expiry_by_days(dynamo_table, rows):
    dynamo_table.create_session(session())
    (row,) = rows()
    assert datetime.fromtimestamp(row["ttl"], NOW.tzinfo) > replace(session()).expires + timedelta(days=1)
