"""Byte ranges, against models that look at every byte."""

from contextlib import suppress

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from moorage.domain.errors import BlobRangeNotSatisfiable, BlobUploadInvalid
from moorage.domain.ranges import ChunkRange, require_satisfiable


@given(st.integers(0, 10**15 - 1), st.integers(0, 10**6))
def test_a_chunk_range_is_read_back(first: int, more: int) -> None:
    last = min(first + more, 10**15 - 1)
    chunk = ChunkRange.parse(f"{first}-{last}")
    assert (chunk.first, chunk.last, chunk.size) == (first, last, last - first + 1)


@given(st.integers(0, 10**9), st.integers(1, 10**9))
def test_an_inverted_chunk_range_is_refused(last: int, more: int) -> None:
    with pytest.raises(BlobUploadInvalid):
        ChunkRange.parse(f"{last + more}-{last}")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "-",
        "0-",
        "-5",
        "5",
        "a-b",
        "0x0-0x5",
        "0-5/10",
        "bytes 0-5/10",
        "bytes=0-5",
        "bytes 0-5",
        "0-5-9",
        "0 - 5",
        "-1-5",
        "+0-+5",
        "0-5,6-9",
        "0.0-5.0",
        "1_0-2_0",
        "\u0660-\u0665",
        "0-\u0665",
        "²-³",
        "0-9999999999999999",
        "0-" + "9" * 5000,
        "\0000-5",
    ],
)
def test_it_is_no_chunk_range(text: str) -> None:
    with pytest.raises(BlobUploadInvalid):
        ChunkRange.parse(text)


def satisfiable(first: int | None, last: int | None, size: int) -> bool:
    """Whether any byte of the blob is meant, counted one by one."""
    if first is None:
        assert last is not None
        return any(size - last <= offset for offset in range(size))
    return any(first <= offset and (last is None or offset <= last) for offset in range(size))


@given(
    st.none() | st.integers(0, 40),
    st.none() | st.integers(0, 40),
    st.integers(0, 30),
    st.sampled_from(["", " "]),
)
@example(500, 0, 20, "")
@example(None, 0, 20, "")
@example(None, 5, 0, "")
@example(0, None, 0, "")
@example(0, 0, 1, "")
@example(20, None, 20, "")
@example(19, 4000, 20, "")
def test_a_range_is_refused_exactly_when_no_byte_lies_in_it(
    first: int | None, last: int | None, size: int, space: str
) -> None:
    if first is None and last is None:
        return
    header = f"bytes={space}{'' if first is None else first}-{'' if last is None else last}{space}"
    if satisfiable(first, last, size):
        require_satisfiable(header, size)
        return
    with pytest.raises(BlobRangeNotSatisfiable) as caught:
        require_satisfiable(header, size)
    assert caught.value.size == size


@pytest.mark.parametrize("number", ["9" * 18, "9" * 19, "1" + "0" * 30, "9" * 500])
def test_a_range_far_beyond_the_end_is_refused_however_long_its_number(number: str) -> None:
    with pytest.raises(BlobRangeNotSatisfiable):
        require_satisfiable(f"bytes={number}-", 5)
    with pytest.raises(BlobRangeNotSatisfiable):
        require_satisfiable(f"bytes={number}-{number}", 5)
    with pytest.raises(BlobRangeNotSatisfiable):
        require_satisfiable(f"bytes={number}-0", 5)
    require_satisfiable(f"bytes=-{number}", 5)
    require_satisfiable(f"bytes=0-{number}", 5)


@pytest.mark.parametrize(
    "header",
    [
        "",
        "bytes",
        "bytes=",
        "bytes=-",
        "bytes=a-b",
        "items=9-0",
        "bytes=9-0,1-2",
        "bytes=0-1,9-0",
        "bytes=٩-\u0660",
        "bytes=--5",
        "bytes=9-0;x",
        "bytes=" + "9" * 100_000 + "-",
    ],
)
def test_what_is_not_one_range_of_bytes_is_left_to_whoever_serves_them(header: str) -> None:
    require_satisfiable(header, 5)


@given(st.text(max_size=30), st.integers(0, 10))
def test_no_range_header_brings_another_error(header: str, size: int) -> None:
    for text in (header, f"bytes={header}"):
        with suppress(BlobRangeNotSatisfiable):
            require_satisfiable(text, size)
