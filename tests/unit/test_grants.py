"""Scopes: what a client asks for, however it spells it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage.domain.addresses import Address
from moorage.domain.errors import NameInvalid
from moorage.domain.grants import REQUIRED_PERMISSION, Action, format_scope, parse_scopes
from moorage.domain.names import Repository
from moorage.domain.permissions import Permission

APP, OTHER = Repository("demo", "app"), Repository("demo", "other")
PULL, PUSH, DELETE = Action.PULL, Action.PUSH, Action.DELETE
ALL = frozenset(Action)
HOST = Address("registry.example")


@pytest.mark.parametrize(
    ("scopes", "asked"),
    [
        ([], {}),
        ([""], {}),
        (["repository:demo/app:pull"], {APP: {PULL}}),
        (["repository:demo/app:pull,push"], {APP: {PULL, PUSH}}),
        (["repository:demo/app:push,pull"], {APP: {PULL, PUSH}}),
        (["repository:demo/app:pull,pull"], {APP: {PULL}}),
        (["repository:demo/app:pull", "repository:demo/app:push"], {APP: {PULL, PUSH}}),
        (["repository:demo/app:pull", "repository:demo/other:push"], {APP: {PULL}, OTHER: {PUSH}}),
        (["repository:demo/app:delete", "repository:demo/app:pull,push"], {APP: ALL}),
        (["repository:demo/app:*"], {APP: ALL}),
        (["repository:demo/app:pull,*"], {APP: ALL}),
        (["repository:demo/app:*", "repository:demo/app:pull"], {APP: ALL}),
        (["repository:demo/app:"], {APP: set()}),
        (["repository:demo/app:*pull"], {APP: set()}),
        (["repository:demo/app:PULL"], {APP: set()}),
        (["repository:demo/app: pull"], {APP: set()}),
        (["repository:demo/app:admin,pull"], {APP: {PULL}}),
        (["repository:demo/app"], {}),
        (["repository:demo/app,pull"], {}),
        (["repository::pull"], {}),
        (["repository:demo:pull"], {}),
        (["repository:Demo/App:pull"], {}),
        (["repository:demo/../app:pull"], {}),
        (["repository:demo/app%2f:pull"], {}),
        (["repository:*:pull"], {}),
        (["repository:demo/*:pull"], {}),
        (["repository:demo/app:pull:push"], {}),
        (["repository:registry.example:443/demo/app:pull"], {}),
        (["Repository:demo/app:pull"], {}),
        (["repository(plugin):demo/app:pull"], {}),
        (["registry:catalog:*"], {}),
        (["aws"], {}),
        ([":::", "a:b:c", "\0", "repository:demo/app\n:pull"], {}),
    ],
)
def test_scopes_ask_for(scopes: list[str], asked: dict[Repository, set[Action]]) -> None:
    assert parse_scopes(scopes, HOST) == asked


scopes = st.lists(
    st.one_of(
        st.text(max_size=20),
        st.builds(
            "repository:{}:{}".format,
            st.sampled_from(["demo/app", "demo/other", "Demo/app", "demo", ""]),
            st.lists(st.sampled_from(["pull", "push", "delete", "*", "x", ""]), max_size=3).map(",".join),
        ),
    ),
    max_size=6,
)


@given(scopes, st.randoms())
def test_the_order_of_scopes_and_their_repetition_change_nothing(texts: list[str], random: object) -> None:
    shuffled = texts * 2
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert parse_scopes(shuffled, HOST) == parse_scopes(texts, HOST)


@given(scopes, scopes)
def test_more_scopes_never_ask_for_less(some: list[str], more: list[str]) -> None:
    fewer, all_of_them = parse_scopes(some, HOST), parse_scopes([*some, *more], HOST)
    assert all(actions <= all_of_them[repository] for repository, actions in fewer.items())


@given(st.sets(st.sampled_from(Action), min_size=1))
def test_a_scope_that_is_challenged_is_understood_when_it_is_asked_for(actions: set[Action]) -> None:
    assert parse_scopes([format_scope("demo/app", actions)], HOST) == {APP: actions}


def test_scopes_are_written_as_docker_does() -> None:
    assert format_scope("demo/app", [PUSH, PULL]) == "repository:demo/app:pull,push"
    assert format_scope("demo/app", Action) == "repository:demo/app:pull,push,delete"


def test_each_action_needs_a_permission_of_its_own() -> None:
    assert REQUIRED_PERMISSION == {
        PULL: Permission.PULL,
        PUSH: Permission.CREATE,
        DELETE: Permission.DELETE,
    }


@pytest.mark.parametrize(
    ("host", "organisation"),
    [
        ("demo.registry.example", "demo"),
        ("demo.registry.example:5000", "demo"),
        ("DEMO.Registry.Example", "demo"),
        ("registry.example", None),
        ("registry.example:443", None),
        ("demoregistry.example", None),
        ("demo.registry.example.evil.example", None),
        ("[::1]:5000", None),
        ("127.0.0.1", None),
    ],
)
def test_an_organisation_has_a_host_below_the_domain(host: str, organisation: str | None) -> None:
    address = Address.parse(host, "registry.example")
    assert (address.host, address.organisation) == (host, organisation)
    assert Address.parse(host, None).organisation is None
    name = "demo/app" if organisation is None else "app"
    assert address.repository(name) == APP
    assert address.name_of(APP) == name
    assert parse_scopes([f"repository:{name}:pull"], address) == {APP: {PULL}}


@pytest.mark.parametrize(
    "host", ["a.b.registry.example", ".registry.example", "d.registry.example", "-x.registry.example"]
)
def test_no_other_host_below_the_domain_is_one(host: str) -> None:
    with pytest.raises(NameInvalid):
        Address.parse(host, "registry.example")


def test_the_host_of_an_organisation_has_no_names_for_another() -> None:
    address = Address.parse("demo.registry.example", "registry.example")
    assert address.repository("other/app") == Repository("demo", "other/app")
    with pytest.raises(NameInvalid):
        address.name_of(Repository("other", "app"))
