from dataclasses import replace
from datetime import timedelta
from functools import partial

import pytest

from moorage.domain.blobs import NAMED_BY_DIGEST, ObjectState, Way
from moorage.domain.digests import Algorithm
from moorage.domain.errors import BlobUploadUnknown, NameUnknown, ReferenceGone
from moorage.domain.sessions import SessionState
from moorage.ports import RepositoryRecord
from tests.contract.samples import (
    APP,
    LATER,
    NOW,
    OTHER_IMAGE,
    OTHER_ORG,
    connect,
    digest,
    link,
    make_organisation,
    opened,
    session,
    stored,
)
from tests.contract.threads import together


def test_link_is_found_as_it_was_put_in_its_repository_only(table):
    assert table.find_link(APP, digest("a")) is None
    connect(table, link("a"))
    assert table.find_link(APP, digest("a")) == link("a")
    assert table.find_link(OTHER_IMAGE, digest("a")) is None
    assert table.find_links(OTHER_ORG, [digest("a")]) == {}


def test_link_of_a_sha512_digest_is_found_by_it_alone(table):
    blob = replace(link("a"), digest=digest("a", Algorithm.SHA512))
    connect(table, blob)
    assert table.find_link(APP, blob.digest) == blob
    assert table.find_link(APP, digest("a")) is None


def test_links_found_are_those_that_the_repository_holds(table):
    for name in "ab":
        connect(table, link(name))
    wanted = [digest("a"), digest("b"), digest("absent"), digest("a")]
    assert table.find_links(APP, wanted) == {digest("a"): link("a"), digest("b"): link("b")}
    assert table.find_links(APP, []) == {}


def test_more_links_than_one_batch_holds_are_all_found(table):
    for number in range(101):
        connect(table, link(number))
    found = table.find_links(APP, {digest(number) for number in range(150)})
    assert set(found) == {digest(number) for number in range(101)}


def test_link_without_its_reference_is_refused_and_closes_nothing(table):
    table.create_session(session())
    table.add_reference("api/a", OTHER_IMAGE, digest("a"))
    table.add_reference("api/a", APP, digest("b"))
    table.add_reference("api/b", APP, digest("a"))
    with pytest.raises(ReferenceGone):
        table.put_link(link("a"), repository_id=session().repository_id, closing=session())
    assert table.find_link(APP, digest("a")) is None
    assert table.find_session(APP, session().id) == session()


def test_link_closes_the_session_that_brought_it(table):
    table.create_session(session())
    connect(table, link("a"), session())
    closed = table.find_session(APP, session().id)
    assert closed == replace(session(), state=SessionState.CLOSED, digest=digest("a"))


@pytest.mark.parametrize("state", ["closed", "absent", "of another repository"])
def test_link_by_a_session_that_is_not_open_is_refused_and_not_written(table, state):
    if state == "closed":
        table.create_session(session())
        connect(table, link("a"), session())
    if state == "of another repository":
        table.create_session(session(repository=OTHER_IMAGE))
    table.add_reference(link("b").key, APP, digest("b"))
    with pytest.raises(BlobUploadUnknown):
        table.put_link(link("b"), repository_id=session().repository_id, closing=session())
    assert table.find_link(APP, digest("b")) is None


def test_session_finished_by_two_at_once_brings_one_link(table):
    for number in range(8):
        upload = session(f"{number}f")
        table.create_session(upload)
        blobs = [link(f"{number} {name}") for name in "ab"]
        results = together(*[partial(connect, table, blob, upload) for blob in blobs])
        linked = [blob for blob in blobs if table.find_link(APP, blob.digest)]
        assert sorted(type(result).__name__ for result in results) == ["BlobUploadUnknown", "NoneType"]
        assert [table.find_session(APP, upload.id).digest] == [blob.digest for blob in linked]


def test_link_put_again_through_another_object_takes_its_place(table):
    connect(table, link("a", key="api/first"))
    connect(table, link("a", key="api/second"))
    connect(table, link("a", key="api/second"))
    assert table.find_link(APP, digest("a")).key == "api/second"
    assert table.references("api/first", 10) == []
    assert table.references("api/second", 10) == [(APP, digest("a"))]


def test_links_put_at_once_through_two_objects_leave_the_reference_of_the_one_that_stands(table):
    for number in range(8):
        blobs = [link(number, key=f"api/{number}/{name}") for name in "abc"]
        together(*[partial(connect, table, blob) for blob in blobs])
        standing = table.find_link(APP, digest(number))
        referred = [blob.key for blob in blobs if table.references(blob.key, 10)]
        assert referred == [standing.key]


def test_removed_link_is_gone_with_its_reference_and_no_other(table):
    connect(table, link("a"))
    connect(table, link("a", repository=OTHER_IMAGE))
    assert table.remove_link(APP, digest("a")) == link("a")
    assert table.find_link(APP, digest("a")) is None
    assert table.remove_link(APP, digest("a")) is None
    assert table.references("api/a", 10) == [(OTHER_IMAGE, digest("a"))]
    assert table.find_link(OTHER_IMAGE, digest("a")) is not None


def test_link_put_while_it_is_removed_stands_with_its_reference_or_not_at_all(table):
    for number in range(15):
        blob = link(number)
        connect(table, blob)
        together(partial(connect, table, blob), partial(table.remove_link, APP, blob.digest))
        if table.find_link(APP, blob.digest):
            assert table.references(blob.key, 10) == [(APP, blob.digest)]


def test_link_removed_by_many_at_once_is_removed_once(table):
    connect(table, link("a"))
    results = together(*[lambda: table.remove_link(APP, digest("a"))] * 6)
    assert [result for result in results if result is not None] == [link("a")]


def test_object_is_recorded_once_and_stays_as_it_is(table):
    assert table.find_object("api/k") is None
    table.add_object(stored("api/k"))
    table.add_object(replace(stored("api/k"), size=99, created=LATER))
    assert table.find_object("api/k") == stored("api/k")


def test_condemned_object_is_not_revived_by_recording_it_again(table):
    condemned = replace(stored("api/k"), state=ObjectState.CONDEMNED)
    table.add_object(condemned)
    table.add_object(stored("api/k"))
    assert table.find_object("api/k") == condemned


def test_references_of_an_object_are_the_repositories_that_link_it(table):
    assert table.references("api/a", 10) == []
    for repository in (APP, OTHER_IMAGE, OTHER_ORG):
        for _ in range(2):
            table.add_reference("api/a", repository, digest("a"))
    table.add_reference("api/a/b", APP, digest("b"))
    expected = {(repository, digest("a")) for repository in (APP, OTHER_IMAGE, OTHER_ORG)}
    assert set(table.references("api/a", 10)) == expected
    assert len(table.references("api/a", 2)) == 2
    assert table.references("api/a", 0) == []


def test_object_of_an_organisation_is_the_last_that_was_put(table):
    assert table.find_organisation_blob("demo", digest("a")) is None
    table.put_organisation_blob("demo", link("a", key="api/first"))
    table.put_organisation_blob("demo", link("a", key="api/second"))
    assert table.find_organisation_blob("demo", digest("a")) == "api/second"
    assert table.find_organisation_blob("acme", digest("a")) is None
    assert table.find_organisation_blob("demo", digest("b")) is None


def test_copy_is_recorded_where_nobody_was_quicker(table):
    assert table.add_copy(stored("copy/a"), "demo", digest("a"), instead_of=None)
    assert table.find_object("copy/a") == stored("copy/a")
    assert table.find_organisation_blob("demo", digest("a")) == "copy/a"
    assert table.find_organisation_blob("acme", digest("a")) is None

    assert not table.add_copy(stored("copy/late"), "demo", digest("a"), instead_of=None)
    assert not table.add_copy(stored("copy/late"), "demo", digest("a"), instead_of="copy/before")
    assert table.find_object("copy/late") is None
    assert table.find_organisation_blob("demo", digest("a")) == "copy/a"

    assert table.add_copy(stored("copy/anew"), "demo", digest("a"), instead_of="copy/a")
    assert table.find_object("copy/anew") == stored("copy/anew")
    assert table.find_organisation_blob("demo", digest("a")) == "copy/anew"
    assert not table.add_copy(stored("copy/b"), "demo", digest("b"), instead_of="copy/a")


def test_copy_that_is_recorded_stays_as_it_is(table):
    condemned = replace(stored("copy/a"), state=ObjectState.CONDEMNED)
    table.add_object(condemned)
    assert table.add_copy(stored("copy/a"), "demo", digest("a"), instead_of=None)
    assert table.find_object("copy/a") == condemned
    assert table.find_organisation_blob("demo", digest("a")) is None


def test_of_copies_that_are_recorded_at_once_one_is(table):
    copies = [stored(f"copy/{number}") for number in range(6)]
    results = together(
        *[lambda each=each: table.add_copy(each, "demo", digest("a"), instead_of=None) for each in copies]
    )
    assert sorted(results) == [False] * 5 + [True]
    (recorded,) = [each for each in copies if table.find_object(each.key)]
    assert table.find_organisation_blob("demo", digest("a")) == recorded.key


def test_links_and_references_leave_no_row_behind(dynamo_table, rows):
    opened(dynamo_table, APP)
    before = rows()
    connect(dynamo_table, link("a", key="api/first"))
    connect(dynamo_table, link("a", key="api/second"))
    assert len(rows()) == len(before) + 2
    dynamo_table.remove_link(APP, digest("a"))
    assert rows() == before


@pytest.mark.parametrize("repository", ["absent", "made anew", "ended"])
def test_link_into_a_repository_that_is_gone_is_refused_and_not_written(table, repository):
    if repository == "made anew":
        make_organisation(table, APP.org)
        table.create_repository(RepositoryRecord(APP, "another-id", NOW))
    if repository == "ended":
        opened(table, APP)
        assert table.end_repositories(APP.org, 10) == 1
    table.add_reference(link("a").key, APP, digest("a"))
    with pytest.raises(NameUnknown):
        table.put_link(link("a"), repository_id=session().repository_id, closing=None)
    assert table.find_link(APP, digest("a")) is None
    assert table.references(link("a").key, 10) == []


def test_reference_of_a_link_in_a_repository_made_anew_stays(table):
    connect(table, link("a"))
    with pytest.raises(NameUnknown):
        table.put_link(link("a"), repository_id="that-of-before", closing=None)
    assert table.references(link("a").key, 10) == [(APP, digest("a"))]
    assert table.find_link(APP, digest("a")) == link("a")


def test_removed_object_is_gone_and_nothing_else(table):
    for key in ("api/a", "api/b"):
        table.add_object(stored(key))
        table.add_reference(key, APP, digest("a"))
    for _ in range(2):
        table.remove_object("api/a")
        assert table.find_object("api/a") is None
    assert table.find_object("api/b") == stored("api/b")
    # The references stay: whoever writes the row again finds them.
    assert table.references("api/a", 10) == [(APP, digest("a"))]
    table.add_object(stored("api/a"))
    assert table.find_object("api/a") == stored("api/a")


@pytest.mark.parametrize("repository", ["absent", "made anew"])
def test_link_by_a_session_of_a_repository_that_is_gone_is_refused_and_not_written(table, repository):
    table.create_session(session())
    if repository == "made anew":
        make_organisation(table, APP.org)
        table.create_repository(RepositoryRecord(APP, "another-id", NOW))
    table.add_reference(link("a").key, APP, digest("a"))
    with pytest.raises(BlobUploadUnknown):
        table.put_link(link("a"), repository_id=session().repository_id, closing=session())
    assert table.find_link(APP, digest("a")) is None
    assert table.find_session(APP, session().id) == session()


@pytest.mark.parametrize("way", NAMED_BY_DIGEST)
@pytest.mark.parametrize("own", [True, False])
def test_session_that_may_have_left_something_behind_is_found_to_be_swept(table, way, own):
    """Closed with another object than its own, past the API: what it has stored nobody knows."""
    upload = session(way=way)
    table.create_session(upload)
    connect(table, link("a", key=f"{way}/a/{upload.id if own else 'other'}"), upload)
    late = NOW + timedelta(days=2)
    behind = not own and way is not Way.API
    assert table.expired_sessions(late, 5) == ([(APP, upload.id)] if behind else [])
    table.remove_ended_session(upload)
    assert table.expired_sessions(late, 5) == []
    assert table.find_link(APP, digest("a")) is not None
