"""The claims of tokens: a promise between functions that are deployed one after the other."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage.domain.errors import TokenInvalid
from moorage.domain.grants import Action
from moorage.domain.names import Repository
from moorage.domain.tokens import REQUIRED_CLAIMS, TOKEN_LIFETIME, AccessToken, make_claims, parse_claims

NOW = datetime(2026, 5, 4, 3, 2, 1, tzinfo=UTC)
APP, OTHER = Repository("demo", "app"), Repository("demo", "other")
PULL, PUSH, DELETE = Action.PULL, Action.PUSH, Action.DELETE

# The exact text: a function of the next version has to read it, and one of this version has to write it.
WIRE = (
    '{"v": 1, "iss": "moorage", "aud": "moorage-registry", "sub": "/org/demo/serviceaccount/ci", '
    '"iat": 1777863721, "nbf": 1777863721, "exp": 1777864021, "jti": "0123", '
    '"granted": {"demo/app": ["pull", "push"]}, "refused": {"demo/app": ["delete"], "demo/other": ["pull"]}}'
)


def wire(**changes: Any) -> dict[str, Any]:
    claims: dict[str, Any] = json.loads(WIRE)
    return claims | changes


def test_the_claims_are_written_as_they_always_were() -> None:
    claims = make_claims(
        "/org/demo/serviceaccount/ci",
        granted={APP: frozenset({PUSH, PULL}), OTHER: frozenset()},
        refused={APP: frozenset({DELETE}), OTHER: frozenset({PULL})},
        now=NOW,
        token_id="0123",
    )
    assert json.dumps(claims) == WIRE


def test_the_key_that_a_token_was_made_with_is_in_it() -> None:
    claims = make_claims("/org/ab/x", granted={}, refused={}, now=NOW, token_id="i", key="abc")
    assert claims["key"] == "abc"
    assert parse_claims(claims, NOW).key == "abc"
    assert parse_claims(wire(), NOW).key is None


def test_the_claims_are_read_as_they_always_were() -> None:
    assert parse_claims(wire(), NOW) == AccessToken(
        "/org/demo/serviceaccount/ci",
        NOW + timedelta(minutes=5),
        {APP: frozenset({PULL, PUSH})},
        {APP: frozenset({DELETE}), OTHER: frozenset({PULL})},
    )
    assert timedelta(seconds=300) == TOKEN_LIFETIME
    assert set(REQUIRED_CLAIMS) == set(wire()) - {"jti"}


grants = st.dictionaries(
    st.builds(Repository, st.sampled_from(["ab", "cd"]), st.sampled_from(["x", "y/z", "a.b"])),
    st.frozensets(st.sampled_from(Action), min_size=1),
)


@given(grants, grants, st.integers(0, 299))
def test_what_is_granted_and_refused_arrives(granted: Any, refused: Any, seconds: int) -> None:
    claims = json.loads(
        json.dumps(make_claims("/org/ab/x", granted=granted, refused=refused, now=NOW, token_id="i"))
    )
    token = parse_claims(claims, NOW + timedelta(seconds=seconds))
    assert (token.granted, token.refused) == (granted, refused)
    for repository in (*granted, *refused, Repository("zz", "z")):
        for action in Action:
            assert token.allows(repository, action) == (action in granted.get(repository, ()))
            assert token.refuses(repository, action) == (action in refused.get(repository, ()))


@pytest.mark.parametrize(
    ("seconds", "valid"),
    [
        (-31, False),
        (-30, True),
        (0, True),
        (299, True),
        (299.999, True),
        (300, False),
        (301, False),
        (10**9, False),
    ],
)
def test_a_token_lives_from_half_a_minute_before_its_time_to_exactly_its_end(
    seconds: float, valid: bool
) -> None:
    moment = NOW + timedelta(seconds=seconds)
    if valid:
        assert parse_claims(wire(), moment).expires > moment
    else:
        with pytest.raises(TokenInvalid):
            parse_claims(wire(), moment)


@pytest.mark.parametrize(
    "changes",
    [
        {"v": 0},
        {"v": 2},
        {"v": "1"},
        {"v": None},
        {"v": [1]},
        {"iat": None},
        {"iat": "soon"},
        {"iat": [1]},
        {"iat": float("nan")},
        {"exp": float("inf")},
        {"exp": 10**30},
        {"exp": 1777863721 + 331},
        {"exp": 1777863721 + 10**8},
        {"exp": -(10**18)},
        {"exp": 0},
        {"nbf": 1777863721 + 31},
        {"iat": 1777863721 + 31},
        {"granted": None},
        {"granted": ["demo/app"]},
        {"granted": "demo/app"},
        {"granted": {"demo/app": ["admin"]}},
        {"granted": {"demo/app": [["pull"]]}},
        {"granted": {"demo/app": None}},
        {"granted": {"demo/app": 1}},
        {"granted": {"Demo/App": ["pull"]}},
        {"granted": {"*": ["pull"]}},
        {"granted": {"demo/app": {"PULL": True}}},
        {"refused": None},
        {"refused": {"demo": ["pull"]}},
        {"key": 5},
        {"key": ["abc"]},
    ],
)
def test_claims_of_another_form_or_time_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(TokenInvalid):
        parse_claims(wire(**changes), NOW)
