"""Engine and oracle agree on policies that nobody thought of, and a repository is never given by a guess."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from moorage.domain.permissions import Permission, expand
from moorage.domain.queries import Query
from moorage.domain.resources import Kind
from tests.policies import engine, oracle
from tests.policies.table import IMPLIED

ORGS = st.sampled_from(["acme", "other"])
REPOSITORIES = st.sampled_from(["app", "team/app", "true", "5"])
TAGS = st.sampled_from(["v1", "latest", "5"])
DIGESTS = st.sampled_from([f"sha256:{letter * 64}" for letter in "ab"])
METADATA = st.dictionaries(
    st.sampled_from(["env", "size"]),
    st.one_of(st.sampled_from(["prod", "5", "true", "PROD x", "~"]), st.booleans(), st.integers(0, 9)),
    max_size=2,
)
MOMENTS = st.sampled_from([f"2026-01-0{day}T00:00:00.000Z" for day in (1, 2, 3)])
PRINCIPALS = [
    *(f"/org/{org}/{rest}" for org in ("acme", "other") for rest in ("serviceaccount/robot", "group/team")),
    "/org/acme/user/jane@example.com",
    "/org/acme/gvc/apps/identity/worker",
    "/org/other/gvc/apps/identity/worker",
]


@st.composite
def images(draw: st.DrawFn) -> dict[str, Any]:
    repository = draw(REPOSITORIES)
    if draw(st.booleans()):
        known: dict[str, Any] = {"repository": repository}
        return {"org": draw(ORGS), "kind": "image", "level": "repository", "properties": known, "tags": None}
    return record(draw, draw(ORGS), repository)


def record(draw: st.DrawFn, org: str, repository: str) -> dict[str, Any]:
    tag = draw(TAGS)
    known: dict[str, Any] = {
        "repository": repository,
        "tag": tag,
        "name": f"{repository}:{tag}",
        "digest": draw(DIGESTS),
        "version": draw(st.integers(1, 9)),
        "size": draw(st.integers(0, 9)),
        "created": draw(MOMENTS),
    }
    return {"org": org, "kind": "image", "level": "record", "properties": known, "tags": draw(METADATA)}


records = st.composite(record)
TEXTUAL = ["~", "contains"]
ORDERED = ["<", "<=", ">", ">="]


@st.composite
def terms(draw: st.DrawFn) -> dict[str, Any]:
    if draw(st.booleans()):
        # A little more often what also a repository has.
        name = draw(
            st.sampled_from(["repository", "repository", "tag", "name", "digest", "version", "created"])
        )
        values = {"version": st.integers(0, 9), "created": MOMENTS, "repository": REPOSITORIES, "tag": TAGS}
        where: dict[str, Any] = {"property": name}
        value = draw(values.get(name, st.sampled_from(["app", "app:v1", "sha256:*", "zz"])))
    else:
        where = {"tag": draw(st.sampled_from(["env", "size"]))}
        value = draw(
            st.one_of(st.sampled_from(["prod", "5", "true", "od", "p*x"]), st.booleans(), st.integers(0, 9))
        )
    operators = ["=", "!=", "exists", "!exists", *TEXTUAL, *([] if isinstance(value, bool) else ORDERED)]
    op = draw(st.sampled_from(operators))
    return {"op": op, **where, **({} if "exists" in op else {"value": value})}


queries = st.fixed_dictionaries(
    {
        "spec": st.fixed_dictionaries(
            {"terms": st.lists(terms(), min_size=1, max_size=4)},
            optional={"match": st.sampled_from(["all", "any", "none"])},
        )
    }
)


@st.composite
def image_links(draw: st.DrawFn, org: str) -> str:
    begin = draw(st.sampled_from(["//image/", f"/org/{org}/image/"]))
    tag = draw(st.sampled_from(["", ":v1", ":latest", ":5"]))
    pin = draw(st.sampled_from(["", f"@sha256:{'a' * 64}"]))
    return f"{begin}{draw(REPOSITORIES)}{tag}{pin}"


@st.composite
def policies(draw: st.DrawFn) -> tuple[str, dict[str, Any]]:
    org = draw(ORGS)
    body: dict[str, Any] = {"targetKind": "image"}
    ways = draw(st.sets(st.sampled_from(["all", "links", "query", "query"]), min_size=1))
    if "all" in ways:
        body["target"] = "all"
    if "links" in ways:
        body["targetLinks"] = draw(st.lists(image_links(org), min_size=1, max_size=3))
    if "query" in ways:
        body["targetQuery"] = draw(queries)
    body["bindings"] = draw(
        st.lists(
            st.fixed_dictionaries(
                {
                    "permissions": st.lists(
                        st.sampled_from(sorted(IMPLIED["image"])), min_size=1, max_size=2
                    ),
                    "principalLinks": st.lists(st.sampled_from(PRINCIPALS), min_size=1, max_size=3),
                }
            ),
            max_size=3,
        )
    )
    return org, body


callers = st.sets(st.sampled_from(PRINCIPALS), max_size=3)
held_policies = st.lists(policies(), max_size=4)
wanted_permissions = st.sampled_from(sorted(IMPLIED["image"]))


@settings(max_examples=400)
@given(wanted_permissions, images(), callers, held_policies, st.booleans())
def test_engine_and_oracle_agree(
    wanted: str,
    image: dict[str, Any],
    principals: set[str],
    held: list[tuple[str, dict[str, Any]]],
    identity_pull: bool,
) -> None:
    parsed = [engine.policy_of(org, body) for org, body in held]
    answer = engine.allows(wanted, engine.resource_of(image), principals, parsed, identity_pull=identity_pull)
    assert answer == oracle.allows(wanted, image, principals, held, identity_pull=identity_pull)


@settings(max_examples=300)
@given(queries, images())
def test_a_query_selects_what_the_oracle_says(query: dict[str, Any], image: dict[str, Any]) -> None:
    parsed = Query.parse(query, Kind.IMAGE)
    subject = engine.resource_of(image).subject
    assert parsed.selects(subject) == oracle.selected_by_query(query, image)
    assert Query.parse(parsed.to_json(), Kind.IMAGE) == parsed


@settings(max_examples=300)
@given(queries, REPOSITORIES, st.data())
def test_what_selects_a_repository_selects_every_image_in_it(
    query: dict[str, Any], repository: str, data: st.DataObject
) -> None:
    whole = {
        "org": "acme",
        "kind": "image",
        "level": "repository",
        "properties": {"repository": repository},
        "tags": None,
    }
    parsed = Query.parse(query, Kind.IMAGE)
    image = data.draw(records("acme", repository))
    decided, told = (parsed.evaluate(engine.resource_of(each).subject) for each in (whole, image))
    assert decided is None or decided == told


@given(policies(), held_policies, images(), callers, wanted_permissions)
def test_another_policy_never_takes_away(
    more: tuple[str, dict[str, Any]],
    held: list[tuple[str, dict[str, Any]]],
    image: dict[str, Any],
    principals: set[str],
    wanted: str,
) -> None:
    before = [engine.policy_of(*each) for each in held]
    resource = engine.resource_of(image)
    if engine.allows(wanted, resource, principals, before):
        assert engine.allows(wanted, resource, principals, [engine.policy_of(*more), *before])


@given(st.sampled_from(Kind), st.frozensets(st.sampled_from(Permission)))
def test_implication_is_closed_and_adds_up(kind: Kind, granted: frozenset[Permission]) -> None:
    wide = expand(kind, granted)
    assert expand(kind, wide) == wide
    assert wide == frozenset().union(*(expand(kind, frozenset({each})) for each in granted))
    assert wide == {
        each
        for each in Permission
        for bound in granted
        if bound in IMPLIED[kind] and oracle.implies(kind, bound, each)
    }
