"""What runs the guides finds what is wrong with them."""

from __future__ import annotations

import re

import pytest

from tests.docs.guide import Guide, follow
from tests.docs.programs import needing

pytestmark = needing("bash")


def page(folder, *blocks: tuple[str, str]) -> Guide:
    file = folder / "page.md"
    file.write_text("\n".join(f"```{marks}\n{text}\n```\n" for marks, text in blocks), "utf-8")
    return Guide(str(file))


def test_commands_share_a_shell_a_folder_and_what_is_replaced(tmp_path):
    guide = page(
        tmp_path,
        ("sh", 'NAME=demo\nsay() { echo "hello $1"; }'),
        ("sh", 'say "$NAME" >said'),
        ("sh", "cat said"),
        ("text", "hello acme\n..."),
        ("sh", 'say "a line"\necho \'{"a": [{"b": 1, "c": 2}], "d": 3}\''),
        ("json", '{"a": [{"b": 1}]}'),
    )
    assert follow(Guide(guide.name, {"demo": "acme"}), tmp_path) == 4


@pytest.mark.parametrize(
    ("blocks", "problem"),
    [
        ([("sh", "false"), ("sh", "true")], "page.md:2"),
        ([("sh", "true"), ("sh", "false | true")], "page.md:6"),
        ([("sh", "true\nnonsense\ntrue")], "nonsense"),
        ([("sh", "exit 0"), ("sh", "true")], "not reached"),
        ([("sh refused", "true")], "should have been refused"),
        ([("sh", "echo a"), ("text", "b")], "not printed: ['b']"),
        ([("sh", "echo a"), ("sh", "echo b"), ("text", "a")], "not printed: ['a']"),
        ([("sh", "echo a\necho b"), ("text whole", "a")], "more is printed, or in another order"),
        ([("sh", "echo a\necho b"), ("text whole", "b\na")], "more is printed, or in another order"),
        ([("sh", "echo '{}'"), ("json", '{"a": 1}')], "$.a is not there"),
        ([("sh", "echo '{\"a\": [1]}'"), ("json", '{"a": [1, 2]}')], "$.a is [1]"),
        ([("sh", "echo none"), ("json", "{}")], "$ is None"),
        ([("sh danger", "true")], "unknown marks"),
    ],
)
def test_page_that_does_not_hold_is_told(tmp_path, blocks, problem):
    with pytest.raises(AssertionError, match=re.escape(problem)):
        follow(page(tmp_path, *blocks), tmp_path)


def test_refusal_is_expected_where_it_is_announced_and_the_shell_goes_on(tmp_path):
    guide = page(
        tmp_path,
        ("sh refused", "echo before\nfalse"),
        ("text", "before"),
        ("sh", "echo after"),
        ("text", "after"),
    )
    assert follow(guide, tmp_path) == 2


def test_marked_blocks_are_left_out(tmp_path):
    guide = page(
        tmp_path,
        ("sh docker", "false"),
        ("text", "never"),
        ("sh elsewhere", "kubectl get pods"),
        ("sh", "true"),
    )
    assert follow(guide, tmp_path, without="docker") == 1
    assert guide.elsewhere == ["kubectl get pods"]
