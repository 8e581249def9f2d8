import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage.adapters import keys
from moorage.adapters.memory import MemoryTable
from moorage.adapters.referrer_cursors import referrers_cursor, referrers_place
from moorage.domain.digests import Algorithm
from moorage.domain.errors import QueryInvalid
from moorage.ports import Referrer
from tests.contract.samples import APP, OTHER_IMAGE, digest, manifest, put_manifest, referrer

SUBJECT = digest("subject")


def put(table, one: Referrer, repository=APP) -> None:
    record = manifest("", digest=one.digest, subject=one.subject, artifact_type=one.artifact_type)
    put_manifest(table, repository, record, uses=[], referrer=one)


def walk(table, subject=SUBJECT, artifact_type=None):
    """All pages to the end."""
    pages, after = [], None
    while True:
        page = table.referrers(APP, subject, artifact_type=artifact_type, after=after)
        pages.append(page.referrers)
        after = page.next
        if after is None:
            return pages
        assert page.referrers


def test_subject_that_nothing_names_has_no_referrers(table):
    assert walk(table) == [[]]
    assert walk(table, artifact_type="text/sbom") == [[]]


def test_referrers_are_listed_as_they_were_put_and_for_their_subject_only(table):
    one = referrer(SUBJECT, "one")
    put(table, one)
    put(table, referrer(digest("another"), "two"))
    put(table, referrer(SUBJECT, "three"), OTHER_IMAGE)
    put(table, one)
    assert walk(table) == [[one]]
    assert dict(walk(table)[0][0].descriptor) == one.descriptor


def test_referrers_of_a_sha512_subject_are_apart(table):
    subject = digest("subject", Algorithm.SHA512)
    one = referrer(subject, "one")
    put(table, one)
    assert walk(table, subject) == [[one]]
    assert walk(table) == [[]]


# The last two would be one prefix if the type were not escaped; the first can be the type of no filter.
TYPES = [
    "",
    "application/spdx+json",
    "text/sbom",
    "TEXT/SBOM",
    "text/sbo",
    "ty~pe",
    "t%23x",
    "t",
    "t#sha256:x",
]


def test_referrers_of_one_artifact_type_are_exactly_those(table):
    for artifact_type in TYPES:
        for number in range(2):
            put(table, referrer(SUBJECT, f"{artifact_type} {number}", artifact_type))
    for artifact_type in TYPES:
        (page,) = walk(table, artifact_type=artifact_type)
        assert {each.artifact_type for each in page} == {artifact_type}
        assert len(page) == 2
    assert walk(table, artifact_type="absent/type") == [[]]
    assert sum(map(len, walk(table))) == 2 * len(TYPES)


@pytest.mark.parametrize("filler", ["x", "é", "#", "~", "\U0001f600"], ids=ascii)
def test_artifact_type_longer_than_a_key_is_found_by_itself_alone(table, filler):
    long, longer = "a/" + filler * 2000, "a/" + filler * 2001
    put(table, referrer(SUBJECT, 1, long))
    put(table, referrer(SUBJECT, 2, longer))
    assert [each.artifact_type for each in walk(table, artifact_type=long)[0]] == [long]


@given(st.text(), st.text())
def test_keys_of_two_artifact_types_never_share_a_prefix(one, other):
    first, second = (keys.referrers(APP, SUBJECT, each).sk for each in (one, other))
    assert first.startswith(second) == (one == other)
    assert len(keys.referrer(APP, SUBJECT, one, digest("x", Algorithm.SHA512)).sk.encode()) <= 1024


def test_large_descriptors_come_in_pages_that_visit_each_once(table):
    expected = {digest(number) for number in range(40)}
    for number in range(40):
        put(table, referrer(SUBJECT, number, "text/sbom", size=60_000))
    pages = walk(table)
    listed = [each.digest for page in pages for each in page]
    assert len(listed) == 40
    assert set(listed) == expected
    filtered = [each.digest for page in walk(table, artifact_type="text/sbom") for each in page]
    assert filtered == listed


def test_real_pages_fit_an_answer(dynamo_table):
    for number in range(25):
        put(dynamo_table, referrer(SUBJECT, number, size=60_000))
    sizes = [sum(len(json.dumps(each.descriptor)) for each in page) for page in walk(dynamo_table)]
    assert len(sizes) == 2
    assert max(sizes) < 1_100_000


def test_pages_in_memory_visit_each_once():
    table = MemoryTable(page=3)
    for number in range(10):
        put(table, referrer(SUBJECT, number))
    pages = walk(table)
    assert [len(page) for page in pages] == [3, 3, 3, 1]
    assert len({each.digest for page in pages for each in page}) == 10


def test_referrer_without_a_descriptor_stands_alone_on_its_page(table):
    bare = {digest(number) for number in (1, 2, 5)}
    for number in range(7):
        one = referrer(SUBJECT, number)
        put(table, Referrer(SUBJECT, one.digest, "text/sbom", None) if one.digest in bare else one)
    pages = walk(table)
    assert {each.digest for page in pages for each in page} == {digest(number) for number in range(7)}
    assert sum(map(len, pages)) == 7
    for page in pages:
        assert len(page) == 1 or all(each.descriptor is not None for each in page)
    assert {each.digest for page in pages for each in page if each.descriptor is None} == bare


def test_place_is_kept_when_the_referrer_there_is_deleted(table):
    for number in range(4):
        one = referrer(SUBJECT, number)
        put(table, Referrer(SUBJECT, one.digest, "text/sbom", None))
    everything = [each.digest for page in walk(table) for each in page]
    first = table.referrers(APP, SUBJECT, artifact_type=None, after=None)
    assert table.delete_manifest(APP, first.referrers[0].digest)
    rest, after = [], first.next
    while after:
        page = table.referrers(APP, SUBJECT, artifact_type=None, after=after)
        rest += [each.digest for each in page.referrers]
        after = page.next
    assert rest == everything[1:]


def _cursor(text: str | bytes) -> str:
    content = text.encode() if isinstance(text, str) else text
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


FORGED = [
    "%%%",
    "a",
    "é",
    "fallback-0",
    _cursor(b"\xff\xfe"),
    _cursor("text/sbom"),
    _cursor("text/sbom#"),
    _cursor("text/sbom#sha256:abc"),
    _cursor(f"text/sbom#{SUBJECT}") + "=",
    _cursor(f"text/sbom#{SUBJECT}\0"),
    _cursor(f"{'x' * 5000}#{SUBJECT}"),
    _cursor(f"other/type#{SUBJECT}"),
]


@pytest.mark.parametrize("after", FORGED)
def test_cursor_that_was_not_given_out_is_refused(table, after):
    put(table, referrer(SUBJECT, 1))
    with pytest.raises(QueryInvalid):
        table.referrers(APP, SUBJECT, artifact_type="text/sbom", after=after)


def test_cursor_shows_nothing_but_letters_digits_hyphens_and_underscores():
    key = keys.referrer(APP, SUBJECT, "a/b+c?é", digest("x"))
    cursor = referrers_cursor(key)
    assert cursor.isascii()
    assert cursor.replace("-", "").replace("_", "").isalnum()
    assert referrers_place(APP, SUBJECT, None, cursor) == key
