"""Regular expressions: what they match, held against the standard library's, and how much work they can be."""

import random
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from moorage.domain.errors import InvalidInput
from moorage.domain.patterns import _REMEMBERED_MAX, INSTRUCTIONS_MAX, PATTERN_MAX, compile_pattern

atoms = st.sampled_from(
    [
        "a",
        "b",
        ".",
        "[ab]",
        "[^a]",
        "[a-c1-3]",
        "[]x]",
        "[a-]",
        r"\d",
        r"\D",
        r"\w",
        r"\W",
        r"\s",
        r"\S",
        r"[\d_]",
        r"[^\w]",
        r"\.",
        "^",
        "$",
        "-",
        "é",
        "",
    ]
)
expressions = st.recursive(
    atoms,
    lambda inner: st.one_of(
        st.tuples(inner, inner).map("".join),
        st.tuples(inner, inner).map(lambda pair: f"(?:{pair[0]}|{pair[1]})"),
        st.tuples(inner, inner).map("|".join).map(lambda either: f"({either})"),
        st.tuples(
            inner, st.sampled_from(["*", "+", "?", "{2}", "{0}", "{1,3}", "{0,2}", "{2,}", "*?", "+?"])
        ).map(lambda pair: f"({pair[0]}){pair[1]}"),
    ),
    max_leaves=8,
)


@settings(max_examples=500)
@given(expressions, st.text("aabbc1.-_é \n", max_size=8))
def test_it_finds_what_the_standard_library_finds(expression: str, text: str) -> None:
    # There, $ is also before a last line end.
    same = re.compile(expression.replace("$", r"\Z"), re.DOTALL | re.ASCII)
    assert compile_pattern(expression).found_in(text) == bool(same.search(text))


@pytest.mark.parametrize(
    ("expression", "text", "found"),
    [
        ("^team/", "team/app", True),
        ("^team/", "steam/app", False),
        ("app$", "team/app", True),
        ("app$", "app\n", False),
        ("team", "TEAM", False),
        ("^(dev|test)-[0-9]+$", "dev-12", True),
        ("^(dev|test)-[0-9]+$", "dev-12x", False),
        (r"^v\d+\.\d+$", "v1.20", True),
        (r"^v\d+\.\d+$", "v1x20", False),
        ("^$", "", True),
        ("^$", "a", False),
        ("a|", "zzz", True),
        ("", "", True),
        ("\\t\\n\\r", "\t\n\r", True),
        ("[\\]\\-a]+$", "]-a", True),
        ("\u0661", "1", False),
        (r"\d", "\u0661", False),
    ],
)
def test_it_means(expression: str, text: str, found: bool) -> None:
    assert compile_pattern(expression).found_in(text) == found


@pytest.mark.parametrize(
    ("expression", "reason"),
    [
        ("*a", "nothing to repeat"),
        ("(*a)", "nothing to repeat"),
        ("a|+", "nothing to repeat"),
        ("a**", "not repeated"),
        ("a{2}{2}", "not repeated"),
        ("(a", "not closed"),
        ("a)", "closes no group"),
        ("[a", "not closed"),
        ("[", "not closed"),
        ("[]", "not closed"),
        ("[z-a]", "smaller character"),
        ("[[:alpha:]]", "named classes"),
        ("\\", "no such escape"),
        (r"(a)\1", "no back-references"),
        (r"\b", "no such escape"),
        (r"\p{L}", "no such escape"),
        ("(?=a)", "only (?:"),
        ("(?<!a)", "only (?:"),
        ("(?i)a", "only (?:"),
        ("(?P<x>a)", "only (?:"),
        ("a{", "at most 100"),
        ("a{,2}", "at most 100"),
        ("a{101}", "at most 100"),
        ("a{99999999999999999999}", "at most 100"),
        ("a{2", "{n}, {n,} or {n,m}"),
        ("a{3,2}", "smaller number first"),
        ("(" * 31 + ")" * 31, "deep"),
        ("((a{100}){100}){100}", "too large"),
        ("(a{50}b{50}){50}", "too large"),
        ("a" * (PATTERN_MAX + 1), "at most 256 characters"),
    ],
)
def test_it_is_refused(expression: str, reason: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        compile_pattern(expression)
    assert reason in caught.value.message


@pytest.mark.parametrize(
    "expression",
    [
        "(a+)+$",
        "(a|a)*$",
        "(a|aa)+$",
        "(a*)*b",
        "(.*a){20}$",
        "a?" * 40 + "a" * 40 + "$",
        "(a|b|ab)*a(a|b){25}$",
        "^(([a-z])+.)+[A-Z]([a-z])+$",
        "(x+x+)+y",
        "((a?){20}){3}$",
    ],
)
def test_expressions_that_explode_elsewhere_take_a_bounded_number_of_steps(expression: str) -> None:
    compile_pattern.cache_clear()
    pattern = compile_pattern(expression)
    size, text = len(pattern.program), "ab" * 30 + "a" * 963 + "!"
    assert size <= INSTRUCTIONS_MAX
    pattern.found_in(text)
    # Four ways to go on without reading (at which ends of the text one stands), and a search.
    assert pattern.steps <= 4 * (size + 1) ** 2 + size * (len(text) + len(set(text)))


def test_many_searches_neither_cost_more_nor_remember_more_and_more() -> None:
    compile_pattern.cache_clear()
    pattern = compile_pattern("(a|b)*a(a|b){29}c")
    size, source = len(pattern.program), random.Random(1)
    for _ in range(100):
        text = "".join(source.choices("ab", k=128))
        before = pattern.steps
        assert not pattern.found_in(text)
        assert pattern.steps - before <= 4 * (size + 1) ** 2 + size * (len(text) + 2)
    assert len(pattern._followed) == _REMEMBERED_MAX
    # What is not remembered is worked out, to the same result.
    assert pattern.found_in("".join(source.choices("ab", k=100)) + "a" * 30 + "c")
