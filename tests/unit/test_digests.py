"""Digests: one spelling each, and nothing else is one."""

import hashlib
import string

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from moorage.domain.digests import Algorithm, Digest
from moorage.domain.errors import DigestInvalid

HEX = "0123456789abcdef"
EMPTY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

digests = st.one_of(
    st.builds(Digest, st.just(Algorithm.SHA256), st.text(HEX, min_size=64, max_size=64)),
    st.builds(Digest, st.just(Algorithm.SHA512), st.text(HEX, min_size=128, max_size=128)),
)


@given(digests)
def test_what_is_written_is_read_back(digest: Digest) -> None:
    assert Digest.parse(str(digest)) == digest


@given(st.binary(max_size=300), st.sampled_from(Algorithm))
def test_the_digest_of_content_is_that_of_hashlib(content: bytes, algorithm: Algorithm) -> None:
    digest = Digest.of(content, algorithm)
    assert str(digest) == f"{algorithm}:{hashlib.new(algorithm, content).hexdigest()}"
    assert Digest.parse(str(digest)).matches(content)
    assert not digest.matches(content + b"\0")


@given(st.text(max_size=150))
def test_whatever_is_accepted_is_exactly_one_of_the_two_forms(text: str) -> None:
    try:
        digest = Digest.parse(text)
    except DigestInvalid:
        return
    assert str(digest) == text


@given(digests, st.data())
def test_no_digest_survives_one_changed_or_lost_character(digest: Digest, data: st.DataObject) -> None:
    text = str(digest)
    where = data.draw(st.integers(0, len(text) - 1))
    with pytest.raises(DigestInvalid):
        Digest.parse(text[:where] + text[where + 1 :])
    strange = data.draw(st.sampled_from(string.ascii_uppercase + "gz \n\0:/\u0663\uff10é"))
    assume(strange != text[where])
    with pytest.raises(DigestInvalid):
        Digest.parse(text[:where] + strange + text[where + 1 :])


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":",
        "sha256",
        "sha256:",
        EMPTY,
        f"SHA256:{EMPTY}",
        f"sha256:{EMPTY.upper()}",
        f"sha256:{EMPTY[:-1]}",
        f"sha256:{EMPTY[:32]}",
        f"sha256:{EMPTY}0",
        f"sha256:{EMPTY}\n",
        f" sha256:{EMPTY}",
        f"sha256: {EMPTY}",
        f"sha256:sha256:{EMPTY}",
        f"sha256+b64u:{EMPTY}",
        f"sha256:{EMPTY[:-1]}\0",
        "sha256:" + "\u0660" * 64,
        "sha256:" + "\uff10" * 64,
        f"sha256:../{EMPTY[3:]}",
        f"sha256:%{EMPTY[1:]}",
        f"sha512:{EMPTY}",
        f"sha256:{EMPTY}{EMPTY}",
        f"sha384:{'0' * 96}",
        f"sha1:{'0' * 40}",
        f"md5:{'0' * 32}",
        f"blake3:{EMPTY}",
        "sha256:baddigeststring",
        "sha256:" + "0" * 1_000_000,
        "0" * 1_000_000,
    ],
)
def test_it_is_no_digest(text: str) -> None:
    with pytest.raises(DigestInvalid) as caught:
        Digest.parse(text)
    # Told to the client: nothing of a megabyte that was sent may come back.
    assert len(caught.value.message) < 100


@pytest.mark.parametrize("text", ["", "SHA256", "sha-256", "sha384", "md5", "sha256 ", "sha256\n"])
def test_it_is_no_algorithm(text: str) -> None:
    with pytest.raises(DigestInvalid):
        Algorithm.parse(text)


def test_the_known_digest_of_nothing() -> None:
    assert str(Digest.of(b"")) == f"sha256:{EMPTY}"
