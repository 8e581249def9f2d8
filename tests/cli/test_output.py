"""Tables, documents, links and moments; queries, tags, files and names as people write them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from moorage_cli.documents import parse_documents, to_yaml
from moorage_cli.editing import difference, rebased
from moorage_cli.errors import Misused
from moorage_cli.nouns import checked_name
from moorage_cli.queries import build_query, guess_value, parse_term
from moorage_cli.resources import parse_tags
from moorage_cli.times import age, shown
from tests.cli.stand_in import StandIn, listed, resource
from tests.cli.terminal import Terminal

pytestmark = pytest.mark.usefixtures("sample_nouns")

LONG = "a description that goes on and on " * 6


@pytest.fixture
def listing(signed_in: Terminal, stand_in: StandIn) -> Terminal:
    items = [
        resource("policy", "ci", description=LONG, tags={"env": "prod", "n": 1, "on": True}),
        resource("policy", "东京", description="wide\x1b[31m"),
    ]
    stand_in.on("GET", "/org/acme/policy", listed("policy", items))
    return signed_in


def test_piped_table_is_not_cut_and_has_no_colours(listing: Terminal):
    out = listing.ok("sample-policy", "get")
    lines = out.splitlines()
    assert lines[0].split() == ["NAME", "DESCRIPTION", "CREATED", "TAGS"]
    assert LONG.strip() in lines[1]
    assert "env=prod,n=1,on=true" in lines[1]
    assert "\x1b" not in out
    assert "wide\\x1b[31m" in lines[2]


@pytest.mark.parametrize("width", [60, 100])
def test_table_in_a_terminal_is_as_wide_as_the_terminal(listing: Terminal, monkeypatch, width):
    monkeypatch.setattr(shutil, "get_terminal_size", lambda: os.terminal_size((width, 24)))
    lines = listing.ok("sample-policy", "get", "--color", "never", tty=True).splitlines()
    # The wide characters take two places each.
    assert [len(line) <= width for line in lines] == [True, True, True]
    assert "…" in lines[1]
    assert lines[1].startswith("ci    ")


@pytest.mark.parametrize(("width", "columns"), [(1, 1), (10, 1), (16, 2), (28, 3), (40, 4)])
def test_table_in_a_narrow_terminal_leaves_out_its_last_columns(
    listing: Terminal, monkeypatch, width, columns
):
    monkeypatch.setattr(shutil, "get_terminal_size", lambda: os.terminal_size((width, 24)))
    lines = listing.ok("sample-policy", "get", "--color", "never", tty=True).splitlines()
    assert len(lines[0].split()) == columns
    assert lines[0].startswith("NAME")
    assert max(cell_len(line) for line in lines) <= max(width, 4)
    assert lines[1].split()[0] == "ci"


@pytest.mark.parametrize(
    ("flags", "environment", "tty", "colored"),
    [
        ((), {}, True, True),
        ((), {}, False, False),
        ((), {"NO_COLOR": "1"}, True, False),
        ((), {"TERM": "dumb"}, True, False),
        (("--color", "always"), {"NO_COLOR": "1"}, False, True),
        (("--color", "never"), {}, True, False),
    ],
)
def test_colours_are_for_terminals_unless_somebody_says_otherwise(
    listing: Terminal, flags, environment, tty, colored
):
    out = listing.ok("sample-policy", "get", *flags, environment=environment, tty=tty)
    assert ("\x1b[1m" in out) is colored


def test_documents_hold_everything_and_names_are_links(listing: Terminal):
    document = json.loads(listing.ok("sample-policy", "get", "-o", "json"))
    assert (document["kind"], document["itemKind"], len(document["items"])) == ("list", "policy", 2)
    assert yaml.safe_load(listing.ok("sample-policy", "get", "-o", "yaml")) == document
    assert listing.ok("sample-policy", "get", "-o", "names").splitlines()[0] == "/org/acme/policy/ci"


def test_slim_documents_lack_what_the_registry_sets(signed_in: Terminal, stand_in: StandIn):
    policy = {**resource("policy", "ci", description=""), "origin": "default", "bindings": []}
    image = {
        **resource("image", "app:v1", tags={"a": 1}),
        "repository": "app",
        "tag": "v1",
        "digest": "sha256:0",
    }
    stand_in.on("GET", "/org/acme/policy", listed("policy", [policy]))
    stand_in.on("GET", "/org/acme/image/app:v1", image)
    slim = json.loads(signed_in.ok("policy", "get", "-o", "json-slim"))
    assert slim == {
        "kind": "list",
        "items": [{"kind": "policy", "name": "ci", "description": "", "tags": {}, "bindings": []}],
    }
    assert yaml.safe_load(signed_in.ok("policy", "get", "-o", "yaml-slim")) == slim
    one = yaml.safe_load(signed_in.ok("image", "get", "app:v1", "-o", "yaml-slim"))
    assert one == {"kind": "image", "name": "app:v1", "tags": {"a": 1}}


def test_slim_documents_of_what_nobody_can_make_are_whole(signed_in: Terminal, stand_in: StandIn):
    job = {**resource("job", "j1"), "state": "succeeded"}
    stand_in.on("GET", "/org/acme/job/j1", job)
    assert json.loads(signed_in.ok("job", "get", "j1", "-o", "json-slim")) == job


def test_slim_result_of_a_query_is_a_list(signed_in: Terminal, stand_in: StandIn):
    found = {"kind": "queryresult", "items": [resource("group", "devs")], "query": {}}
    stand_in.on("POST", "/org/acme/group/-query", found)
    slim = json.loads(signed_in.ok("rest", "post", "//group/-query", "-o", "json-slim"))
    assert slim == {
        "kind": "list",
        "items": [{"kind": "group", "name": "devs", "description": "", "tags": {}}],
    }


@pytest.mark.parametrize("form", ["text", "json", "yaml", "names"])
def test_what_an_encoding_lacks_is_written_out(listing: Terminal, form):
    done = subprocess.run(
        [sys.executable, "-m", "moorage_cli", "policy", "get", "-o", form],
        env={**listing.environment, "PYTHONIOENCODING": "cp1252"},
        capture_output=True,
        text=True,
        encoding="cp1252",
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "\\u4e1c\\u4eac" in done.stdout.lower()
    if form in {"json", "yaml"}:
        assert yaml.safe_load(done.stdout)["items"][1]["name"] == "东京"


@pytest.mark.parametrize("before", [True, False])
def test_common_flags_stand_before_or_after_the_command(listing: Terminal, before):
    flags, command = ["--output", "json", "--org", "acme", "-v"], ["sample-policy", "get"]
    outcome = listing.run(
        *(flags + command if before else command + flags), environment={"MOORAGE_ORG": "wrong"}
    )
    assert outcome.code == 0
    json.loads(outcome.out)
    assert "GET /org/acme/policy 200" in outcome.err
    assert listing.environment["MOORAGE_TOKEN"] not in outcome.err


def test_the_flag_next_to_the_command_wins(listing: Terminal):
    assert listing.run("--org", "wrong", "sample-policy", "--org", "bad", "get", "--org", "acme").code == 0


def test_flags_of_one_run_do_not_reach_the_next(listing: Terminal):
    listing.ok("sample-policy", "get", "-o", "json")
    assert listing.ok("sample-policy", "get").startswith("NAME")


@pytest.mark.parametrize(
    ("style", "text"), [("iso", "2026-01-02T03:04:05.000Z"), ("age", "3d"), ("local", "2026-01-02")]
)
def test_moments_are_written_in_three_ways(style, text):
    now = datetime(2026, 1, 5, 4, tzinfo=UTC)
    assert shown("2026-01-02T03:04:05.000Z", style, now).startswith(text)


def test_what_is_no_moment_stays():
    assert (shown("soon", "local"), shown("", "age")) == ("soon", "")
    assert (age(timedelta(seconds=-90)), age(timedelta(0)), age(timedelta(days=800))) == ("in 1m", "0s", "2y")


@pytest.mark.parametrize(
    ("expression", "term"),
    [
        ("a=b", {"op": "=", "property": "a", "value": "b"}),
        ("a!=b", {"op": "!=", "property": "a", "value": "b"}),
        ("a>=2", {"op": ">=", "property": "a", "value": 2}),
        ("a<=b", {"op": "<=", "property": "a", "value": "b"}),
        ("a>2026-01-31", {"op": ">", "property": "a", "value": "2026-01-31"}),
        ("a<1.5", {"op": "<", "property": "a", "value": 1.5}),
        ("a~b*", {"op": "~", "property": "a", "value": "b*"}),
        ("a=~^b=c$", {"op": "=~", "property": "a", "value": "^b=c$"}),
        ("a=b<=c", {"op": "=", "property": "a", "value": "b<=c"}),
        ("a=true", {"op": "=", "property": "a", "value": True}),
        ("a=", {"op": "=", "property": "a", "value": ""}),
        ("a", {"op": "exists", "property": "a"}),
        ("a!", {"op": "!exists", "property": "a"}),
    ],
)
def test_expression_is_a_term(expression, term):
    assert parse_term("property", expression) == term


@pytest.mark.parametrize("expression", ["", "=b", "!", "<=b", " =x"])
def test_expression_that_names_nothing_is_refused(expression):
    with pytest.raises(Misused):
        parse_term("tag", expression)


@given(st.text())
def test_value_is_only_taken_for_a_number_that_is_written_so(text):
    value = guess_value(text)
    assert isinstance(value, bool) or str(value) == text


def test_query_has_the_terms_of_all_flags():
    assert build_query("image", "any", property=("repository=app",), tag=("env",), rel=()) == {
        "kind": "image",
        "fetch": "items",
        "spec": {
            "match": "any",
            "terms": [{"op": "=", "property": "repository", "value": "app"}, {"op": "exists", "tag": "env"}],
        },
    }


def test_tags_have_the_type_that_they_look_like_unless_a_colon_says_text():
    assert parse_tags(("a=1", "b:1", "c=true", "d=x=y", "e:x=y", "f=1.10"), ("g",)) == {
        "a": 1,
        "b": "1",
        "c": True,
        "d": "x=y",
        "e": "x=y",
        "f": "1.10",
        "g": None,
    }


@pytest.mark.parametrize(("tags", "removed"), [(("a",), ()), (("=1",), ()), (("a=1",), ("a",))])
def test_tags_that_make_no_sense_are_refused(tags, removed):
    with pytest.raises(Misused):
        parse_tags(tags, removed)


def test_yaml_has_the_scalars_of_json():
    text = "a: no\nb: 12:30\nc: 2026-01-31\nd: 010\ne: 1e3\nf: on\ng: true\nh: ~\non: x\n"
    assert parse_documents(text, "f") == [
        {
            "a": "no",
            "b": "12:30",
            "c": "2026-01-31",
            "d": 10,
            "e": 1000.0,
            "f": "on",
            "g": True,
            "h": None,
            "on": "x",
        }
    ]


def test_several_documents_are_read_without_the_empty_ones():
    assert parse_documents("---\na: 1\n---\n---\nb: 2\n", "f") == [{"a": 1}, {"b": 2}]
    assert parse_documents('{\n\t"a": 1\n}', "f") == [{"a": 1}]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: 1\n---\nb: [\n", "f, document 2"),
        ("a: 1\na: 2\n", "the key 'a' stands there twice"),
        ("1: a\n", "a key is no text"),
        ("a: !!python/object/apply:os.system [id]\n", "f, document 1, line 1"),
        ("a: \x07\n", "f, document 1"),
        ("[" * 3000, "f, document 1"),
    ],
)
def test_text_that_is_no_yaml_says_where(text, said):
    with pytest.raises(Misused, match=said.replace("[", r"\[")):
        parse_documents(text, "f")


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**9), 10**9)
    | st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs")))
    | st.sampled_from(["no", "12:30", "1e3", "010", "~", "null", "2026-01-31", "<<", "=", "0x1f", "1_000"]),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text("ab<=~", max_size=3), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(st.dictionaries(st.text("abc", min_size=1), JSON, min_size=1))
def test_what_is_written_as_yaml_is_read_as_it_was(document):
    assert parse_documents(to_yaml(document), "f") == [document]


DOCUMENT = st.recursive(
    st.integers(0, 3) | st.booleans() | st.lists(st.integers(0, 3), max_size=2),
    lambda inner: st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
)
DOCUMENTS = st.dictionaries(st.sampled_from("abc"), DOCUMENT, max_size=3)


def patched(document, change):
    """What the registry makes of a merging PATCH."""
    result = {key: value for key, value in document.items() if change.get(key, value) is not None}
    for key, value in change.items():
        if isinstance(value, dict) and isinstance(result.get(key), dict):
            result[key] = patched(result[key], value)
        elif value is not None:
            result[key] = value
    return result


@given(DOCUMENTS, DOCUMENTS)
def test_one_change_alone_is_what_both_make(before, after):
    for mine, theirs in ((after, before), (before, after), (after, after)):
        both = rebased(before, mine, theirs)
        assert json.dumps(both, sort_keys=True) == json.dumps(after, sort_keys=True)


@pytest.mark.parametrize(
    ("before", "mine", "theirs", "both"),
    [
        (["a", "b"], ["a", "b", "c"], ["a", "b", "d"], ["a", "b", "d", "c"]),
        (["a", "b"], ["b"], ["a", "b", "d"], ["b", "d"]),
        (["a", "b"], ["a"], ["b"], []),
        (["a"], ["a", "c"], ["a", "c"], ["a", "c"]),
        (["a"], ["x"], None, ["x"]),
    ],
)
def test_two_changes_of_a_list_are_both_in_it(before, mine, theirs, both):
    after = rebased({"l": before, "t": 1}, {"l": mine, "t": 1}, {"l": theirs, "t": 2})
    assert after == {"l": both, "t": 2}


@given(DOCUMENTS, DOCUMENTS)
def test_difference_turns_one_document_into_the_other(before, after):
    change = difference(before, after)
    assert json.dumps(patched(before, change), sort_keys=True) == json.dumps(after, sort_keys=True)
    assert (change == {}) is (json.dumps(before, sort_keys=True) == json.dumps(after, sort_keys=True))


@pytest.mark.parametrize(
    "name", ["a?b", "a#", "%61", "a\\b", "", "a//b", "../x", "a/../b", ".", "-query", "a/-x", "a\nb", "a/"]
)
def test_name_that_would_lead_elsewhere_is_refused(name):
    with pytest.raises(Misused):
        checked_name(name)
