"""Resources by name and by whom they name, in both tables."""

from dataclasses import replace
from functools import partial

import pytest

from moorage.domain.errors import (
    AlreadyExists,
    InUse,
    InvalidInput,
    NotFound,
    RegistryError,
    TooLarge,
    WriteConflict,
)
from moorage.domain.principals import SUPERUSERS, VIEWERS, group_link
from moorage.domain.resources import Kind, Origin
from moorage.ports import POLICIES_OF_A_PRINCIPAL, QUERY_GROUPS_OF_AN_ORGANISATION, ResourceName
from tests.contract.samples import (
    LATER,
    NOW,
    ROBOT,
    account_key,
    group,
    make_account,
    make_organisation,
    policy,
    record,
)
from tests.contract.threads import together

QUERY = {"kind": "user", "spec": {"match": "all", "terms": []}}
IMAGES = (Kind.IMAGE, "demo")


@pytest.fixture
def org(table):
    make_organisation(table, "demo", "acme")
    return table


def changed(before, **changes):
    return replace(before, version=before.version + 1, last_modified=LATER, **changes)


def bound(before, *principals, kind=Kind.IMAGE):
    return changed(before, spec=policy(before.name, *principals, kind=kind).spec)


def test_resource_is_found_as_it_was_made(org):
    full = record(
        Kind.POLICY,
        "full",
        description="grüße",
        tags={"text": "\N{ANCHOR}", "flag": True, "number": 1.5, "empty": ""},
        origin=Origin.BUILT_IN,
        spec={"targetKind": "org", "bindings": [], "nested": {"none": None, "list": [1, 2.5, False]}},
    )
    bare = record(Kind.USER, "o'neil+1@example.com")
    for each in (full, bare):
        assert org.find(each.kind, "demo", each.name) is None
        org.create(each)
        assert org.find(each.kind, "demo", each.name) == each
        assert org.find(each.kind, "acme", each.name) is None
    assert org.find(Kind.ORG, "demo", "demo") == record(Kind.ORG, "demo")
    assert org.find(Kind.ORG, "absent", "absent") is None


def test_resources_of_many_kinds_and_organisations_are_found_together(org):
    made = [record(Kind.USER, f"u{number}@example.com") for number in range(120)]
    for each in made:
        org.create(each)
    wanted = {ResourceName.of(each): each for each in made}
    wanted[ResourceName(Kind.ORG, "acme", "acme")] = record(Kind.ORG, "acme", "acme")
    wanted[ResourceName(Kind.GROUP, "demo", VIEWERS)] = group(VIEWERS)
    absent = [ResourceName(Kind.USER, "acme", "u1@example.com"), ResourceName(Kind.ORG, "no", "no")]
    assert org.find_many([*wanted, *absent]) == wanted
    assert org.find_many([]) == {}


def test_pages_go_through_all_of_a_kind_by_name(org):
    names = ["zz", "a-b", "aa", "a", "m1"]
    for name in names:
        org.create(record(Kind.GVC, name))
        org.create(record(Kind.SERVICE_ACCOUNT, f"x{name}"))
    org.create(record(Kind.GVC, "ab", "acme"))
    seen, after = [], None
    while page := org.page(Kind.GVC, "demo", after, 2):
        assert len(page) <= 2
        seen += [each.name for each in page]
        after = seen[-1]
    assert seen == sorted(names)
    assert [each.name for each in org.page(Kind.GVC, "demo", "aa-not-there", 10)] == ["m1", "zz"]
    assert org.page(Kind.GVC, "demo", None, 0) == []
    assert org.page(Kind.GVC, "absent", None, 10) == []


def test_large_resources_are_all_on_the_page(org):
    for number in range(6):
        org.create(record(Kind.POLICY, f"p-{number}", spec={**policy("x").spec, "filling": "x" * 300_000}))
    assert [each.name for each in org.page(Kind.POLICY, "demo", None, 6)] == [f"p-{n}" for n in range(6)]


def test_resource_is_made_once(org):
    first = policy("one", ROBOT.link)
    org.create(first)
    with pytest.raises(AlreadyExists):
        org.create(replace(first, id="another", description="other"))
    assert org.find(Kind.POLICY, "demo", "one") == first
    results = together(*[partial(org.create, policy("two", id=f"id-{number}")) for number in range(6)])
    assert sorted(type(result).__name__ for result in results) == ["AlreadyExists"] * 5 + ["NoneType"]


def test_resource_in_an_absent_organisation_is_refused_and_leaves_no_hint(org):
    with pytest.raises(NotFound):
        org.create(policy("one", ROBOT.link, org="absent"))
    assert org.find(Kind.POLICY, "absent", "one") is None
    assert org.policy_hints([ROBOT.link], Kind.IMAGE, "absent") == []


def test_organisation_is_made_once_with_all_that_is_in_it(table):
    user = record(Kind.USER, "founder@example.com")
    contents = [group(SUPERUSERS, user.link), group(VIEWERS), user]
    table.create_organisation(record(Kind.ORG, "demo"), contents)
    assert table.find(Kind.USER, "demo", user.name) == user
    assert table.group_hints(user.link) == [group_link("demo", SUPERUSERS)]
    with pytest.raises(AlreadyExists):
        table.create_organisation(record(Kind.ORG, "demo", id="another"), contents)
    others = [
        partial(table.create_organisation, record(Kind.ORG, "acme", "acme", id=f"id-{n}"), [])
        for n in range(6)
    ]
    results = together(*others)
    assert sorted(type(result).__name__ for result in results) == ["AlreadyExists"] * 5 + ["NoneType"]


def test_change_of_what_was_read_is_stored(org):
    before = policy("one", ROBOT.link)
    org.create(before)
    after = bound(before, "/org/acme/user/x@example.com")
    org.replace(before, after)
    assert org.find(Kind.POLICY, "demo", "one") == after
    organisation = changed(record(Kind.ORG, "demo"), spec={"identityPull": False})
    org.replace(record(Kind.ORG, "demo"), organisation)
    assert org.find(Kind.ORG, "demo", "demo") == organisation


@pytest.mark.parametrize("seen", ["an older version", "one that was made anew", "nothing"])
def test_change_of_what_does_not_stand_any_more_is_refused_and_changes_nothing(org, seen):
    before = policy("one", ROBOT.link)
    standing = before
    if seen != "nothing":
        org.create(before)
    if seen == "an older version":
        standing = changed(before)
        org.replace(before, standing)
    if seen == "one that was made anew":
        org.delete(before)
        standing = replace(before, id="made-anew")
        org.create(standing)
    with pytest.raises(WriteConflict):
        org.replace(before, bound(before, "/org/demo/group/other"))
    with pytest.raises(WriteConflict):
        org.delete(before)
    assert org.find(Kind.POLICY, "demo", "one") == (None if seen == "nothing" else standing)
    assert org.policy_hints(["/org/demo/group/other"], *IMAGES) == []
    assert org.policy_hints([ROBOT.link], *IMAGES) == ([] if seen == "nothing" else ["one"])


def test_of_many_writers_one_wins_and_only_its_principals_find_the_policy(org):
    before = policy("one", ROBOT.link)
    org.create(before)
    principals = [f"/org/demo/group/team-{number}" for number in range(6)]
    results = together(*[partial(org.replace, before, bound(before, each)) for each in principals])
    assert sorted(type(result).__name__ for result in results) == ["NoneType"] + ["WriteConflict"] * 5
    (winner,) = org.find(Kind.POLICY, "demo", "one").spec["bindings"][0]["principalLinks"]
    assert winner == principals[results.index(None)]
    assert [each for each in [ROBOT.link, *principals] if org.policy_hints([each], *IMAGES)] == [winner]


def test_change_while_it_is_deleted_leaves_all_or_nothing(org):
    for number in range(6):
        before = policy(f"p-{number}", ROBOT.link)
        org.create(before)
        together(partial(org.replace, before, bound(before, ROBOT.link)), partial(org.delete, before))
        found = org.find(Kind.POLICY, "demo", before.name)
        assert (before.name in org.policy_hints([ROBOT.link], *IMAGES)) == (found is not None)


def test_deleted_resource_is_gone_and_its_name_is_free(org):
    org.create(policy("one", ROBOT.link))
    org.delete(policy("one", ROBOT.link))
    assert org.find(Kind.POLICY, "demo", "one") is None
    assert org.policy_hints([ROBOT.link], *IMAGES) == []
    org.create(policy("one", ROBOT.link, id="another"))
    assert org.policy_hints([ROBOT.link], *IMAGES) == ["one"]


def test_identity_needs_its_gvc_and_keeps_it(org):
    gvc, identity = record(Kind.GVC, "prod"), record(Kind.IDENTITY, "prod/web")
    with pytest.raises(NotFound):
        org.create(identity)
    org.create(gvc)
    org.create(identity)
    org.create(record(Kind.IDENTITY, "prod/job"))
    assert [each.link for each in org.page(Kind.IDENTITY, "demo", None, 9)] == [
        "/org/demo/gvc/prod/identity/job",
        "/org/demo/gvc/prod/identity/web",
    ]
    with pytest.raises(InUse):
        org.delete(gvc)
    changed_gvc = changed(gvc, description="new")
    org.replace(gvc, changed_gvc)
    org.delete(identity)
    with pytest.raises(InUse):
        org.delete(changed_gvc)
    org.delete(record(Kind.IDENTITY, "prod/job"))
    org.delete(changed_gvc)
    assert org.find(Kind.GVC, "demo", "prod") is None


def test_groups_are_found_from_their_members(org):
    user = "/org/demo/user/u@example.com"
    one, two = group("one", ROBOT.link, user), group("two", ROBOT.link)
    for each in (one, two, group("three", f"{ROBOT.link}2")):
        org.create(each)
    assert org.group_hints(ROBOT.link) == [one.link, two.link]
    org.replace(one, changed(one, spec=group("one", user).spec))
    assert org.group_hints(ROBOT.link) == [two.link]
    assert org.group_hints(user) == [one.link]
    org.delete(two)
    assert org.group_hints(ROBOT.link) == []


def test_groups_with_a_query_are_found_in_their_organisation(org):
    querying = group("querying", query=QUERY)
    org.create(querying)
    org.create(group("listing", ROBOT.link))
    assert org.query_group_hints("demo") == ["querying"]
    assert org.query_group_hints("acme") == []
    listing = changed(querying, spec=group("querying").spec)
    org.replace(querying, listing)
    assert org.query_group_hints("demo") == []
    org.replace(listing, changed(listing, spec=querying.spec))
    assert org.query_group_hints("demo") == ["querying"]
    org.delete(changed(changed(querying)))
    assert org.query_group_hints("demo") == []


def test_policies_are_found_from_whom_they_name_by_kind_and_organisation(org):
    stranger = "/org/acme/gvc/prod/identity/web"
    org.create(policy("images", ROBOT.link, stranger))
    org.create(policy("users", ROBOT.link, kind=Kind.USER, permission="view"))
    org.create(policy("abroad", ROBOT.link, org="acme"))
    org.create(policy("nobody"))
    assert org.policy_hints([ROBOT.link], *IMAGES) == ["images"]
    assert org.policy_hints([ROBOT.link], Kind.USER, "demo") == ["users"]
    assert org.policy_hints([ROBOT.link], Kind.IMAGE, "acme") == ["abroad"]
    assert org.policy_hints([stranger, "/org/demo/group/absent"], *IMAGES) == ["images"]
    assert org.policy_hints([], *IMAGES) == []
    org.create(policy("more", stranger))
    others = [f"/org/demo/group/g-{number}" for number in range(130)]
    assert org.policy_hints([*others, stranger, ROBOT.link], *IMAGES) == ["images", "more"]


def test_principal_is_named_by_so_many_policies_and_no_more(org):
    for number in range(POLICIES_OF_A_PRINCIPAL):
        org.create(policy(f"p-{number:04}", ROBOT.link))
    last = policy("last", "/org/demo/group/other")
    org.create(last)
    for refused in (
        partial(org.create, policy("too-many", ROBOT.link)),
        partial(org.replace, last, bound(last, ROBOT.link)),
    ):
        with pytest.raises(InvalidInput, match="1000"):
            refused()
    assert org.find(Kind.POLICY, "demo", "too-many") is None
    assert org.find(Kind.POLICY, "demo", "last") == last
    # What is named already may change, another kind and another principal are apart, and a deletion makes room.
    org.replace(policy("p-0000", ROBOT.link), bound(policy("p-0000"), ROBOT.link))
    org.create(policy("another", ROBOT.link, kind=Kind.USER, permission="view"))
    org.delete(policy("p-0001", ROBOT.link))
    org.create(policy("again", ROBOT.link))
    assert len(org.policy_hints([ROBOT.link], *IMAGES)) == POLICIES_OF_A_PRINCIPAL


def test_organisation_has_so_many_groups_with_a_query_and_no_more(org):
    for number in range(QUERY_GROUPS_OF_AN_ORGANISATION):
        org.create(group(f"g-{number:04}", query=QUERY))
    with pytest.raises(InvalidInput, match="1000"):
        org.create(group("too-many", query=QUERY))
    org.create(group("listing"))
    assert len(org.query_group_hints("demo")) == QUERY_GROUPS_OF_AN_ORGANISATION


def test_organisation_that_is_being_removed_is_absent_and_nothing_is_made_or_changed_in_it(org):
    before = policy("one", ROBOT.link)
    org.create(before)
    assert org.begin_removal("absent", NOW) is None
    assert org.begin_removal("demo", NOW) == NOW
    assert org.begin_removal("demo", LATER) == NOW
    assert org.find(Kind.ORG, "demo", "demo") is None
    assert org.find_many([ResourceName(Kind.ORG, "demo", "demo")]) == {}
    with pytest.raises(NotFound):
        org.create(policy("two"))
    for old in (before, record(Kind.ORG, "demo")):
        with pytest.raises(WriteConflict):
            org.replace(old, changed(old))
    with pytest.raises(AlreadyExists):
        org.create_organisation(record(Kind.ORG, "demo", id="anew"), [])
    org.delete(before)
    org.end_removal("demo")
    org.end_removal("demo")
    org.create_organisation(record(Kind.ORG, "demo", id="anew"), [])
    org.end_removal("demo")
    assert org.find(Kind.ORG, "demo", "demo").id == "anew"


def test_what_is_more_than_a_row_holds_is_refused_before_anything_is_written(dynamo_table, rows):
    make_account(dynamo_table)
    before = rows()
    with pytest.raises(TooLarge):
        dynamo_table.create(
            policy("one", *(f"/org/demo/user/{'u' * 60}{n}@example.com" for n in range(5000)))
        )
    assert rows() == before


def write(org, before, after):
    """``after`` in the place of ``before``, by the write that this takes."""
    if before is None:
        org.create(after)
    elif after is None:
        org.delete(before)
    else:
        org.replace(before, after)


def refusal(act):
    """How ``act`` is refused, or None."""
    try:
        act()
    except RegistryError as error:
        return type(error), str(error)
    return None


HERE, ALONE = policy("here", ROBOT.link), policy("alone", "/org/demo/group/other")
APPS, EMPTY, WEB = record(Kind.GVC, "apps"), record(Kind.GVC, "empty"), record(Kind.IDENTITY, "apps/web")
QUERYING = group("querying", query=QUERY)


@pytest.mark.parametrize(
    ("before", "after", "refused"),
    [
        (None, policy("new", ROBOT.link), None),
        (None, group("new", ROBOT.link, query=QUERY), None),
        (None, record(Kind.IDENTITY, "apps/new"), None),
        (None, HERE, AlreadyExists),
        (None, policy("here", id="another"), AlreadyExists),
        (None, record(Kind.IDENTITY, "nowhere/web"), NotFound),
        (None, record(Kind.IDENTITY, "apps/web", id="another"), AlreadyExists),
        (None, record(Kind.GVC, "new", "absent"), NotFound),
        (None, record(Kind.IDENTITY, "apps/web", "absent"), NotFound),
        (HERE, changed(HERE, description="other"), None),
        (HERE, bound(HERE, ROBOT.link, "/org/demo/group/more"), None),
        (QUERYING, changed(QUERYING, spec=group("querying").spec), None),
        (record(Kind.ORG, "demo"), changed(record(Kind.ORG, "demo"), description="other"), None),
        (changed(HERE), changed(changed(HERE)), WriteConflict),
        (policy("here", id="another"), changed(policy("here", id="another")), WriteConflict),
        (policy("never"), changed(policy("never")), WriteConflict),
        (record(Kind.ORG, "absent"), changed(record(Kind.ORG, "absent")), WriteConflict),
        (HERE, None, None),
        (WEB, None, None),
        (EMPTY, None, None),
        (APPS, None, InUse),
        (changed(HERE), None, WriteConflict),
        (policy("never"), None, WriteConflict),
    ],
)
def test_check_of_a_write_refuses_what_the_write_refuses_and_writes_nothing(org, before, after, refused):
    for each in (HERE, ALONE, APPS, EMPTY, WEB, QUERYING):
        org.create(each)
    stood = everything(org)
    found = refusal(partial(org.check_write, before, after))
    assert (found and found[0]) == refused
    assert everything(org) == stood
    # Again, after it was only looked at.
    assert refusal(partial(write, org, before, after)) in (found, _own(found, before, after))
    assert (everything(org) == stood) is (refused is not None)


def _own(found, before, after):
    """The create of what is there under the same id is taken as repeated; everything else is refused alike."""
    return None if before is None and after is HERE else found


def everything(org):
    """All resources of the organisations here, and what they are found by."""
    kinds = (Kind.ORG, Kind.POLICY, Kind.GROUP, Kind.GVC, Kind.IDENTITY)
    records = [org.page(kind, each, None, 100) for kind in kinds for each in ("demo", "acme", "absent")]
    links = [ROBOT.link, "/org/demo/group/other", "/org/demo/group/more"]
    hints = [[org.group_hints(link), org.policy_hints([link], *IMAGES)] for link in links]
    return records, hints, org.query_group_hints("demo")


def test_check_of_a_write_counts_what_names_a_principal(org, monkeypatch):
    few = 3
    monkeypatch.setattr("moorage.adapters.memory.resources.POLICIES_OF_A_PRINCIPAL", few)
    monkeypatch.setattr("moorage.adapters.dynamodb.hints.POLICIES_OF_A_PRINCIPAL", few)
    monkeypatch.setattr("moorage.adapters.memory.resources.QUERY_GROUPS_OF_AN_ORGANISATION", few)
    monkeypatch.setattr("moorage.adapters.dynamodb.hints.QUERY_GROUPS_OF_AN_ORGANISATION", few)
    for number in range(few):
        org.create(policy(f"p-{number}", ROBOT.link))
        org.create(group(f"g-{number}", query=QUERY))
    for each in (ALONE, group("plain")):
        org.create(each)
    first = policy("p-0", ROBOT.link)
    for before, after in (
        (None, policy("many", ROBOT.link)),
        (ALONE, bound(ALONE, ROBOT.link)),
        (None, group("many", query=QUERY)),
        (group("plain"), changed(group("plain"), spec=group("plain", query=QUERY).spec)),
    ):
        with pytest.raises(InvalidInput, match=str(few)):
            org.check_write(before, after)
        with pytest.raises(InvalidInput, match=str(few)):
            write(org, before, after)
    for before, after in (
        (first, bound(first, ROBOT.link, "/org/demo/group/other")),
        (group("g-0", query=QUERY), changed(group("g-0", query=QUERY), description="other")),
        (None, policy("abroad", ROBOT.link, kind=Kind.USER, permission="view")),
    ):
        org.check_write(before, after)
        write(org, before, after)


def test_check_of_a_write_to_an_organisation_that_is_being_removed_refuses_as_the_write_does(org):
    org.create(HERE)
    org.begin_removal("demo", NOW)
    for before, after, refused in (
        (None, policy("new"), NotFound),
        (HERE, changed(HERE), WriteConflict),
        (record(Kind.ORG, "demo"), changed(record(Kind.ORG, "demo")), WriteConflict),
    ):
        with pytest.raises(refused):
            org.check_write(before, after)
    org.check_write(HERE, None)


def test_check_of_a_deletion_does_not_look_at_keys(org):
    make_account(org)
    org.add_key(account_key("ci"))
    account = record(Kind.SERVICE_ACCOUNT, ROBOT.name)
    org.check_write(account, None)
    with pytest.raises(WriteConflict):
        org.delete(account)


def test_check_of_a_write_refuses_what_is_more_than_a_row_holds(dynamo_table):
    make_organisation(dynamo_table, "demo")
    with pytest.raises(TooLarge):
        dynamo_table.check_write(
            None, policy("one", *(f"/org/demo/user/{'u' * 60}{n}@example.com" for n in range(5000)))
        )
