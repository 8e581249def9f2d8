"""A chunked body ends where it ends, however it comes in pieces."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local.wire import MalformedError, _Chunks

CONTENTS = st.lists(st.binary(min_size=1, max_size=40), max_size=6)
TRAILERS = st.sampled_from([b"", b"X-Checksum: 0\r\n", b"A: b\r\nC: d\r\n"])


def body(contents, trailers=b"", extension=b""):
    chunks = b"".join(b"%x%b\r\n%b\r\n" % (len(content), extension, content) for content in contents)
    return chunks + b"0\r\n" + trailers + b"\r\n"


def relayed(pieces):
    """What belongs to the body, and what is left, of bytes that come in these pieces."""
    chunks, passed, unread = _Chunks(), b"", b""
    for piece in pieces:
        unread += piece
        if not chunks.ended:
            size = chunks.read(unread)
            passed, unread = passed + unread[:size], unread[size:]
    return passed, unread, chunks.ended


@given(
    CONTENTS, TRAILERS, st.sampled_from([b"", b";a=b"]), st.binary(max_size=20), st.lists(st.integers(0, 400))
)
def test_body_ends_at_its_end_in_any_pieces(contents, trailers, extension, rest, cuts):
    whole = body(contents, trailers, extension)
    data = whole + rest
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    pieces = [data[start:end] for start, end in itertools.pairwise(edges)]
    assert relayed(pieces) == (whole, rest, True)


@given(CONTENTS, st.integers(1, 10_000))
def test_body_that_is_cut_off_has_not_ended(contents, missing):
    whole = body(contents)
    data = whole[: -min(missing, len(whole))]
    passed, unread, ended = relayed([data])
    assert passed + unread == data
    assert not ended


@pytest.mark.parametrize("line", [b"zz\r\n", b"-5\r\n", b"\r\n", b"5" * 70_000])
def test_size_that_is_none_is_an_error(line):
    with pytest.raises(MalformedError):
        relayed([b"1\r\nx\r\n" + line])
