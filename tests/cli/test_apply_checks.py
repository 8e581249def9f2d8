"""What is wrong with files is said before anything is written, with where it stands."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from moorage_cli.documents import parse_documents
from moorage_cli.errors import Misused
from tests.cli.stand_in import StandIn
from tests.cli.terminal import Terminal
from tests.cli.test_apply import writes

GOOD = "kind: gvc\nname: prod\n"
POLICY = "kind: policy\nname: ci\ntargetKind: image\n"
BINDING = "bindings: [{permissions: [pull], principalLinks: [//serviceaccount/viewer]}]\n"


def refused(terminal: Terminal, stand_in: StandIn, text: str, *flags: str, code: int = 2) -> str:
    """What is said of a text of which nothing may be written."""
    outcome = terminal.run("apply", "-f", "-", *flags, stdin=text)
    assert (outcome.code, outcome.out) == (code, ""), outcome
    assert writes(stand_in) == []
    assert "nothing was changed" in outcome.err
    return outcome.err


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ("kind: policy\nname: [", "line 8"),
        ("kind: policy\n\tname: x", "line 7"),
        ("kind: policy\nname: x\nname: y", "twice"),
        ("a: &a [*a]", "document 2"),
        ("kind: !!python/object:os.system x", "document 2"),
        ("- kind: gvc\n  name: !!binary aGk=", "document 2"),
        ("kind: gvc\nname: prod2\ntags: {n: 1e999}", "too large"),
        ('kind: gvc\nname: prod2\ndescription: "\\uD800"', "document 2"),
        ("just text", "no resource"),
        ("name: x", "no kind"),
        ("kind: polcy\nname: x", '"polcy"'),
        ("kind: [a]\nname: x", "cannot be applied"),
        ("kind: job\nname: x", '"job"'),
        ("kind: policy", "no name"),
        ("kind: policy\nname: 123", "123"),
        ("kind: policy\nname: 1.10", "1.1"),
        ("kind: policy\nname: ../group/x", "name"),
        ("kind: identity\nname: web", "no gvc"),
        ("kind: identity\nname: web\ngvc: 7", "no gvc"),
        ("kind: org\nname: other", "--org other"),
        ("kind: gvc\nname: prod", "already"),
        ("kind: list\nitems: [{kind: gvc, name: two}, {kind: gvc}]", "item 2"),
    ],
)
def test_file_with_one_wrong_document_of_three_changes_nothing_and_says_which(
    real: Terminal, stand_in: StandIn, document, said
):
    text = f"{GOOD}---\n# of three\n\n{document}\n---\nkind: group\nname: devs\n"
    error = refused(real, stand_in, text)
    assert said in error
    assert "standard input, document 2" in error
    assert stand_in.asked == []


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ("kind: gvc\nname: UPPER", "has 2 to 64"),
        (f"{POLICY}target: all\nbinding: []", "binding is no field"),
        (f"{POLICY}target: some", "target is not all"),
        ("kind: policy\nname: ci\ntarget: all", "targetKind is missing"),
        ("kind: policy\nname: ci\ntarget: all\ntargetKind: imge", "'imge'"),
        ("kind: policy\nname: ci\ntarget: all\ntargetKind: a/b", "'a/b'"),
        (POLICY, "about nothing"),
        (f"{POLICY}targetQuery: {{spec: {{terms: []}}}}", "about nothing"),
        (f"{POLICY}targetLinks: [//policy/x]", "targetLinks[0] '//policy/x'"),
        (f"{POLICY}targetLinks: {{}}", "targetLinks is not a list"),
        (f"{POLICY}targetQuery: {{spec: {{terms: [{{op: is, property: name}}]}}}}", "terms[0].op is not"),
        (f"{POLICY}targetQuery: {{spec: {{terms: [{{property: name, tag: x}}]}}}}", "exactly one"),
        (f"{POLICY}target: all\n" + BINDING.replace("pull", "pul"), "'pul'; there are create"),
        (f"{POLICY}target: all\n" + BINDING.replace("pull", "invite"), "'invite'"),
        (
            f"{POLICY}target: all\n" + BINDING.replace("//serviceaccount/viewer", "viewer"),
            "no link of a principal",
        ),
        (
            f"{POLICY}target: all\n" + BINDING.replace("//serviceaccount", "//identity"),
            "no link of a principal",
        ),
        (f"{POLICY}target: all\n" + BINDING.replace("[pull]", "[]"), "permissions is empty"),
        (f"{POLICY}target: all\n" + BINDING.replace("[pull]", "pull"), "permissions is not a list"),
        (f"{POLICY}target: all\nbindings: [7]", "bindings[0] is not an object"),
        ("kind: group\nname: devs\nmemberLinks: [7]", "memberLinks[0] is not a text"),
        ("kind: group\nname: devs\nmemberQuery: {spec: {terms: [{value: 1}]}}", "exactly one"),
        ("kind: group\nname: devs\ntags: {a: [1]}", "tags.a is not"),
        ("kind: group\nname: devs\ntags: {a: null}", "tags.a is not"),
        (f"kind: group\nname: devs\ndescription: {'x' * 251}", "more than 250"),
        ("kind: identity\nname: web\ngvc: prod\ntrust: [{claims: {}}]", "trust[0].issuer is missing"),
        ("kind: org\nname: demo\nidentityPull: 'yes'", "identityPull is not true or false"),
    ],
)
def test_document_that_the_registry_would_refuse_changes_nothing(
    real: Terminal, stand_in: StandIn, document, said
):
    error = refused(real, stand_in, f"{GOOD}---\n{document}\n---\nkind: group\nname: ops\n")
    assert said in error
    assert "document 2 (line 4)" in error


@pytest.mark.parametrize(
    ("document", "code", "said"),
    [
        ("kind: user\nname: eve@example.com", 3, "user invite"),
        ("kind: image\nname: app:v9", 3, "push it"),
        ("kind: image\nname: app", 3, "app:latest"),
        ("kind: identity\nname: web\ngvc: nowhere", 3, "no gvc nowhere"),
        ("kind: policy\nname: viewers-image\ntargetKind: image\ntarget: all", 5, "built in"),
    ],
)
def test_what_files_cannot_make_has_to_be_there(real: Terminal, stand_in: StandIn, document, code, said):
    assert said in refused(real, stand_in, f"{GOOD}---\n{document}\n", code=code)


def test_all_that_is_wrong_is_said_at_once(real: Terminal, stand_in: StandIn, tmp_path: Path):
    (tmp_path / "b.yaml").write_text("kind: nothing\nname: x\n---\nkind: group\n---\nkind: {", "utf-8")
    (tmp_path / "a.json").write_text('{"kind": "group",\n "name": "a1",\n "name": "a2"}', "utf-8")
    (tmp_path / "c.yml").write_bytes(b"kind: \xff")
    outcome = real.run("apply", "-f", str(tmp_path))
    assert outcome.code == 2
    said = outcome.err.splitlines()
    assert [line.split(str(tmp_path))[1].split(":")[0] for line in said[:-1]] == [
        "/a.json, document 1, line 3",
        "/b.yaml, document 1 (line 1)",
        "/b.yaml, document 2 (line 4)",
        "/b.yaml, document 3, line 6",
        "/c.yml is not UTF-8 text",
    ]
    assert said[-1].startswith("moorage: 5 problems, beside 0 resources")
    assert stand_in.asked == []


def test_same_resource_in_two_files_names_both(real: Terminal, stand_in: StandIn, tmp_path: Path):
    for name in ("a", "b"):
        (tmp_path / f"{name}.yaml").write_text("kind: user\nname: Ann@example.com\n", "utf-8")
    (tmp_path / "b.yaml").write_text("kind: user\nname: ann@example.com\n", "utf-8")
    outcome = real.run("apply", "-f", str(tmp_path / "a.yaml"), "-f", str(tmp_path / "b.yaml"))
    assert outcome.code == 2
    assert "a.yaml, document 1" in outcome.err
    assert "b.yaml, document 1" in outcome.err
    assert stand_in.asked == []


@pytest.mark.parametrize("sources", [("/nowhere.yaml",), ("-", "-"), ("EMPTY",), ()])
def test_sources_that_hold_nothing_are_refused(real: Terminal, stand_in: StandIn, tmp_path: Path, sources):
    flags = [word for each in sources for word in ("-f", str(tmp_path) if each == "EMPTY" else each)]
    assert real.run("apply", *flags).code == 2
    assert real.run("delete", *flags).code == 2
    assert stand_in.asked == []


def test_folder_is_read_by_name_and_not_below(real: Terminal, tmp_path: Path):
    (tmp_path / "2.yml").write_text("{kind: gvc, name: two}", "utf-8")
    (tmp_path / "1.json").write_text('\n\t{"kind": "gvc",\n\t"name": "one"}', "utf-8")
    (tmp_path / "readme.md").write_text("# no", "utf-8")
    (tmp_path / "x.yaml").mkdir()
    assert real.ok("apply", "-f", str(tmp_path), "--max", "1") == (
        "created /org/demo/gvc/one\ncreated /org/demo/gvc/two\n"
    )


def test_empty_text_is_nothing_to_do(real: Terminal):
    assert real.run("apply", "-f", "-", stdin="# nothing\n---\n").code == 0


def test_registry_that_is_not_reached_is_one_line(real: Terminal):
    outcome = real.run("apply", "-f", "-", "--endpoint", "http://127.0.0.1:1", stdin=GOOD)
    assert (outcome.code, outcome.out, outcome.err.count("\n")) == (6, "", 1)


def test_unknown_field_that_the_registry_shows_is_no_mistake(real: Terminal, stand_in: StandIn, management):
    # As a newer registry has them.
    management.ok("demo/admin", "POST", "/org/demo/group", {"name": "devs"})
    there = management.ok("demo/admin", "GET", "/org/demo/group/devs")
    shown = {**there, "lastSeen": {"at": "2026-01-01"}}
    stand_in.on("GET", "/org/demo/group/devs", shown)
    assert real.ok("apply", "-f", "-", stdin=json.dumps(shown)) == "unchanged /org/demo/group/devs\n"
    changed = {**shown, "description": "new"}
    assert real.ok("apply", "-f", "-", stdin=json.dumps(changed)) == "updated /org/demo/group/devs\n"


TRAPS = """
kind: group
name: devs
tags:
  on: on
  yes: no
  date: 2026-01-31
  time: 12:30:00
  octal: 010
  octal2: 0o10
  hex: 0x10
  thousand: 1_000
  version: 1.10
  empty: ''
  tilde: "~"
  truth: true
  int: 7
  equals: =
  merge: <<
"""


def test_scalars_of_older_yaml_are_texts(real: Terminal, management):
    real.ok("apply", "-f", "-", stdin=TRAPS)
    made = management.ok("demo/admin", "GET", "/org/demo/group/devs")
    assert made["tags"] == {
        "on": "on",
        "yes": "no",
        "date": "2026-01-31",
        "time": "12:30:00",
        "octal": 10,
        "octal2": "0o10",
        "hex": "0x10",
        "thousand": "1_000",
        "version": 1.1,
        "empty": "",
        "tilde": "~",
        "truth": True,
        "int": 7,
        "equals": "=",
        "merge": "<<",
    }
    # What is shown means the same when it is read again.
    shown = real.ok("group", "get", "devs", "-o", "yaml")
    assert real.ok("apply", "-f", "-", stdin=shown) == "unchanged /org/demo/group/devs\n"


def test_aliases_are_followed_but_not_without_end():
    assert parse_documents("a: &a [1]\nb: *a\n", "x") == [{"a": [1], "b": [1]}]
    bomb = "a0: &a0 [x]\n" + "".join(
        f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 12)
    )
    with pytest.raises(Misused, match="document 1"):
        parse_documents(bomb, "x")


@pytest.mark.parametrize(
    "text", ['{"a": NaN}', '{"a": Infinity}', '{"a": "b", "c": "\\ud800"}', '{"a": 1e999}']
)
def test_json_that_is_none_is_refused_or_text(text):
    try:
        found = parse_documents(text, "x")
    except Misused:
        return
    assert json.dumps(found, allow_nan=False).encode()
    assert all(isinstance(each, str) for each in found[0].values())
