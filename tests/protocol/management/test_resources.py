"""What every kind of resource does alike: made, listed, changed, deleted."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

import pytest

from moorage.domain.errors import WriteConflict
from moorage.domain.resources import Kind
from moorage.services import resource_reads
from tests.contract.samples import record
from tests.protocol.management.world import Management, next_of

ADMIN = "demo/admin"
POLICY = {
    "name": "thing",
    "targetKind": "image",
    "target": "all",
    "bindings": [{"permissions": ["pull"], "principalLinks": ["//group/viewers"]}],
}
KINDS = {
    "/org/demo/policy": POLICY,
    "/org/demo/group": {"name": "thing", "memberLinks": ["//serviceaccount/admin"]},
    "/org/demo/serviceaccount": {"name": "thing"},
    "/org/demo/gvc": {"name": "thing"},
    "/org/demo/gvc/apps/identity": {"name": "thing"},
}
every_kind = pytest.mark.parametrize(
    ("path", "body"), KINDS.items(), ids=[path.split("/")[-1] for path in KINDS]
)


@pytest.fixture(autouse=True)
def _gvc(management: Management):
    management.ok(ADMIN, "POST", "/org/demo/gvc", {"name": "apps"})


@every_kind
def test_life_of_a_resource(management: Management, path, body):
    made = management.call(
        ADMIN, "POST", path, {**body, "description": "one", "tags": {"a": 1, "b": True, "c": "x"}}
    )
    assert made.status_code == 201
    assert made.headers["location"] == f"{path}/thing"
    thing = made.json()
    shown = management.ok(ADMIN, "GET", f"{path}/thing")
    assert {**shown, "keys": []} == {**thing, "keys": []}
    assert (thing["kind"], thing["name"], thing["version"]) == (path.split("/")[-1], "thing", 1)
    assert thing["tags"] == {"a": 1, "b": True, "c": "x"}
    assert {"rel": "self", "href": f"{path}/thing"} in thing["links"]
    assert {"rel": "org", "href": "/org/demo"} in thing["links"]
    assert thing["created"] == thing["lastModified"] == "2026-05-04T03:02:01.000Z"

    changed = management.ok(ADMIN, "PATCH", f"{path}/thing", {"tags": {"a": None, "d": "new"}})
    assert changed["tags"] == {"b": True, "c": "x", "d": "new"}
    assert (changed["version"], changed["id"]) == (2, thing["id"])
    assert "thing" in [item["name"] for item in management.ok(ADMIN, "GET", path)["items"]]

    assert management.call(ADMIN, "DELETE", f"{path}/thing").status_code == 204
    gone = management.call(ADMIN, "GET", f"{path}/thing")
    assert gone.status_code == 404
    assert management.call(ADMIN, "DELETE", f"{path}/thing").status_code == 404


@every_kind
def test_what_a_get_answers_can_be_sent_back_and_changes_nothing(management: Management, path, body):
    management.ok(ADMIN, "POST", path, body)
    shown = management.ok(ADMIN, "GET", f"{path}/thing")
    for method, place in (("PUT", path), ("PUT", f"{path}/thing"), ("PATCH", f"{path}/thing")):
        answer = management.ok(ADMIN, method, place, shown)
        assert (answer["version"], answer["lastModified"]) == (1, shown["lastModified"])


@every_kind
def test_put_on_the_collection_makes_then_replaces(management: Management, path, body):
    assert management.call(ADMIN, "PUT", path, {**body, "tags": {"a": 1}}).status_code == 201
    again = management.call(ADMIN, "PUT", path, {**body, "description": "other"})
    assert again.status_code == 200
    assert (again.json()["description"], again.json()["tags"], again.json()["version"]) == ("other", {}, 2)


@every_kind
def test_post_of_a_name_that_is_taken_says_where_it_is(management: Management, path, body):
    management.ok(ADMIN, "POST", path, body)
    again = management.call(ADMIN, "POST", path, body)
    assert (again.status_code, again.json()["code"]) == (409, "AlreadyExists")
    assert again.json()["details"]["links"] == [{"rel": "self", "href": f"{path}/thing"}]


@every_kind
def test_change_of_an_old_version_writes_nothing(management: Management, path, body):
    first = management.ok(ADMIN, "POST", path, body)
    management.ok(ADMIN, "PATCH", f"{path}/thing", {"version": 1, "id": first["id"], "description": "mine"})
    for change in ({"version": 1}, {"id": "another"}, {"version": 3}):
        for method, place in (("PATCH", f"{path}/thing"), ("PUT", f"{path}/thing"), ("PUT", path)):
            late = management.call(ADMIN, method, place, {**body, **change, "description": "yours"})
            assert (late.status_code, late.json()["code"]) == (409, "VersionMismatch"), late.text
    kept = management.ok(ADMIN, "GET", f"{path}/thing")
    assert (kept["version"], kept["description"]) == (2, "mine")


@every_kind
def test_change_that_is_overtaken_is_made_again_from_what_stands(
    management: Management, path, body, monkeypatch
):
    management.ok(ADMIN, "POST", path, body)
    table, replace = management.world.table, management.world.table.replace

    def overtaken(before, after):
        monkeypatch.setattr(table, "replace", replace)
        management.ok(ADMIN, "PATCH", f"{path}/thing", {"tags": {"theirs": 1}})
        return replace(before, after)

    monkeypatch.setattr(table, "replace", overtaken)
    assert management.ok(ADMIN, "PATCH", f"{path}/thing", {"tags": {"mine": 1}})["tags"] == {
        "theirs": 1,
        "mine": 1,
    }
    monkeypatch.setattr(table, "replace", overtaken)
    late = management.call(ADMIN, "PATCH", f"{path}/thing", {"tags": {"late": 1}, "version": 3})
    # Theirs changes nothing the second time, so the version is still the one that was named.
    assert late.status_code == 200


def test_change_that_is_always_overtaken_is_given_up(management: Management, monkeypatch):
    management.ok(ADMIN, "POST", "/org/demo/gvc", {"name": "thing"})

    def overtaken(before, after):
        raise WriteConflict("overtaken")

    monkeypatch.setattr(management.world.table, "replace", overtaken)
    answer = management.call(ADMIN, "PATCH", "/org/demo/gvc/thing", {"description": "x"})
    assert (answer.status_code, answer.json()["code"]) == (503, "WriteConflict")
    assert answer.headers["retry-after"]


@every_kind
def test_protected_resource_is_not_deleted_until_the_tag_is_gone(management: Management, path, body):
    management.ok(ADMIN, "POST", path, {**body, "tags": {"protected": "true"}})
    refused = management.call(ADMIN, "DELETE", f"{path}/thing?force=true")
    assert (refused.status_code, refused.json()["code"]) == (403, "ResourceProtected")
    management.ok(ADMIN, "PATCH", f"{path}/thing", {"tags": {"protected": None}})
    assert management.call(ADMIN, "DELETE", f"{path}/thing").status_code == 204


@pytest.mark.parametrize(
    "change",
    [
        {"nam": "x"},
        {"name": "other"},
        {"tags": []},
        {"tags": {"": 1}},
        {"tags": {"a": {}}},
        {"tags": {"a": [1]}},
        {"tags": {"a": "x" * 1000}},
        {"tags": {str(n): 1 for n in range(51)}},
        {"description": 1},
        {"description": "x" * 251},
        {"version": "1"},
        {"version": True},
        {"id": 5},
        {"$drop/tags": ["a"]},
        {"$patch/description": []},
        {"$set/tags": {}},
        {"kind": "policy", "bindings": []},
    ],
    ids=str,
)
def test_change_that_makes_no_sense_writes_nothing(management: Management, change):
    management.ok(ADMIN, "POST", "/org/demo/gvc", {"name": "thing"})
    refused = management.call(ADMIN, "PATCH", "/org/demo/gvc/thing", change)
    assert refused.status_code == 400, refused.text
    assert management.ok(ADMIN, "GET", "/org/demo/gvc/thing")["version"] == 1


@pytest.mark.parametrize(
    "name",
    [
        "Thing",
        "1thing",
        "t",
        "thing-",
        "x" * 65,
        "th ing",
        "thíng",
        "тhing",
        "-query",
        "a/b",
        "",
        None,
        5,
        [],
    ],
)
@every_kind
def test_name_outside_the_grammar_is_refused(management: Management, path, body, name):
    refused = management.call(ADMIN, "POST", path, {**body, "name": name})
    assert refused.status_code == 400, refused.text


def test_list_goes_on_at_its_link_and_shows_everything_once(management: Management):
    names = sorted(f"a{number:03}" for number in range(120))
    for name in names:
        management.ok(ADMIN, "POST", "/org/demo/gvc", {"name": name})
    seen, pages, path = [], 0, "/org/demo/gvc"
    while path:
        page = management.ok(ADMIN, "GET", path)
        assert (page["kind"], page["itemKind"]) == ("list", "gvc")
        seen += [item["name"] for item in page["items"]]
        path = next_of(page)
        pages += 1
    assert (seen, pages) == (sorted([*names, "apps"]), 3)


def test_list_and_its_links_show_only_what_the_caller_may_see(management: Management):
    robot = management.account("demo", "robot")
    for number in range(60):
        tags = {"team": "blue"} if number % 20 == 0 else {}
        management.ok(ADMIN, "POST", "/org/demo/gvc", {"name": f"g{number:03}", "tags": tags})
    query = {"spec": {"terms": [{"tag": "team", "value": "blue"}]}}
    management.policy("see-blue", "gvc", robot, "view", targetQuery=query)
    page = management.ok("demo/robot", "GET", "/org/demo/gvc")
    assert [item["name"] for item in page["items"]] == ["g000", "g020", "g040"]
    assert [link["rel"] for link in page["links"]] == ["self"]
    # Not there, or not for this caller: both are alike, unless the caller could see it if it were there.
    assert management.call("demo/robot", "GET", "/org/demo/gvc/g001").status_code == 403
    assert management.call("demo/robot", "GET", "/org/demo/gvc/absent").status_code == 403


def fill(management: Management, count: int, **changes: Any) -> None:
    for number in range(count):
        management.world.table.create(record(Kind.GVC, f"hidden-{number:04}", **changes))


def pages_of(management: Management, who: str, path: str) -> Iterator[Any]:
    while path:
        page = management.ok(who, "GET", path)
        yield page
        path = next_of(page)


def test_list_of_who_may_see_little_looks_at_a_bounded_number_and_tells_no_names(management: Management):
    fill(management, 2_300)
    management.ok(ADMIN, "POST", "/org/demo/gvc", {"name": "zoo"})
    robot, faults = management.account("demo", "robot"), management.world.faults
    management.policy("see", "gvc", robot, "view", target=None, targetLinks=["//gvc/apps", "//gvc/zoo"])
    seen, reads = [], []
    faults.calls.clear()
    for page in pages_of(management, "demo/robot", "/org/demo/gvc"):
        reads.append(faults.calls.count("page"))
        seen.append([item["name"] for item in page["items"]])
        cursor = next_of(page).rpartition("after=")[2]
        assert b"hidden" not in base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
        faults.calls.clear()
    assert seen == [["apps"], [], ["zoo"]]
    assert max(reads) <= 11
    management.account("demo", "nobody")
    assert [len(page["items"]) for page in pages_of(management, "demo/nobody", "/org/demo/gvc")] == [0, 0, 0]


def test_list_ends_its_page_when_deciding_has_become_much_work(management: Management):
    fill(management, 700)
    robot = management.account("demo", "robot")
    for number in range(3):
        query = {"spec": {"terms": [{"property": "name", "op": "=~", "value": f"-{number}6.9$"}]}}
        management.policy(f"see-{number}", "gvc", robot, "view", targetQuery=query)
    seen = [
        [item["name"] for item in page["items"]]
        for page in pages_of(management, "demo/robot", "/org/demo/gvc")
    ]
    assert len(seen) == 3
    assert [name for names in seen for name in names] == [f"hidden-06{number}9" for number in range(10)]


def test_sorting_by_something_else_than_the_name_looks_at_a_bounded_number(
    management: Management, monkeypatch: pytest.MonkeyPatch
):
    fill(management, 12)
    monkeypatch.setattr(resource_reads, "SORTED_MAX", 13)
    management.account("demo", "nobody")
    query = {"spec": {"sort": {"by": "created"}}}
    assert len(management.ok(ADMIN, "POST", "/org/demo/gvc/-query", query)["items"]) == 13
    management.ok(ADMIN, "POST", "/org/demo/gvc", {"name": "one-more"})
    for who in (ADMIN, "demo/nobody"):
        assert management.call(who, "POST", "/org/demo/gvc/-query", query).status_code == 400


@pytest.mark.parametrize("after", ["apps", "a" * 1_025, "a" * 1_800, "%C3%BC" * 300, "e30"])
def test_made_up_cursor_is_refused_before_anything_is_read(management: Management, after):
    faults = management.world.faults
    for path in ("gvc", "gvc/-query", "policy", "user", "gvc/apps/identity"):
        faults.calls.clear()
        refused = management.call(ADMIN, "GET", f"/org/demo/{path}?after={after}")
        assert (refused.status_code, refused.json()["code"]) == (400, "QueryInvalid")
        assert "page" not in faults.calls


def test_cursor_leads_on_in_its_own_list_only(management: Management):
    fill(management, 60)
    fill(management, 60, org="other")
    cursor = next_of(management.ok(ADMIN, "GET", "/org/demo/gvc")).rpartition("after=")[2]
    assert management.ok(ADMIN, "GET", f"/org/demo/gvc?after={cursor}")["items"]
    for who, path in (
        (ADMIN, "/org/demo/policy"),
        (ADMIN, "/org/demo/gvc/-query"),
        ("other/admin", "/org/other/gvc"),
    ):
        assert management.call(who, "GET", f"{path}?after={cursor}").status_code == 400


def test_names_of_one_gvc_are_listed_without_those_of_another_that_begins_alike(management: Management):
    management.ok(ADMIN, "POST", "/org/demo/gvc", {"name": "apps-b"})
    for gvc in ("apps", "apps-b"):
        management.ok(ADMIN, "POST", f"/org/demo/gvc/{gvc}/identity", {"name": f"in-{gvc}"})
    for gvc in ("apps", "apps-b"):
        items = management.ok(ADMIN, "GET", f"/org/demo/gvc/{gvc}/identity")["items"]
        assert [(item["gvc"], item["name"]) for item in items] == [(gvc, f"in-{gvc}")]
    assert (
        management.call(ADMIN, "POST", "/org/demo/gvc/absent/identity", {"name": "some"}).status_code == 404
    )
    full = management.call(ADMIN, "DELETE", "/org/demo/gvc/apps")
    assert (full.status_code, full.json()["code"]) == (409, "InUse")


def test_query_selects_sorts_and_goes_on(management: Management):
    for number in range(70):
        body = {"name": f"g{number:02}", "description": f"{number % 7}", "tags": {"even": number % 2 == 0}}
        management.ok(ADMIN, "POST", "/org/demo/gvc", body)
    query = {
        "spec": {"terms": [{"tag": "even", "value": True}], "sort": {"by": "description", "order": "desc"}}
    }
    assert len(management.ok(ADMIN, "POST", "/org/demo/gvc/-query", query)["items"]) == 35
    everything = {
        "spec": {
            "terms": [{"property": "name", "op": "~", "value": "g*"}],
            "sort": {"by": "description", "order": "desc"},
        }
    }
    first = management.ok(ADMIN, "POST", "/org/demo/gvc/-query", everything)
    assert (first["kind"], len(first["items"])) == ("queryresult", 50)
    (following,) = [link["href"] for link in first["links"] if link["rel"] == "next"]
    second = management.ok(ADMIN, "GET", following)
    shown = [(item["description"], item["name"]) for item in first["items"] + second["items"]]
    assert len(shown) == 70
    assert [each[0] for each in shown] == sorted((each[0] for each in shown), reverse=True)
    assert second["query"] == first["query"]
    links = management.ok(ADMIN, "POST", "/org/demo/gvc/-query", {"fetch": "links"})["items"][0]
    assert links.keys() == {"kind", "name", "links"}


@pytest.mark.parametrize("packed", ["x", "%00", "eNpLTAQAASUAxA", "a" * 8000, "eJzLKCkpsNLXBwAfMgRQ"])
def test_address_of_a_page_that_was_made_up_is_refused(management: Management, packed):
    assert management.call(ADMIN, "GET", f"/org/demo/gvc/-query?q={packed}").status_code == 400


@pytest.mark.parametrize(
    "kind",
    ["image", "policy", "org", "user", "group", "serviceaccount", "gvc", "identity", "auditctx", "quota"],
)
def test_permissions_of_every_kind_are_told(management: Management, kind):
    told = management.ok(ADMIN, "GET", f"/org/demo/{kind}/-schema/permissions")
    assert (told["kind"], told["targetKind"]) == ("permissions", kind)
    names = [item["name"] for item in told["items"]]
    assert told["implied"]["manage"] == names
    if kind == "image":
        assert told["implied"]["create"] == ["pull"]


def test_unknown_kind_has_no_permissions(management: Management):
    assert management.call(ADMIN, "GET", "/org/demo/workload/-schema/permissions").status_code == 400
