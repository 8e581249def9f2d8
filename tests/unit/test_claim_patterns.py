"""Claim patterns: what they fit, what they never fit, and how long that takes to find out."""

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage.domain.claim_patterns import Glob, parse_claim_patterns
from moorage.domain.errors import InvalidInput

MAIN = "repo:acme/*:ref:refs/heads/main"


@pytest.mark.parametrize(
    ("pattern", "value", "fits"),
    [
        (MAIN, "repo:acme/app:ref:refs/heads/main", True),
        (MAIN, "repo:acme/app:ref:refs/heads/main2", False),
        (MAIN, "repo:acme/:ref:refs/heads/main", True),
        (MAIN, "repo:acme2/app:ref:refs/heads/main", False),
        (MAIN, "repo:ACME/app:ref:refs/heads/main", False),
        # A wildcard ends at a separator, so that no part of a claim can stand in for the next one.
        (MAIN, "repo:acme/app:environment:x:ref:refs/heads/main", False),
        (MAIN, "repo:acme/app:ref:refs/heads/x:ref:refs/heads/main", False),
        ("repo:acme/**", "repo:acme/app:environment:x:ref:refs/heads/main", True),
        ("repo:acme/*", "repo:acme/app:pull_request", False),
        ("arn:aws:iam::111122223333:role/*", "arn:aws:iam::111122223333:role/build", True),
        ("arn:aws:iam::111122223333:role/*", "arn:aws:iam::111122223333:role/team/build", False),
        ("arn:aws:iam::*:role/build", "arn:aws:iam::1:2:role/build", False),
        ("system:serviceaccount:shop-*:*", "system:serviceaccount:shop-eu:web", True),
        ("a", "a", True),
        ("a", "", False),
        ("*", "", True),
        ("**", "a/b:c\n\0", True),
        ("***", "a/b", True),
        ("*", "a/b", False),
        ("*a*a*", "aa", True),
        ("*a*a*", "a", False),
        (".*", "xx", False),
        ("[a]", "a", False),
        ("?", "a", False),
        ("a\\*", "a\\b", True),
        ("**", "x" * 2048, True),
        ("**", "x" * 2049, False),
    ],
)
def test_a_pattern_fits(pattern: str, value: str, fits: bool) -> None:
    assert Glob.parse(pattern).matches(value) is fits


@given(
    st.lists(st.sampled_from(["*", "**", "a", "b", "/", ":", "ab", ".", "é"]), min_size=1, max_size=8).map(
        "".join
    ),
    st.text("ab/:.é", max_size=12),
)
def test_a_pattern_fits_what_its_regular_expression_fits(pattern: str, value: str) -> None:
    expression = "".join(
        "(?s:.*)" if piece.startswith("**") else "[^/:]*" if piece == "*" else re.escape(piece)
        for piece in re.findall(r"\*+|[^*]", pattern)
    )
    assert Glob.parse(pattern).matches(value) == bool(re.fullmatch(expression, value))


def test_the_worst_pattern_takes_one_step_for_each_character() -> None:
    worst = Glob.parse("**a" * 85 + "b")
    started = time.process_time()
    for _ in range(10):
        assert not worst.matches("a" * 2048)
    assert time.process_time() - started < 1.0


CLAIMS = {
    "sub": "system:serviceaccount:shop:web",
    "kubernetes.io": {"namespace": "shop", "serviceaccount": {"name": "web", "uid": "1-2"}},
    "https://sts.amazonaws.com/": {"aws_account": "111122223333", "ou_path": ["o-1/r-1/ou-1/"]},
    "groups": ["a", "b"],
    "number": 7,
    "real": 7.0,
    "yes": True,
    "nothing": None,
    "many": ["x"] * 100 + ["y"],
    "huge": 10**4000,
}


@pytest.mark.parametrize(
    ("wanted", "fits"),
    [
        ({"sub": "system:serviceaccount:shop:*"}, True),
        ({"sub": ["x", "system:serviceaccount:shop:web"]}, True),
        ({"sub": ["x", "y"]}, False),
        ({"sub": "**", "missing": "**"}, False),
        ({"kubernetes.io": {"namespace": "shop"}}, True),
        ({"kubernetes.io": {"namespace": "shop", "serviceaccount": {"name": "web"}}}, True),
        ({"kubernetes.io": {"namespace": "shop", "serviceaccount": {"name": "db"}}}, False),
        ({"kubernetes.io": {"namespace": {"deeper": "**"}}}, False),
        ({"kubernetes.io": "**"}, False),
        ({"https://sts.amazonaws.com/": {"aws_account": "111122223333"}}, True),
        ({"https://sts.amazonaws.com/": {"ou_path": "o-1/r-1/**"}}, True),
        ({"groups": "b"}, True),
        ({"groups": "c"}, False),
        ({"groups": {"0": "a"}}, False),
        ({"number": "7"}, True),
        ({"real": "7*"}, False),
        ({"yes": "true"}, True),
        ({"yes": "1"}, False),
        ({"nothing": "**"}, False),
        ({"many": "x"}, False),
        ({"huge": "**"}, False),
    ],
)
def test_a_claim_fits(wanted: dict[str, object], fits: bool) -> None:
    assert all(pattern.matches(CLAIMS) for pattern in parse_claim_patterns(wanted)) is fits


@pytest.mark.parametrize(
    "claims",
    [
        None,
        [],
        "sub",
        {"sub": None},
        {"sub": 1},
        {"sub": ""},
        {"sub": "x" * 257},
        {"sub": []},
        {"sub": [[]]},
        {"sub": ["x"] * 21},
        {"": "x"},
        {1: "x"},
        {"n" * 129: "x"},
        {"a": {}},
        {"a": {"b": {"c": {"d": {"e": "x"}}}}},
        {f"c{number}": "x" for number in range(21)},
        {"iss": "x"},
        {"aud": "x"},
        {"exp": "1"},
        {"iat": "1"},
        {"nbf": "1"},
    ],
)
def test_patterns_of_another_form_are_refused(claims: object) -> None:
    with pytest.raises(InvalidInput):
        parse_claim_patterns(claims)
