"""The end of an organisation's repositories, in both tables."""

from __future__ import annotations

import pytest

from moorage.domain.blobs import Way
from moorage.domain.errors import BlobUploadUnknown, NameUnknown
from moorage.domain.names import Repository
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
    manifest,
    point,
    put_manifest,
    referrer,
    session,
    stored,
)

SUBJECT = digest("subject")


@pytest.fixture(params=["memory", "dynamo"])
def table(request):
    table = request.getfixturevalue(f"{request.param}_table")
    make_organisation(table, "demo", "acme")
    for name in (APP, OTHER_IMAGE, OTHER_ORG):
        table.create_repository(RepositoryRecord(name, f"id-of-{name.name}", NOW))
    return table


def fill(table, repository: Repository, times: int = 1) -> None:
    for number in range(times):
        name = f"{repository.name}-{number}"
        put_manifest(
            table,
            repository,
            manifest(name, subject=SUBJECT),
            uses=[digest(f"layer-{name}")],
            referrer=referrer(SUBJECT, name),
        )
        point(table, repository, f"v{number}", digest(name))
        table.add_object(stored(f"api/{name}"))
        connect(table, link(name, repository, f"api/{name}"))
        table.put_organisation_blob(repository.org, link(name, repository, f"api/{name}"))


def visible(table, repository: Repository, times: int = 1) -> set[str]:
    found = set()
    for number in range(times):
        name = f"{repository.name}-{number}"
        seen = {
            "manifest": table.find_manifest(repository, digest(name)),
            "tag": table.find_tag(repository, f"v{number}"),
            "link": table.find_link(repository, digest(name)),
            "reference": table.references(f"api/{name}", 1),
            "use": table.users_of(repository, digest(f"layer-{name}")),
            "blob of the organisation": table.find_organisation_blob(repository.org, digest(name)),
        }
        found |= {what for what, there in seen.items() if there}
    if table.referrers(repository, SUBJECT, artifact_type=None, after=None).referrers:
        found.add("referrer")
    return found


ALL = {"manifest", "tag", "link", "reference", "use", "referrer", "blob of the organisation"}


def remove(table, repository: Repository, limit: int = 500) -> int:
    slices = 0
    while table.remove_contents(repository, limit):
        slices += 1
    return slices


def test_repositories_end_slice_by_slice_and_those_of_others_stay(table):
    assert table.end_repositories("demo", 1) == 1
    assert table.end_repositories("demo", 10) == 1
    assert table.end_repositories("demo", 10) == 0
    assert table.end_repositories("absent", 10) == 0
    for name in (APP, OTHER_IMAGE):
        assert table.find_repository(name) is None
        assert table.find_repository_by_id(f"id-of-{name.name}") is None
    assert table.find_repository(OTHER_ORG) is not None
    assert table.ended_repositories("demo", None, 10) == [APP, OTHER_IMAGE]
    assert table.ended_repositories("demo", None, 1) == [APP]
    assert table.ended_repositories("demo", APP.image, 10) == [OTHER_IMAGE]
    assert table.ended_repositories("demo", OTHER_IMAGE.image, 10) == []


def test_repository_that_has_ended_takes_nothing_and_is_not_made_again(table):
    upload = session(repository_id=f"id-of-{APP.name}", way=Way.DIRECT)
    table.create_session(upload)
    table.begin_removal("demo", NOW)
    table.end_repositories("demo", 10)
    table.add_reference("api/a", APP, digest("a"))
    with pytest.raises(BlobUploadUnknown):
        table.put_link(link("a"), repository_id=session().repository_id, closing=upload)
    with pytest.raises(NameUnknown):
        table.create_repository(RepositoryRecord(APP, "another", LATER))
    assert table.find_link(APP, digest("a")) is None
    assert table.find_repository(APP) is None


def test_contents_go_with_everything_about_them_and_those_of_others_stay(table):
    for name in (APP, OTHER_IMAGE, OTHER_ORG):
        fill(table, name)
    upload = session(repository_id=f"id-of-{APP.name}")
    table.create_session(upload)
    assert visible(table, APP) == ALL
    remove(table, APP)
    assert visible(table, APP) == {"blob of the organisation"}
    assert table.find_session(APP, upload.id) is None
    assert table.find_object(f"api/{APP.name}-0") is not None
    assert table.remove_organisation_blobs("demo", 1) == 1
    assert table.remove_organisation_blobs("demo", 10) == 1
    assert table.remove_organisation_blobs("demo", 10) == 0
    assert visible(table, APP) == set()
    assert visible(table, OTHER_IMAGE) == ALL - {"blob of the organisation"}
    assert visible(table, OTHER_ORG) == ALL


def test_contents_go_in_slices_that_are_continued(table):
    fill(table, APP, 30)
    slices = remove(table, APP, 20)
    assert slices >= 4
    assert visible(table, APP, 30) == {"blob of the organisation"}
    assert table.remove_contents(OTHER_IMAGE, 10) == 0


def test_name_goes_last_and_only_of_what_has_ended(table):
    table.forget_repository(APP)
    assert table.find_repository(APP) is not None
    table.end_repositories("demo", 10)
    table.forget_repository(APP)
    table.forget_repository(APP)
    assert table.ended_repositories("demo", None, 10) == [OTHER_IMAGE]
    # Only now, in an organisation that stands, the name is free.
    assert table.create_repository(RepositoryRecord(APP, "anew", NOW)).id == "anew"


def test_what_changes_between_the_look_and_the_removal_stays_for_the_next_slice(dynamo_table, monkeypatch):
    make_organisation(dynamo_table, "demo")
    dynamo_table.create_repository(RepositoryRecord(APP, "one", NOW))
    fill(dynamo_table, APP)
    name = f"{APP.name}-0"
    transact = dynamo_table._table.transact

    def replaced_first(*writes, **named):
        monkeypatch.setattr(dynamo_table._table, "transact", transact)
        connect(dynamo_table, link(name, APP, "api/second"))
        transact(*writes, **named)

    monkeypatch.setattr(dynamo_table._table, "transact", replaced_first)
    assert dynamo_table.remove_contents(APP, 100) > 0
    assert dynamo_table.find_link(APP, digest(name)).key == "api/second"
    remove(dynamo_table, APP)
    assert visible(dynamo_table, APP) == {"blob of the organisation"}
    assert dynamo_table.references("api/second", 1) == []
