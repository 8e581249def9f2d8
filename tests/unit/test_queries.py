"""Queries: what is one, what it means for each operator, value and state of knowledge."""

import itertools
import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage.domain.errors import InvalidInput
from moorage.domain.queries import (
    EXPRESSIONS_OF_A_DECISION,
    ExpressionBudget,
    Fetch,
    Match,
    Order,
    Query,
    Sort,
)
from moorage.domain.query_terms import (
    PROPERTIES,
    REGULAR_EXPRESSIONS_MAX,
    TERMS_MAX,
    VALUE_MAX,
    Scope,
    Subject,
    Term,
    Truth,
    Type,
)
from moorage.domain.query_values import (
    Operator,
    format_instant,
    is_like,
    parse_instant,
    parse_number,
    text_of,
)
from moorage.domain.resources import Kind

MOMENT = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
IMAGE = Subject(
    {
        "repository": "team/app",
        "tag": "10",
        "version": 9,
        "created": MOMENT,
        "platforms": ["linux/amd64", "linux/arm64"],
    },
    {"env": "Prod", "size": 9, "ratio": 1.5, "on": True, "since": "2026-01-02", "text": "10", "yes": "true"},
)


def one(term: dict[str, Any], kind: Kind = Kind.IMAGE) -> Query:
    return Query.parse({"spec": {"terms": [term]}}, kind)


def told(term: dict[str, Any], subject: Subject = IMAGE) -> Truth:
    return one(term).evaluate(subject)


HOLDS: list[tuple[str, str, str, Any, bool]] = [
    # Strings: by code point, exactly.
    ("property", "repository", "=", "team/app", True),
    ("property", "repository", "=", "Team/app", False),
    ("property", "repository", "=", "team/ap", False),
    ("property", "repository", "!=", "team/app", False),
    ("property", "repository", "!=", "x", True),
    ("property", "repository", ">", "team", True),
    ("property", "repository", ">", "team/app", False),
    ("property", "repository", ">=", "team/app", True),
    ("property", "repository", "<", "team/b", True),
    ("property", "repository", "<", "Z", False),
    ("property", "repository", "<=", "team/app", True),
    ("property", "repository", "~", "EAM/A", True),
    ("property", "repository", "~", "t*p", True),
    ("property", "repository", "~", "p*t", False),
    ("property", "repository", "~", "*", True),
    ("property", "repository", "contains", "m/a", True),
    ("property", "repository", "contains", "M/A", False),
    ("property", "repository", "=~", "^team/", True),
    ("property", "repository", "=~", "^app", False),
    ("property", "repository", "=", True, False),
    ("property", "repository", "<", 5, False),
    ("property", "tag", "=", 10, True),
    ("property", "tag", "=", 10.0, True),
    ("property", "tag", "=", "10.0", False),
    ("property", "tag", "<", "9", True),
    ("property", "tag", "<", 9, False),
    ("property", "tag", ">", 9, True),
    ("property", "tag", "~", 1, True),
    # Numbers: as numbers.
    ("property", "version", "=", 9, True),
    ("property", "version", "=", "9", True),
    ("property", "version", "=", 9.0, True),
    ("property", "version", "!=", 9, False),
    ("property", "version", "<", 10, True),
    ("property", "version", "<", "10", True),
    ("property", "version", ">=", 9, True),
    ("property", "version", ">", 9.5, False),
    ("property", "version", "~", 9, True),
    ("property", "version", "=~", "^[0-9]$", True),
    # Dates: as instants, to the millisecond.
    ("property", "created", "=", "2026-01-02T03:04:05.678Z", True),
    ("property", "created", "=", "2026-01-02T03:04:05.678901Z", True),
    ("property", "created", "=", "2026-01-02T04:04:05.678+01:00", True),
    ("property", "created", "=", "2026-01-02T03:04:05Z", False),
    ("property", "created", "!=", "2026-01-02T03:04:05.678Z", False),
    ("property", "created", ">", "2026-01-02", True),
    ("property", "created", ">", "2026-01-02T05:00:00+03:00", True),
    ("property", "created", "<", "2026-01-02T03:04:05.678Z", False),
    ("property", "created", "<=", "2026-01-02T03:04:05.678Z", True),
    ("property", "created", "<", "2026-01-02T03:04", False),
    ("property", "created", "<", "2027-01-01T00:00", True),
    ("property", "created", "~", "2026-01-*Z", True),
    ("property", "created", "contains", "T03:04:05.678Z", True),
    # Lists: one of them has to.
    ("property", "platforms", "=", "linux/arm64", True),
    ("property", "platforms", "=", "linux", False),
    ("property", "platforms", "!=", "linux/arm64", False),
    ("property", "platforms", "!=", "windows/amd64", True),
    ("property", "platforms", "contains", "linux/amd64", True),
    ("property", "platforms", "contains", "linux", False),
    ("property", "platforms", "~", "arm", True),
    ("property", "platforms", "=~", "^linux/(s390x|arm64)$", True),
    # Metadata: in the form in which it was written, or as text.
    ("tag", "env", "=", "Prod", True),
    ("tag", "env", "=", "prod", False),
    ("tag", "env", "~", "prod", True),
    ("tag", "size", "=", 9, True),
    ("tag", "size", "=", "9", True),
    ("tag", "size", "<", 10, True),
    ("tag", "size", "<", "10", True),
    ("tag", "size", "<", "ten", False),
    ("tag", "size", "=", True, False),
    ("tag", "ratio", "=", 1.5, True),
    ("tag", "ratio", "=", "1.5", True),
    ("tag", "ratio", ">", 1, True),
    ("tag", "text", "=", 10, True),
    ("tag", "text", ">", 9, True),
    ("tag", "text", ">", "9", False),
    ("tag", "on", "=", True, True),
    ("tag", "on", "=", "true", True),
    ("tag", "on", "=", 1, False),
    ("tag", "on", "!=", False, True),
    ("tag", "on", ">", 0, False),
    ("tag", "on", "<=", "true", False),
    ("tag", "yes", "=", True, True),
    ("tag", "yes", "=", "true", True),
    ("tag", "since", "<", "2026-01-02T00:00:01Z", True),
    ("tag", "since", ">=", "2026-01-02T01:00:00+01:00", True),
    ("tag", "since", "<", "2026-01-02x", True),
]


@pytest.mark.parametrize(("scope", "name", "op", "value", "answer"), HOLDS)
def test_a_term_holds(scope: str, name: str, op: str, value: Any, answer: bool) -> None:
    assert told({scope: name, "op": op, "value": value}) is answer


def test_every_operator_is_tried_with_every_kind_of_value() -> None:
    tried = {(op, type(value)) for _, _, op, value, _ in HOLDS}
    assert {op for op, _ in tried} == set(Operator) - {Operator.EXISTS, Operator.NOT_EXISTS}
    assert {(op, kind) for op in ("=", "<", ">", "~") for kind in (str, int)} <= tried


@pytest.mark.parametrize("op", Operator)
@pytest.mark.parametrize("value", ["text", 5, 1.5, "2026-01-02"])
def test_what_is_absent_equals_nothing_and_what_is_unknown_is_neither(op: Operator, value: Any) -> None:
    valueless = op in (Operator.EXISTS, Operator.NOT_EXISTS)
    for where in ({"property": "digest"}, {"tag": "absent"}):
        term = {"op": op.value, **where, **({} if valueless else {"value": value})}
        assert told(term) is (op in (Operator.NOT_EQUAL, Operator.NOT_EXISTS)), term
        assert told(term, Subject({"repository": "x"}, tags=None, rels=None, partial=True)) is None, term


@pytest.mark.parametrize(("name", "value"), [("repository", "team/app"), ("version", 9), ("platforms", "x")])
def test_what_is_there_exists(name: str, value: Any) -> None:
    assert told({"property": name, "op": "exists"}) is True
    assert told({"property": name, "op": "!exists"}) is False
    assert told({"tag": "env", "op": "exists", "value": None}) is True


@pytest.mark.parametrize("terms", list(itertools.product([True, False, None], repeat=3)))
def test_terms_are_joined_in_three_valued_logic(terms: tuple[Truth, ...]) -> None:
    as_term = {
        True: Term(Operator.EXISTS, Scope.PROPERTY, "repository"),
        False: Term(Operator.NOT_EXISTS, Scope.PROPERTY, "repository"),
        None: Term(Operator.EXISTS, Scope.PROPERTY, "tag"),
    }
    subject = Subject({"repository": "x"}, tags=None, partial=True)
    answers = {
        match: Query(Kind.IMAGE, tuple(as_term[term] for term in terms), match).evaluate(subject)
        for match in Match
    }
    assert answers[Match.ALL] is (False if False in terms else None if None in terms else True)
    assert answers[Match.ANY] is (True if True in terms else None if None in terms else False)
    assert answers[Match.NONE] is (False if True in terms else None if None in terms else True)


@pytest.mark.parametrize(
    "body", [None, {}, {"spec": {}}, {"spec": None}, {"spec": {"terms": []}}, {"kind": "image"}]
)
@pytest.mark.parametrize("match", [None, *Match])
def test_without_terms_it_means_all(body: Any, match: Match | None) -> None:
    if body and body.get("spec") is not None and match:
        body = {"spec": {**body["spec"], "match": match.value}}
    query = Query.parse(body, Kind.IMAGE)
    assert query.selects(IMAGE)
    assert query.selects(Subject({}, tags=None, partial=True))


def test_a_query_is_read_and_written() -> None:
    body = {
        "kind": "image",
        "context": {},
        "fetch": "links",
        "spec": {
            "match": "any",
            "terms": [
                {"property": "repository", "value": "my-app"},
                {"op": "~", "tag": "env", "value": 5},
                {"op": "<", "property": "version", "value": "7"},
                {"op": "exists", "tag": "x/y"},
            ],
            "sort": {"by": "created", "order": "desc"},
        },
    }
    query = Query.parse(body, Kind.IMAGE)
    assert (query.match, query.fetch, query.sort) == (
        Match.ANY,
        Fetch.LINKS,
        Sort("created", Order.DESCENDING),
    )
    written = query.to_json()
    assert written == {
        "kind": "image",
        "fetch": "links",
        "spec": {
            "match": "any",
            "terms": [
                {"op": "=", "property": "repository", "value": "my-app"},
                {"op": "~", "tag": "env", "value": "5"},
                {"op": "<", "property": "version", "value": 7},
                {"op": "exists", "tag": "x/y"},
            ],
            "sort": {"by": "created", "order": "desc"},
        },
    }
    assert Query.parse(json.loads(json.dumps(written)), Kind.IMAGE) == query
    assert Query.parse({}, Kind.GROUP).to_json()["spec"] == {"match": "all", "terms": []}


TERM = {"property": "repository", "value": "x"}
REFUSED: list[tuple[Any, str]] = [
    ("all", "the query is an object"),
    ([], "the query is an object"),
    ({"filter": {}}, "the query has no field 'filter'"),
    ({"kind": "group"}, "kind is group, and the query is about image"),
    ({"kind": "Image"}, "kind is one of image"),
    ({"kind": ["image"]}, "kind is one of image"),
    ({"fetch": "all"}, "fetch is one of items, links"),
    ({"fetch": {}}, "fetch is one of items, links"),
    ({"spec": [TERM]}, "spec is an object"),
    ({"spec": []}, "spec is an object"),
    ({"spec": False}, "spec is an object"),
    ({"spec": {"term": []}}, "spec has no field 'term'"),
    ({"spec": {"match": "some"}}, "spec.match is one of all, any, none"),
    ({"spec": {"match": True}}, "spec.match is one of all, any, none"),
    ({"spec": {"terms": {}}}, "spec.terms is a list"),
    ({"spec": {"terms": "x"}}, "spec.terms is a list"),
    ({"spec": {"terms": [TERM] * (TERMS_MAX + 1)}}, "spec.terms has at most 100 terms"),
    ({"spec": {"terms": [TERM, 5]}}, r"spec.terms\[1\] is an object"),
    ({"spec": {"sort": "name"}}, "spec.sort is an object"),
    ({"spec": {"sort": {}}}, "spec.sort.by is one of name, created, lastModified"),
    ({"spec": {"sort": {"by": "digest"}}}, "spec.sort.by is one of name, created, lastModified"),
    ({"spec": {"sort": {"by": ["name"]}}}, "spec.sort.by is one of"),
    ({"spec": {"sort": {"by": "name", "order": "up"}}}, "spec.sort.order is one of asc, desc"),
    ({"spec": {"sort": {"by": "name", "direction": "asc"}}}, "spec.sort has no field 'direction'"),
]
REFUSED_TERMS: list[tuple[Any, str]] = [
    ({}, "exactly one of property, tag and rel"),
    ({"value": 1}, "exactly one of property, tag and rel"),
    ({"property": "tag", "tag": "env", "value": 1}, "exactly one of property, tag and rel"),
    ({"property": "name", "rel": "self", "value": 1}, "exactly one of property, tag and rel"),
    ({"property": "nmae", "value": 1}, "property is one of id, name"),
    ({"property": "description", "value": "x"}, "property is one of id, name"),
    ({"property": 1, "value": "x"}, "property is one of id, name"),
    ({"property": ["name"], "value": "x"}, "property is one of id, name"),
    ({"rel": "self", "value": "x"}, "images have no rel"),
    ({"tag": "", "value": "x"}, "1 to 128 characters"),
    ({"tag": 5, "value": "x"}, "1 to 128 characters"),
    ({"tag": "x" * 129, "value": "x"}, "1 to 128 characters"),
    ({"tag": "a\u200bb", "value": "x"}, "invisible"),
    ({"tag": "e\u0301", "value": "x"}, "NFC"),
    ({**TERM, "op": "=="}, "op is one of"),
    ({**TERM, "op": "like"}, "op is one of"),
    ({**TERM, "op": "EXISTS"}, "op is one of"),
    ({**TERM, "op": 1}, "op is one of"),
    ({**TERM, "op": {}}, "op is one of"),
    ({**TERM, "operator": "="}, "has no field 'operator'"),
    ({"property": "repository"}, "= needs a value"),
    ({"property": "repository", "value": None}, "= needs a value"),
    ({"property": "repository", "op": "exists", "value": "x"}, "exists takes no value"),
    ({"tag": "env", "op": "!exists", "value": False}, "!exists takes no value"),
    ({"property": "repository", "value": ["x"]}, "a string, a boolean, or a number"),
    ({"property": "repository", "value": {"x": 1}}, "a string, a boolean, or a number"),
    ({"property": "repository", "value": "x" * (VALUE_MAX + 1)}, "at most 1024 characters"),
    ({"property": "version", "value": 2**53}, "at most 9007199254740991"),
    ({"property": "version", "value": 10**400}, "at most 9007199254740991"),
    ({"tag": "x", "value": float("nan")}, "at most 9007199254740991"),
    ({"tag": "x", "value": float("-inf")}, "at most 9007199254740991"),
    ({"property": "version", "value": "one"}, "value is a number"),
    ({"property": "version", "value": True}, "value is a number"),
    ({"property": "version", "value": "1e3"}, "value is a number"),
    ({"property": "version", "value": "\u0661"}, "value is a number"),
    ({"property": "created", "value": "yesterday"}, "value is a date such as"),
    ({"property": "created", "value": 1767225600}, "value is a date such as"),
    ({"property": "created", "value": "2026-02-30"}, "value is a date such as"),
    ({"property": "created", "value": "20260101"}, "value is a date such as"),
    ({"property": "created", "value": "2026-01-01 00:00"}, "value is a date such as"),
    ({"property": "created", "value": "\u0662026-01-01"}, "value is a date such as"),
    ({"tag": "on", "op": ">", "value": True}, "cannot order true and false"),
    ({"property": "platforms", "op": "<", "value": "x"}, "which < cannot order"),
    ({"property": "repository", "op": "~", "value": ""}, "would match everything"),
    ({"property": "repository", "op": "contains", "value": ""}, "would match everything"),
    ({"property": "repository", "op": "=~", "value": ""}, "would match everything"),
    ({"property": "repository", "op": "=~", "value": "(a"}, "a group is not closed"),
    ({"property": "repository", "op": "=~", "value": "a{1,100}{1,100}"}, "not repeated"),
    ({"property": "repository", "op": "=~", "value": "a" * 300}, "at most 256 characters"),
]


@pytest.mark.parametrize(("body", "reason"), REFUSED)
def test_what_is_no_query_is_refused_and_said_where(body: Any, reason: str) -> None:
    with pytest.raises(InvalidInput, match=reason):
        Query.parse(body, Kind.IMAGE)


@pytest.mark.parametrize(("term", "reason"), REFUSED_TERMS)
def test_what_is_no_term_is_refused_and_said_where(term: Any, reason: str) -> None:
    body = {"spec": {"terms": [TERM, term]}}
    with pytest.raises(InvalidInput) as caught:
        Query.parse(body, Kind.IMAGE, "targetQuery")
    assert reason in caught.value.message
    assert caught.value.message.startswith("targetQuery.spec.terms[1]")
    assert len(caught.value.message) < 400


def test_regular_expressions_are_counted() -> None:
    expression = {"property": "tag", "op": "=~", "value": "a"}
    query = Query.parse({"spec": {"terms": [expression] * REGULAR_EXPRESSIONS_MAX}}, Kind.IMAGE)
    assert query.expressions == 2
    with pytest.raises(InvalidInput, match="at most 2 terms with =~"):
        Query.parse({"spec": {"terms": [expression] * (REGULAR_EXPRESSIONS_MAX + 1)}}, Kind.IMAGE)


def test_work_of_a_query_is_that_of_its_terms() -> None:
    plain = {"property": "tag", "value": "a*b*c"}
    terms = [plain, {**plain, "op": "~"}, {**plain, "op": "=~"}]
    efforts = [Query.parse({"spec": {"terms": terms[:count]}}, Kind.IMAGE).effort for count in range(4)]
    assert efforts == [0, 1, 4, 1_004]


def test_budget_of_expressions_is_spent_once_and_not_on_queries_without() -> None:
    budget = ExpressionBudget()
    assert all(budget.admits(2) for _ in range(EXPRESSIONS_OF_A_DECISION // 2))
    assert not budget.admits(1)
    assert budget.admits(0)
    assert not budget.admits(1)


def test_links_of_other_kinds_can_be_asked_for() -> None:
    group = Subject({"name": "ops"}, {}, {"org": ["/org/acme"]})
    assert one({"rel": "org", "value": "/org/acme"}, Kind.GROUP).selects(group)
    assert one({"rel": "owner", "op": "!exists"}, Kind.GROUP).selects(group)
    assert one({"rel": "org", "op": "!=", "value": "/org/acme"}, Kind.GROUP).evaluate(group) is False
    for name in (5, "", "x" * 2000):
        with pytest.raises(InvalidInput, match="rel is a string"):
            one({"rel": name, "value": "x"}, Kind.GROUP)
    with pytest.raises(InvalidInput, match="cannot order"):
        one({"rel": "org", "op": "<", "value": "x"}, Kind.GROUP)


@pytest.mark.parametrize("kind", Kind)
def test_every_property_of_a_kind_can_be_asked_for_and_most_sorted_by(kind: Kind) -> None:
    values = {Type.TEXT: "x", Type.NUMBER: 1, Type.DATE: "2026-01-01", Type.LIST: "x"}
    for name, kept in PROPERTIES[kind].items():
        assert one({"property": name, "value": values[kept]}, kind).terms[0].name == name
        if kind is not Kind.IMAGE:
            assert Query.parse({"spec": {"sort": {"by": name}}}, kind).sort == Sort(name)
    assert ("description" in PROPERTIES[kind]) == (kind is not Kind.IMAGE)


@pytest.mark.parametrize(
    ("match", "terms", "required"),
    [
        ("all", [TERM], "x"),
        ("all", [{"tag": "a", "value": 1}, TERM], "x"),
        ("all", [{"property": "repository", "value": 5}], "5"),
        ("any", [TERM], "x"),
        ("any", [TERM, TERM], None),
        ("none", [TERM], None),
        ("all", [{**TERM, "op": "!="}], None),
        ("all", [{"tag": "repository", "value": "x"}], None),
        ("all", [], None),
    ],
)
def test_a_query_says_which_repository_it_needs(match: str, terms: list[Any], required: str | None) -> None:
    query = Query.parse({"spec": {"match": match, "terms": terms}}, Kind.IMAGE)
    assert query.required("repository") == required


@given(st.text("ab*A", max_size=8), st.text("abAB", max_size=8))
def test_like_is_a_search_in_whatever_case(pattern: str, text: str) -> None:
    folded, parts = text.lower(), pattern.lower().split("*")
    possible = {0}
    for part in parts:
        # Everywhere that the part can end, from anywhere that the one before could.
        possible = {
            place + len(part)
            for place in range(len(folded) + 1)
            if folded.startswith(part, place) and any(before <= place for before in possible)
        }
    assert is_like(text, pattern) == bool(possible)


@given(st.datetimes(timezones=st.sampled_from([UTC, timezone(timedelta(hours=-7, minutes=-30))])))
def test_an_instant_is_read_as_it_is_shown(moment: datetime) -> None:
    try:
        shown = format_instant(moment)
    except OverflowError:
        return
    assert parse_instant(shown) == moment.replace(microsecond=moment.microsecond // 1000 * 1000)


@given(st.one_of(st.integers(-(2**53), 2**53), st.floats(-(2**40), 2**40).map(lambda each: round(each, 3))))
def test_a_number_is_its_own_text(value: float) -> None:
    held = Subject({}, {"n": value})
    assert one({"tag": "n", "value": text_of(value)}).selects(held)
    if "e" not in text_of(value) and abs(value) < 2**53:
        assert parse_number(text_of(value)) == value
