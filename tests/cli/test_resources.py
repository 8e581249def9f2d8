"""The commands that every noun has, against the stand-in and the real management API."""

from __future__ import annotations

import json
import stat
import tempfile
from pathlib import Path

import pytest
import yaml

from tests.cli.stand_in import Answer, StandIn, listed, refusal, resource
from tests.cli.terminal import Terminal

pytestmark = pytest.mark.usefixtures("sample_nouns")

ROBOT = "/org/demo/serviceaccount/viewer"
POLICY = {
    "name": "ci",
    "targetKind": "image",
    "target": "all",
    "bindings": [{"permissions": ["pull"], "principalLinks": [ROBOT]}],
}


@pytest.fixture
def policy(real: Terminal, management) -> Terminal:
    """The terminal at the real API, where there is a policy ``ci``."""
    management.ok("demo/admin", "POST", "/org/demo/policy", POLICY)
    return real


@pytest.fixture
def editor(tmp_path: Path, signed_in: Terminal, monkeypatch: pytest.MonkeyPatch):
    """Makes ``$EDITOR`` a script; what it saw each time is kept in files."""

    def make(script: str) -> Path:
        file = tmp_path / "editor"
        file.write_text(
            f'#!/bin/sh\nn=$(ls {tmp_path}/seen.* 2>/dev/null | wc -l)\ncp "$1" {tmp_path}/seen.$n\n{script}\n',
            "utf-8",
        )
        file.chmod(file.stat().st_mode | stat.S_IXUSR)
        signed_in.environment["EDITOR"] = str(file)
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
        return tmp_path

    return make


def names(text: str) -> list[str]:
    return [line.split()[0] for line in text.splitlines()[1:]]


def test_get_shows_all_or_those_that_are_named(policy: Terminal):
    assert "ci" in names(policy.ok("sample-policy", "get"))
    for reference in ("ci", "//policy/ci", "/org/demo/policy/ci"):
        assert names(policy.ok("sample-policy", "get", reference)) == ["ci"]
    assert json.loads(policy.ok("sample-policy", "get", "ci", "-o", "json"))["targetKind"] == "image"


def test_get_of_several_goes_on_after_a_failure(policy: Terminal):
    outcome = policy.run("sample-policy", "get", "nobody", "ci")
    assert outcome.code == 3
    assert names(outcome.out) == ["ci"]
    assert "nobody: " in outcome.err


def test_get_of_what_is_not_there_is_not_found(policy: Terminal):
    assert policy.run("sample-policy", "get", "nobody").code == 3


@pytest.mark.parametrize("reference", ["/org/other/policy/ci", "//image/ci", "//policy/", "-ci/../x"])
def test_link_of_another_kind_or_organisation_is_refused(policy: Terminal, stand_in: StandIn, reference):
    stand_in.asked.clear()
    assert policy.run("sample-policy", "get", "--", reference).code == 2
    assert stand_in.asked == []


def test_query_selects(policy: Terminal):
    assert names(policy.ok("sample-policy", "query", "--property", "name=ci")) == ["ci"]
    assert names(policy.ok("sample-policy", "query", "--prop", "name=x", "--match", "any")) == []


def test_tags_are_set_and_removed(policy: Terminal):
    policy.ok("sample-policy", "tag", "ci", "--tag", "env=prod", "--tag", "n:1")
    assert json.loads(policy.ok("sample-policy", "get", "ci", "-o", "json"))["tags"] == {
        "env": "prod",
        "n": "1",
    }
    policy.ok("sample-policy", "tag", "ci", "--remove-tag", "env")
    assert json.loads(policy.ok("sample-policy", "get", "ci", "-o", "json"))["tags"] == {"n": "1"}


def test_tags_of_several_are_shown_as_one_list(signed_in: Terminal, stand_in: StandIn):
    for name in ("a", "c"):
        changed = {**resource("policy", name, tags={"x": 1}), "warnings": [f"look at {name}"]}
        stand_in.on("PATCH", f"/org/acme/policy/{name}", changed)
    tag = ("sample-policy", "tag", "a", "b", "c", "--tag", "x=1")
    outcome = signed_in.run(*tag)
    assert (outcome.code, names(outcome.out)) == (3, ["a", "c"])
    assert outcome.out.count("NAME") == 1
    assert "warning: look at c" in outcome.err
    for form, read in (("json", json.loads), ("yaml", yaml.safe_load)):
        shown = read(signed_in.run(*tag, "-o", form).out)
        assert [(each["name"], "warnings" in each) for each in shown["items"]] == [("a", False), ("c", False)]
    assert json.loads(signed_in.ok("sample-policy", "tag", "a", "--tag", "x=1", "-o", "json"))["name"] == "a"


@pytest.mark.parametrize(
    ("answer", "code"), [(refusal(503, "Unavailable", "busy"), 6), (refusal(401, "Invalid", "expired"), 4)]
)
def test_what_would_fail_for_all_that_follow_ends_it(signed_in: Terminal, stand_in: StandIn, answer, code):
    for name in ("a", "d"):
        stand_in.on("DELETE", f"/org/acme/policy/{name}", None)
    stand_in.on("DELETE", "/org/acme/policy/b", answer)
    outcome = signed_in.run("sample-policy", "delete", "a", "b", "c", "d")
    assert outcome.code == code
    assert outcome.err.startswith("moorage: b failed, and the 2 after it were not tried\nmoorage: ")
    assert outcome.err.count("\n") == 2
    assert {each.path for each in stand_in.asked} == {"/org/acme/policy/a", "/org/acme/policy/b"}


def test_failures_of_different_kinds_have_no_code_of_their_own(signed_in: Terminal, stand_in: StandIn):
    stand_in.on("DELETE", "/org/acme/policy/b", refusal(403, "Denied", "not for you"))
    assert signed_in.run("sample-policy", "delete", "a", "b").code == 1
    assert signed_in.run("sample-policy", "delete", "a", "c").code == 3


def test_argument_in_another_encoding_is_wrong_usage(signed_in: Terminal, stand_in: StandIn):
    outcome = signed_in.run("sample-policy", "tag", "a", "--tag", "k=\udcff")
    assert outcome.code == 2
    assert outcome.err == "moorage: text with '\\udcff' cannot be sent; write it in UTF-8\n"
    assert signed_in.run("sample-policy", "query", "--prop", "name=\udcff").code == 2
    assert stand_in.asked == []


def test_patch_reads_a_file_or_standard_input(policy: Terminal, tmp_path):
    policy.ok("sample-policy", "patch", "ci", "-f", "-", stdin="description: from stdin\n")
    (tmp_path / "change.json").write_text('{"description": "from a file"}', "utf-8")
    out = policy.ok("sample-policy", "patch", "ci", "--file", str(tmp_path / "change.json"), "-o", "json")
    assert json.loads(out)["description"] == "from a file"
    assert policy.run("sample-policy", "patch", "ci", "-f", str(tmp_path / "none")).code == 2


def test_patch_of_an_old_version_is_a_conflict(policy: Terminal):
    assert (
        policy.run("sample-policy", "patch", "ci", "-f", "-", stdin="{version: 99, description: x}").code == 5
    )


def test_warnings_of_the_registry_go_to_stderr(policy: Terminal):
    change = {"bindings": [{"permissions": ["pull"], "principalLinks": ["//serviceaccount/ghost"]}]}
    outcome = policy.run("sample-policy", "patch", "ci", "-f", "-", "-o", "json", stdin=json.dumps(change))
    assert outcome.code == 0
    assert "warning: " in outcome.err
    assert "warnings" not in json.loads(outcome.out)


def test_delete_is_silent_and_goes_on_after_a_failure(policy: Terminal):
    outcome = policy.run("sample-policy", "delete", "nobody", "ci")
    assert (outcome.code, outcome.out) == (3, "")
    assert policy.run("sample-policy", "get", "ci").code == 3


def test_permissions_are_those_of_the_kind(policy: Terminal):
    rows = policy.ok("sample-image", "permissions").splitlines()
    assert rows[0].split() == ["NAME", "DESCRIPTION", "IMPLIES"]
    assert next(row for row in rows if row.startswith("create ")).endswith("pull")
    assert "items" in json.loads(policy.ok("sample-identity", "permissions", "--gvc", "prod", "-o", "json"))


def test_access_report_has_a_row_per_permission_and_binding(policy: Terminal):
    outcome = policy.run("sample-policy", "access-report", "ci")
    assert outcome.out.split()[:3] == ["PERMISSION", "PRINCIPAL", "GRANTED"]
    assert "/org/demo/group/superusers" in outcome.out
    assert "give any permission" in outcome.err


@pytest.mark.parametrize(("permission", "code", "answer"), [("view", 0, "yes"), ("delete", 1, "no")])
def test_explain_says_why_and_its_exit_code_says_whether(policy: Terminal, permission, code, answer):
    outcome = policy.run(
        "sample-policy", "explain", "ci", "--principal", "serviceaccount/viewer", "--permission", permission
    )
    assert (outcome.code, outcome.out.split(":")[0]) == (code, answer)
    assert outcome.err == ""


def test_list_is_cut_at_max_and_says_so(signed_in: Terminal, stand_in: StandIn):
    items = [resource("image", f"app:v{number}") for number in range(3)]
    stand_in.on("GET", "/org/acme/image", listed("image", items, "/org/acme/image?after=x"))
    outcome = signed_in.run("sample-image", "get", "--max", "2")
    assert names(outcome.out) == ["app:v0", "app:v1"]
    assert "--max 0" in outcome.err
    assert stand_in.asked[0].query == {"limit": ["2"]}


def test_names_are_quoted_in_paths(signed_in: Terminal, stand_in: StandIn):
    signed_in.run("sample-image", "get", "team/app:v1@sha256:abc")
    signed_in.run("sample-policy", "get", "a bé")
    assert [each.target for each in stand_in.asked] == [
        "/org/acme/image/team/app:v1@sha256:abc",
        "/org/acme/policy/a%20b%C3%A9",
    ]


def test_scope_is_required_and_part_of_the_path(signed_in: Terminal, stand_in: StandIn):
    assert signed_in.run("sample-identity", "get", "x").code == 2
    for reference in ("x", "//gvc/prod/identity/x", "/org/acme/gvc/prod/identity/x"):
        signed_in.run("sample-identity", "get", reference, "--gvc", "prod")
    assert set(stand_in.paths()) == {"GET /org/acme/gvc/prod/identity/x"}


def test_force_is_offered_where_the_registry_takes_it(signed_in: Terminal, stand_in: StandIn):
    stand_in.on("DELETE", "/org/acme/policy/ci", Answer(None, 204))
    signed_in.ok("sample-policy", "delete", "ci", "--force")
    assert stand_in.asked[-1].query == {"force": ["true"]}
    assert signed_in.run("sample-image", "delete", "app:v1", "--force").code == 2


def test_edit_sends_what_differs_with_the_version(signed_in: Terminal, stand_in: StandIn, editor):
    before = resource("policy", "ci", description="old", tags={"a": 1, "b": 2})
    stand_in.on("GET", "/org/acme/policy/ci", before)
    stand_in.on("PATCH", "/org/acme/policy/ci", {**before, "description": "new"})
    folder = editor("sed -i -e 's/old/new/' -e '/a: 1/d' \"$1\"")
    signed_in.ok("sample-policy", "edit", "ci")
    assert stand_in.asked[-1].json == {
        "description": "new",
        "tags": {"a": None},
        "version": 3,
        "id": before["id"],
    }
    assert "links" not in (folder / "seen.0").read_text("utf-8")
    assert list(folder.glob("moorage-*")) == []


def test_edit_without_a_change_sends_nothing(signed_in: Terminal, stand_in: StandIn, editor):
    stand_in.on("GET", "/org/acme/policy/ci", resource("policy", "ci"))
    editor("true")
    outcome = signed_in.run("sample-policy", "edit", "ci")
    assert (outcome.code, "nothing was changed" in outcome.err) == (0, True)
    assert stand_in.paths() == ["GET /org/acme/policy/ci"]


def test_edit_opens_again_with_the_reason_until_it_is_accepted(
    signed_in: Terminal, stand_in: StandIn, editor
):
    before = resource("policy", "ci", description="old")
    stand_in.on("GET", "/org/acme/policy/ci", before)
    stand_in.on("PATCH", "/org/acme/policy/ci", refusal(400, "InvalidInput", "too new"), before)
    folder = editor("sed -i -e 's/new/newer/' -e 's/old/new/' \"$1\"")
    signed_in.ok("sample-policy", "edit", "ci")
    assert (folder / "seen.1").read_text("utf-8").startswith("# Not accepted: too new")
    assert [each.json["description"] for each in stand_in.asked[1:]] == ["new", "newer"]


def test_edit_that_is_given_up_after_an_error_keeps_the_text(signed_in: Terminal, stand_in: StandIn, editor):
    stand_in.on("GET", "/org/acme/policy/ci", resource("policy", "ci", description="old"))
    folder = editor("sed -i 's/description: old/description: [/' \"$1\"")
    outcome = signed_in.run("sample-policy", "edit", "ci")
    assert outcome.code == 2
    kept = list(folder.glob("moorage-*.yaml"))
    assert len(kept) == 1
    assert str(kept[0]) in outcome.err
    assert "description: [" in kept[0].read_text("utf-8")


def test_edit_of_what_somebody_else_has_changed_shows_both_changes(
    signed_in: Terminal, stand_in: StandIn, editor
):
    before = resource("policy", "ci", description="old", tags={"a": 1})
    theirs = {**before, "version": 4, "tags": {"a": 2}}
    stand_in.on("GET", "/org/acme/policy/ci", before, theirs)
    stand_in.on("PATCH", "/org/acme/policy/ci", refusal(409, "VersionMismatch", "it has changed."), theirs)
    folder = editor("sed -i -e 's/new/newer/' -e 's/old/new/' \"$1\"")
    signed_in.ok("sample-policy", "edit", "ci")
    seen = (folder / "seen.1").read_text("utf-8")
    assert "a: 2" in seen
    assert seen.startswith("# Not accepted: it has changed; others have changed: tags. Below")
    assert "description: new" in seen
    assert stand_in.asked[-1].json == {"description": "newer", "version": 4, "id": before["id"]}


def test_edit_keeps_what_somebody_else_has_put_into_the_same_list(
    signed_in: Terminal, stand_in: StandIn, editor
):
    mine, base, theirs = ({"principalLinks": [name]} for name in ("mine", "base", "theirs"))
    before = resource("policy", "ci", bindings=[base])
    changed = {**before, "version": 4, "bindings": [base, theirs]}
    stand_in.on("GET", "/org/acme/policy/ci", before, changed)
    stand_in.on("PATCH", "/org/acme/policy/ci", refusal(409, "VersionMismatch", "it has changed."), changed)
    editor(
        'grep -q mine "$1" && echo "# seen" >>"$1" || '
        "sed -i 's/^bindings:.*/bindings:\\n- principalLinks: [mine]/' \"$1\""
    )
    signed_in.ok("sample-policy", "edit", "ci")
    assert stand_in.asked[-1].json["bindings"] == [base, theirs, mine]


def test_edit_replaces_with_a_put(signed_in: Terminal, stand_in: StandIn, editor):
    before = resource("policy", "ci", description="old")
    stand_in.on("GET", "/org/acme/policy/ci", before)
    stand_in.on("PUT", "/org/acme/policy/ci", before)
    editor("sed -i 's/old/new/' \"$1\"")
    signed_in.ok("sample-policy", "edit", "ci", "--replace")
    assert (stand_in.asked[-1].json["name"], stand_in.asked[-1].json["description"]) == ("ci", "new")


def test_edit_without_an_editor_says_so_and_leaves_no_file(
    signed_in: Terminal, stand_in: StandIn, tmp_path, monkeypatch
):
    stand_in.on("GET", "/org/acme/policy/ci", resource("policy", "ci"))
    signed_in.environment["EDITOR"] = "no-such-editor"
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    outcome = signed_in.run("sample-policy", "edit", "ci")
    assert outcome.code == 2
    assert "EDITOR" in outcome.err
    assert list(tmp_path.glob("moorage-*")) == []


@pytest.mark.parametrize("answer", [None, [], 7, {"items": 7}, {"items": [7]}, {"items": [], "implied": 7}])
def test_permissions_in_another_shape_are_no_registrys(signed_in: Terminal, stand_in: StandIn, answer):
    stand_in.on("GET", "/org/acme/policy/-schema/permissions", Answer(answer))
    outcome = signed_in.run("sample-policy", "permissions")
    assert (outcome.code, outcome.err.count("\n")) == (6, 1)


def test_permission_without_a_name_is_shown_all_the_same(signed_in: Terminal, stand_in: StandIn):
    stand_in.on("GET", "/org/acme/policy/-schema/permissions", {"items": [{"description": "d"}]})
    assert signed_in.ok("sample-policy", "permissions").splitlines()[1].split() == ["d"]


@pytest.mark.parametrize(
    "answer", [None, [], {"permissions": 7}, {"permissions": [7]}, {"permissions": [{"bindings": [7]}]}]
)
def test_access_report_in_another_shape_is_no_registrys(signed_in: Terminal, stand_in: StandIn, answer):
    stand_in.on("GET", "/org/acme/policy/ci/-accessreport", Answer(answer))
    outcome = signed_in.run("sample-policy", "access-report", "ci")
    assert (outcome.code, outcome.err.count("\n")) == (6, 1)


@pytest.mark.parametrize("answer", [{"permissions": [{}]}, {"permissions": [{"bindings": [{}]}]}, {}])
def test_access_report_that_leaves_something_out_is_shown(signed_in: Terminal, stand_in: StandIn, answer):
    stand_in.on("GET", "/org/acme/policy/ci/-accessreport", Answer(answer))
    assert signed_in.ok("sample-policy", "access-report", "ci").startswith("PERMISSION")


EXPLAIN = ("sample-policy", "explain", "ci", "--principal", "user/a", "--permission", "view")


@pytest.mark.parametrize(
    "answer",
    [
        None,
        [],
        {},
        {"allowed": "yes"},
        {"allowed": True, "grants": [7]},
        {"allowed": False, "nearMisses": {}},
    ],
)
def test_explanation_in_another_shape_is_no_registrys(signed_in: Terminal, stand_in: StandIn, answer):
    stand_in.on("GET", "/org/acme/policy/ci/-explain", Answer(answer))
    outcome = signed_in.run(*EXPLAIN)
    assert (outcome.code, outcome.err.count("\n")) == (6, 1)


def test_explanation_that_leaves_something_out_is_shown(signed_in: Terminal, stand_in: StandIn):
    stand_in.on("GET", "/org/acme/policy/ci/-explain", {"allowed": False, "grants": [{}], "nearMisses": [{}]})
    outcome = signed_in.run(*EXPLAIN)
    assert (outcome.code, outcome.err) == (1, "")
    assert outcome.out.startswith("no: ")


@pytest.mark.parametrize("links", [7, [7], [[]], {"rel": "self"}])
def test_links_that_are_none_leave_the_name(signed_in: Terminal, stand_in: StandIn, links):
    stand_in.on("GET", "/org/acme/policy", listed("policy", [{**resource("policy", "ci"), "links": links}]))
    assert signed_in.ok("sample-policy", "get", "-o", "names") == "ci\n"
