"""The page of the management API names routes, fields, queries and limits as they are."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from moorage.domain import claim_patterns, immutable_tags, patterns
from moorage.domain.copy_wishes import KEY_MAX
from moorage.domain.errors import InvalidInput
from moorage.domain.jobs import JOB_LIFETIME, MAX_ITEMS, JobState
from moorage.domain.links import LINK_MAX, PRINCIPAL_KINDS
from moorage.domain.policies import BINDINGS_MAX, PRINCIPALS_MAX
from moorage.domain.policy_warnings import NAMED_MAX
from moorage.domain.queries import EXPRESSIONS_OF_A_DECISION, Fetch, Match, Order, Query
from moorage.domain.query_terms import PROPERTIES, REGULAR_EXPRESSIONS_MAX, TERMS_MAX, VALUE_MAX, Scope, Type
from moorage.domain.query_values import Operator
from moorage.domain.resources import (
    DESCRIPTION_MAX,
    TAG_KEY_MAX,
    TAG_VALUE_MAX,
    TAGS_MAX,
    Kind,
)
from moorage.domain.specs import MEMBERS_MAX, SPECS
from moorage.domain.targets import LINKS_MAX, UNKNOWN_BEFORE_CREATION
from moorage.domain.trust import RULES_MAX
from moorage.ports import KEYS_OF_AN_OWNER, POLICIES_OF_A_PRINCIPAL, QUERY_GROUPS_OF_AN_ORGANISATION
from moorage.services import job_access
from moorage.services.copy_requests import TAGS_LOOKED_AT
from moorage.services.image_lists import PAGE_MAX
from moorage.services.resource_reads import PAGE, SORTED_MAX
from moorage.web.management import job_models, models
from moorage.web.management.json_body import MAX_DEPTH
from moorage.web.management.queries import PACKED_MAX
from moorage.web.management.resources import BODIES
from moorage.web.management.routing import routes_of
from moorage.web.management.shell import MAX_ANSWER_SIZE, MAX_BODY_SIZE
from tests.docs.test_reference import table
from tests.protocol.management.world import management_in_memory

PAGE_TEXT = (Path(__file__).parents[2] / "docs/management-api.md").read_text("utf-8")
OF = {
    "all": set(BODIES),
    "all but user": set(BODIES) - {Kind.USER},
    "principals": set(BODIES) & set(PRINCIPAL_KINDS),
}
COMMON = {
    "kind",
    "id",
    "name",
    "version",
    "description",
    "tags",
    "origin",
    "created",
    "lastModified",
    "links",
}
ITEMS: Mapping[str, type[models.Shape]] = {
    "immutableTags": models.ImmutableTags,
    "trust": models.TrustRule,
    "bindings": models.Binding,
}
MADE = {
    Kind.ORG: "/org/demo",
    Kind.USER: "/org/demo/user/ann@example.com",
    Kind.GROUP: "/org/demo/group/viewers",
    Kind.SERVICE_ACCOUNT: "/org/demo/serviceaccount/admin",
    Kind.GVC: "/org/demo/gvc/apps",
    Kind.IDENTITY: "/org/demo/gvc/apps/identity/web",
    Kind.POLICY: "/org/demo/policy/viewers-image",
    Kind.IMAGE: "/org/demo/image/app:v1",
}


def test_every_route_stands_on_the_page_and_no_other():
    documented = {(row[0], row[1].strip("`")) for row in table(PAGE_TEXT, "Other endpoints")}
    for method, path, of, _ in table(PAGE_TEXT, "Every kind"):
        for kind in OF[of]:
            collection = "/org/{org}/gvc/{gvc}/identity" if kind is Kind.IDENTITY else f"/org/{{org}}/{kind}"
            documented.add((method, path.strip("`").replace("COLLECTION", collection)))
    with management_in_memory() as management:
        routes = {
            (method, route.path.replace(":path", ""))
            for route in routes_of(management.api)
            for method in route.methods or ()
        }
    assert documented == routes


def section(heading: str) -> str:
    return PAGE_TEXT.split(f"## {heading}\n", 1)[1].split("\n## ", 1)[0]


def tables(heading: str) -> list[dict[str, str]]:
    """The tables of a section, each as its first column with the second."""
    found = re.findall(r"(?:^\|.*\n)+", section(heading), re.MULTILINE)
    rows = [[re.split(r" *\| *", line.strip("| ")) for line in each.splitlines()[2:]] for each in found]
    return [{row[0]: row[1] for row in each} for each in rows]


def names(text: str) -> list[str]:
    """What is set as code in ``text``, but for whole blocks."""
    return re.findall(r"`([^`]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL))


def test_every_field_that_a_kind_takes_or_shows_stands_on_the_page_and_no_other():
    documented = {(kind, names(field)[0]) for kind, field, _ in table(PAGE_TEXT, "Fields of each kind")}
    expected = set()
    with management_in_memory() as management:
        management.ok("demo/admin", "POST", "/org/demo/user/-invite", {"emails": ["ann@example.com"]})
        management.ok("demo/admin", "POST", "/org/demo/gvc", {"name": "apps"})
        management.ok("demo/admin", "POST", "/org/demo/gvc/apps/identity", {"name": "web"})
        management.push("demo/app", "v1")
        for kind, path in MADE.items():
            shown = management.ok("demo/admin", "GET", path).keys() - COMMON
            taken = SPECS[kind].fields if kind in SPECS else ()
            expected |= {(kind.value, field) for field in (*shown, *taken)}
    for name, field in list(expected):
        item = ITEMS.get(field)
        if item is not None:
            aliases = {each.alias for each in item.model_fields.values()}
            expected |= {(name, f"{field}[].{alias}") for alias in aliases}
    assert documented == expected
    assert {*SPECS, Kind.IMAGE} == MADE.keys()


def test_fields_that_are_marked_as_read_are_those_that_no_request_changes():
    rows = table(PAGE_TEXT, "Fields of each kind")
    read = {(kind, names(field)[0]) for kind, field, what in rows if what.startswith("*read*")}
    top = {(kind, names(field)[0]) for kind, field, _ in rows if "[]" not in field}
    taken = {(kind.value, field) for kind, spec in SPECS.items() for field in spec.fields}
    assert read == top - taken


def test_every_operator_and_property_stands_on_the_page_and_no_other():
    operators, properties, types = tables("Queries")
    assert sorted(names(each)[0] for each in operators) == sorted(Operator)
    every = names(properties.pop("every kind but image"))
    for kind in Kind:
        own = names(properties.get(kind.value, ""))
        assert (own if kind is Kind.IMAGE else [*every, *own]) == list(PROPERTIES[kind])
    assert properties.keys() <= set(Kind)
    held = {name: each for kind in Kind for name, each in PROPERTIES[kind].items()}
    for heading, each in (("numbers", Type.NUMBER), ("dates", Type.DATE), ("lists of texts", Type.LIST)):
        assert set(names(types[heading])) == {name for name, kept in held.items() if kept is each}
    for choices in (Match, Fetch, Scope, Order):
        assert set(choices) <= set(names(section("Queries")))
    assert set(UNKNOWN_BEFORE_CREATION) <= set(names(section("Queries").split("**What is unknown", 1)[1]))


def test_images_sort_by_what_the_page_says():
    sentence = re.search(r"Images are sorted by\s+([^.]+)\.", section("Queries"))
    assert sentence is not None
    sortable = []
    for name in PROPERTIES[Kind.IMAGE]:
        try:
            Query.parse({"spec": {"sort": {"by": name}}}, Kind.IMAGE)
        except InvalidInput:
            continue
        sortable.append(name)
    assert names(sentence[1]) == sortable


def test_the_query_on_the_page_is_one_with_its_defaults_written_out():
    query = json.loads(section("Queries").split("```json\n", 1)[1].split("```", 1)[0])
    assert Query.parse(query, Kind.IMAGE).to_json() == query


def test_every_field_of_a_copy_and_of_a_job_stands_on_the_page_and_no_other():
    asked, told = tables("Copies and jobs")
    assert [names(each)[0] for each in asked] == aliases_of(job_models.CopyBody)
    assert [names(each)[0] for each in told] == aliases_of(job_models.Job)
    assert set(names(told["`state`"])) == set(JobState)
    assert f"{JOB_LIFETIME.days} days" in told["`expires`"]
    parts: Mapping[str, type[models.Shape]] = {
        "source": job_models.CopySource,
        "destination": job_models.CopyDestination,
        "progress": job_models.JobProgress,
    }
    for field, model in parts.items():
        aliases = aliases_of(model)
        assert names(told[f"`{field}`"])[: len(aliases)] == aliases


def aliases_of(model: type[models.Shape]) -> list[str | None]:
    """The fields of a model as they are called on the wire."""
    return [field.alias for field in model.model_fields.values()]


LIMITS = {
    "body of a request": (MAX_BODY_SIZE, MAX_DEPTH),
    "an answer": (MAX_ANSWER_SIZE,),
    "description": (DESCRIPTION_MAX,),
    "metadata tags of one resource": (TAGS_MAX,),
    "name, and text, of a metadata tag": (TAG_KEY_MAX, TAG_VALUE_MAX),
    "link": (LINK_MAX,),
    "`targetLinks` of a policy": (LINKS_MAX,),
    "`bindings` of a policy": (BINDINGS_MAX,),
    "`principalLinks` of a binding": (PRINCIPALS_MAX,),
    "policies of one kind that name a principal": (POLICIES_OF_A_PRINCIPAL,),
    "terms of a query": (TERMS_MAX,),
    "`value` of a term": (VALUE_MAX,),
    "terms with `=~` in a query": (REGULAR_EXPRESSIONS_MAX,),
    "terms with `=~` that one decision looks at": (EXPRESSIONS_OF_A_DECISION,),
    "regular expression": (patterns.PATTERN_MAX, patterns.INSTRUCTIONS_MAX),
    "members that a group names": (MEMBERS_MAX,),
    "groups of an organisation that have a `memberQuery`": (QUERY_GROUPS_OF_AN_ORGANISATION,),
    "rules in `trust`": (RULES_MAX,),
    "claims in a rule": (claim_patterns.CLAIMS_MAX,),
    "patterns for one claim": (claim_patterns.ALTERNATIVES_MAX,),
    "pattern for a claim": (claim_patterns.PATTERN_MAX,),
    "rules in `immutableTags`": (immutable_tags.RULES_MAX,),
    "patterns of tags in such a rule": (immutable_tags.TAG_PATTERNS_MAX,),
    "pattern in such a rule": (immutable_tags.PATTERN_MAX,),
    "keys of one principal": (KEYS_OF_AN_OWNER,),
    "e-mail addresses of one invitation": (models.EMAILS_MAX,),
    "resources on a page": (PAGE,),
    "images on a page": (PAGE_MAX,),
    "jobs on a page": (job_access.PAGE_MAX,),
    "tags that one request copies": (MAX_ITEMS,),
    "tags that a request to copy a repository looks at": (TAGS_LOOKED_AT,),
    "`Idempotency-Key`": (KEY_MAX,),
    "`tagPattern`": (immutable_tags.PATTERN_MAX,),
    "a query, packed into an address": (PACKED_MAX,),
    "resources that are sorted by something else than the name": (SORTED_MAX,),
}


@pytest.mark.parametrize("what", LIMITS)
def test_every_limit_stands_on_the_page(what):
    (limits,) = tables("Limits")
    numbers = [int(each.replace(",", "")) for each in re.findall(r"[0-9][0-9,]*[0-9]|[0-9]", limits[what])]
    assert numbers == list(LIMITS[what])


def test_as_many_links_are_named_in_warnings_as_the_page_says():
    assert f"the first {NAMED_MAX} are named" in " ".join(section("Every kind").split())
