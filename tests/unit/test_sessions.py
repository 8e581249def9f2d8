"""Upload sessions: which body may come next, against a model that is a plain list of bytes."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage.domain import sessions
from moorage.domain.errors import BlobTooLarge, BlobUploadInvalid, BodyTooLarge, ChunkOutOfOrder, SizeInvalid
from moorage.domain.names import Repository
from moorage.domain.ranges import ChunkRange
from moorage.domain.sessions import MAX_BODY_SIZE, MAX_CHUNKED_BLOB_SIZE, MAX_CHUNKS, Chunk, UploadSession

NOW = datetime(2026, 5, 4, tzinfo=UTC)
EMPTY = UploadSession("id", Repository("demo", "app"), "r", "/org/demo/x", NOW, NOW + timedelta(days=1))


def holding(*sizes: int) -> UploadSession:
    return replace(EMPTY, chunks=tuple(Chunk(f"k{number}", size) for number, size in enumerate(sizes)))


@given(st.lists(st.integers(1, 10), max_size=6), st.integers(0, 80), st.integers(0, 12), st.integers(0, 12))
def test_a_chunk_is_taken_exactly_where_the_upload_stands(
    sizes: list[int], first: int, announced: int, size: int
) -> None:
    session = holding(*sizes)
    assert session.offset == ([0, *accumulate(sizes)])[-1]
    content_range = ChunkRange(first, first + announced)
    if first != session.offset:
        with pytest.raises(ChunkOutOfOrder) as caught:
            session.accepts(size, content_range)
        assert caught.value.offset == session.offset
    elif announced + 1 != size:
        with pytest.raises(SizeInvalid):
            session.accepts(size, content_range)
    else:
        session.accepts(size, content_range)
    session.accepts(size, None)


def test_a_body_of_exactly_the_limit_and_one_byte_more() -> None:
    EMPTY.accepts(MAX_BODY_SIZE, None)
    EMPTY.accepts(MAX_BODY_SIZE, ChunkRange(0, MAX_BODY_SIZE - 1))
    with pytest.raises(BodyTooLarge):
        EMPTY.accepts(MAX_BODY_SIZE + 1, None)
    with pytest.raises(BodyTooLarge):
        EMPTY.accepts(MAX_BODY_SIZE + 1, ChunkRange(0, MAX_BODY_SIZE))


def test_a_blob_of_exactly_the_limit_and_one_byte_more() -> None:
    session = holding(MAX_CHUNKED_BLOB_SIZE - 10)
    session.accepts(10, None)
    with pytest.raises(BlobTooLarge) as caught:
        session.accepts(11, None)
    assert "Split the layer" in caught.value.message
    holding(MAX_CHUNKED_BLOB_SIZE).accepts(0, None)


def test_as_many_chunks_as_the_row_takes_and_not_one_more() -> None:
    holding(*[1] * (MAX_CHUNKS - 1)).accepts(1, None)
    full = holding(*[1] * MAX_CHUNKS)
    full.accepts(0, None)
    with pytest.raises(BlobUploadInvalid):
        full.accepts(1, None)
    # A blob of the largest size fits into so many chunks of the largest size, and of a quarter of it.
    assert MAX_CHUNKS * (sessions.MAX_BODY_SIZE // 4) > MAX_CHUNKED_BLOB_SIZE


def test_a_repeated_chunk_tells_where_to_go_on_whatever_else_is_wrong() -> None:
    with pytest.raises(ChunkOutOfOrder) as caught:
        holding(10).accepts(MAX_BODY_SIZE + 1, ChunkRange(0, 3))
    assert caught.value.offset == 10
    assert caught.value.detail == {"received": 10}
