"""The role of the management function allows what its ports ask DynamoDB for, row by row, and no more."""

from __future__ import annotations

from contextlib import suppress

from moorage.adapters.dynamodb.secret_records import DynamoSecretRecords
from moorage.domain.errors import RegistryError
from moorage.ports import RepositoryRecord
from tests.contract.samples import APP, NOW
from tests.contract.test_faults import TABLE_CALLS
from tests.contract.test_rights import (  # noqa: F401 - fixtures
    BY_CALLERS_OF_JOBS,
    BY_MANAGEMENT,
    BY_PEOPLE,
    DECIDING,
    asked,
    assert_no_more_than,
    filled,
    template,
)

# What shows an image, and what proves who calls.
READING = {"find_manifest", "find_link", "tags_of", "find_key", "note_use", "verification_keys"}
# What is asked about the images of a copy before there is a job.
COPYING = {"find_tag", "find_manifests", "find_images"}


def test_management_may_do_what_its_ports_do(filled, template):  # noqa: F811
    used = set()
    assert filled.create_repository(RepositoryRecord(APP, "one", NOW)).id == "one"
    TABLE_CALLS["put_organisation_blob"](filled)
    calls = BY_MANAGEMENT | BY_PEOPLE | BY_CALLERS_OF_JOBS | DECIDING | READING | COPYING
    # What ends something comes last, and of that what ends the most.
    order = ("delete", "revoke", "begin_removal", "end", "remove", "forget")
    rank = {
        name: max((i for i, word in enumerate(order, 1) if name.startswith(word)), default=0)
        for name in calls
    }
    for name in sorted(calls, key=lambda name: (rank[name], name == "end_removal", name)):
        with asked(filled._table.client()) as found, suppress(RegistryError):
            TABLE_CALLS[name](filled)
        assert found, name
        used.update(found)
        assert [each for each in found if not template.may("management", *each)] == [], name
    with asked(filled._table.client()) as found:
        DynamoSecretRecords(filled._table).find_bootstrap()
    assert [each for each in found if not template.may("management", *each)] == []
    assert_no_more_than(template, used | set(found), "management")
