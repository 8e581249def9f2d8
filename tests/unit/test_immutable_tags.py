"""Rules of tags that stay: what a pattern describes, and that no pattern is much work."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from moorage.domain.errors import InvalidInput
from moorage.domain.immutable_tags import ImmutableTags, is_glob_match

RULES = [
    {"repository": "prod/*", "tags": ["v*", "release-?"]},
    {"repository": "app", "tags": ["stable"]},
    {"repository": "*", "tags": ["pinned"]},
]


@pytest.mark.parametrize(
    ("repository", "tag", "stays"),
    [
        ("prod/app", "v1", True),
        ("prod/team/app", "v", True),
        ("prod/app", "release-1", True),
        ("prod/app", "release-10", False),
        ("prod/app", "V1", False),
        ("prod", "v1", False),
        ("preprod/app", "v1", False),
        ("app", "stable", True),
        ("app", "stable2", False),
        ("app2", "stable", False),
        ("anything/at/all", "pinned", True),
        ("anything", "unpinned", False),
    ],
)
def test_a_tag_stays(repository: str, tag: str, stays: bool) -> None:
    rules = ImmutableTags.parse(RULES)
    assert rules.is_immutable(repository, tag) == stays
    assert ImmutableTags.parse(rules.to_json()) == rules
    assert not ImmutableTags.parse(None).is_immutable(repository, tag)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("*", "list of at most 50"),
        ({"repository": "a", "tags": ["b"]}, "list of at most 50"),
        ([{"repository": "a", "tags": ["b"]}] * 51, "list of at most 50"),
        (["a"], r"immutableTags\[0\] is an object"),
        ([{"repository": "a"}], "1 to 50 patterns"),
        ([{"repository": "a", "tags": []}], "1 to 50 patterns"),
        ([{"repository": "a", "tags": "v*"}], "1 to 50 patterns"),
        ([{"repository": "a", "tags": ["v"] * 51}], "1 to 50 patterns"),
        ([{"tags": ["v"]}], r"immutableTags\[0\].repository"),
        ([{"repository": 1, "tags": ["v"]}], r"immutableTags\[0\].repository"),
        ([{"repository": "", "tags": ["v"]}], r"immutableTags\[0\].repository"),
        ([{"repository": "a" * 129, "tags": ["v"]}], r"immutableTags\[0\].repository"),
        ([{"repository": "a", "tags": ["v", None]}], r"immutableTags\[0\].tags\[1\]"),
        ([{"repository": "a", "tags": ["[v]"]}], r"immutableTags\[0\].tags\[0\]"),
        ([{"repository": "a", "tags": ["v\n"]}], r"immutableTags\[0\].tags\[0\]"),
        ([{"repository": "a", "tags": ["\u0475"]}], r"immutableTags\[0\].tags\[0\]"),
        ([{"repository": "a", "tags": ["v"], "tag": "x"}], "has no field 'tag'"),
    ],
)
def test_what_is_no_rule_is_refused(value: object, reason: str) -> None:
    with pytest.raises(InvalidInput, match=reason):
        ImmutableTags.parse(value)


@settings(max_examples=500)
@given(st.text("aab*?.", max_size=10), st.text("aab.", max_size=10))
def test_a_pattern_describes_what_the_expression_does(pattern: str, text: str) -> None:
    signs = {"*": ".*", "?": "."}
    expression = "".join(signs.get(sign, re.escape(sign)) for sign in pattern)
    assert is_glob_match(pattern, text) == bool(re.fullmatch(expression, text, re.DOTALL))


class Counted(str):  # noqa: SLOT000 - it counts in an attribute
    """A text that counts how often a character of it is looked at."""

    looks = 0

    def __getitem__(self, key):
        self.looks += 1
        return super().__getitem__(key)


@pytest.mark.parametrize("pattern", ["*a" * 64, "*" * 128, "*a*b" * 32, f"*{'a' * 127}", f"{'*a' * 63}*b"])
def test_no_pattern_explodes(pattern: str) -> None:
    text = Counted("a" * 128)
    is_glob_match(pattern, text)
    assert text.looks <= (len(pattern) + 1) * (len(text) + 1)
