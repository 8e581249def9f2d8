"""What all resources have in common: names, descriptions, metadata."""

from datetime import UTC, datetime

import pytest

from moorage.domain.errors import InvalidInput
from moorage.domain.links import parse_link
from moorage.domain.resources import (
    Kind,
    ResourceRecord,
    is_protected,
    parse_description,
    parse_name,
    parse_tags,
    reject_unknown,
)

NOW = datetime(2026, 1, 1, tzinfo=UTC)
NAMES = {Kind.USER: "jane@example.com", Kind.IDENTITY: "apps/web", Kind.IMAGE: "app:v1", Kind.ORG: "acme"}


@pytest.mark.parametrize("kind", Kind)
def test_a_record_knows_its_link(kind: Kind) -> None:
    record = ResourceRecord(kind, "acme", NAMES.get(kind, "thing"), "id", 1, NOW, NOW)
    link = parse_link(record.link, "acme")
    assert (link.kind, link.org, link.name) == (kind, "acme", record.name)
    assert Kind.parse(kind.value) is kind


@pytest.mark.parametrize("value", ["Image", "", "images", None, 1, ["image"], {"kind": "image"}])
def test_an_unknown_kind_is_refused(value: object) -> None:
    with pytest.raises(InvalidInput, match="targetKind is one of image, policy, org"):
        Kind.parse(value, "targetKind")


@pytest.mark.parametrize(
    ("kind", "sent", "name"),
    [
        (Kind.GROUP, "ops", "ops"),
        (Kind.GROUP, "a" * 64, "a" * 64),
        (Kind.USER, "Jane@Example.com", "jane@example.com"),
        (Kind.IDENTITY, "apps/web", "apps/web"),
    ],
)
def test_it_names_a_resource(kind: Kind, sent: str, name: str) -> None:
    assert parse_name(kind, sent) == name


@pytest.mark.parametrize(
    ("kind", "sent"),
    [
        (Kind.GROUP, None),
        (Kind.GROUP, 5),
        (Kind.GROUP, ["ops"]),
        (Kind.GROUP, ""),
        (Kind.GROUP, "Ops"),
        (Kind.GROUP, "-query"),
        (Kind.GROUP, "a" * 65),
        (Kind.GROUP, "o\u0440s"),
        (Kind.GROUP, "jane@example.com"),
        (Kind.USER, "jane"),
        (Kind.IDENTITY, "web"),
        (Kind.IDENTITY, "apps/"),
        (Kind.IDENTITY, "/web"),
        (Kind.IDENTITY, "apps/web/x"),
    ],
)
def test_it_names_no_resource(kind: Kind, sent: object) -> None:
    with pytest.raises(InvalidInput):
        parse_name(kind, sent)


def test_a_description_is_up_to_250_characters_of_text() -> None:
    assert parse_description(None) == ""
    for text in ("", "\u00e9" * 250, "two\nlines"):
        assert parse_description(text) == text
    for wrong in ("x" * 251, 5, ["x"], "a\0b", "a\x1b[31m", "\u202eevil", "\ud800"):
        with pytest.raises(InvalidInput, match="description"):
            parse_description(wrong)


def test_metadata_is_strings_numbers_and_booleans() -> None:
    tags = {
        "env": "prod",
        "a/b.c:d": "",
        "n": 5,
        "r": 1.5,
        "on": True,
        "\u00e9": "\u00e9" * 256,
        "k" * 128: -1,
    }
    assert parse_tags(tags) == tags
    assert parse_tags(None) == {}
    assert len(parse_tags({str(number): number for number in range(50)})) == 50


@pytest.mark.parametrize(
    "tags",
    [
        "env=prod",
        ["env"],
        5,
        {str(number): number for number in range(51)},
        {"": 1},
        {"k" * 129: 1},
        {5: 1},
        {" env": 1},
        {"env\n": 1},
        {"e\u200bnv": 1},
        {"e\u0301": 1},
        {"env": None},
        {"env": ["prod"]},
        {"env": {"a": 1}},
        {"env": "x" * 257},
        {"env": "a\0b"},
        {"env": "\ud800"},
        {"n": 2**53},
        {"n": -(10**400)},
        {"n": float("nan")},
        {"n": float("inf")},
    ],
)
def test_other_metadata_is_refused(tags: object) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_tags(tags)
    assert len(caught.value.message) < 500


@pytest.mark.parametrize(
    ("tags", "protected"),
    [
        ({}, False),
        ({"protected": True}, True),
        ({"protected": "true"}, True),
        ({"x/protected": True}, True),
        ({"protected": False}, False),
        ({"protected": 1}, False),
        ({"protected": "no"}, False),
        ({"unprotected": True}, False),
        ({"protected/x": True}, False),
    ],
)
def test_a_tag_protects(tags: dict[str, str | bool | int], protected: bool) -> None:
    assert is_protected(tags) == protected


def test_unknown_fields_are_named_and_so_are_the_known() -> None:
    reject_unknown(["a"], ["a", "b"], "it")
    with pytest.raises(InvalidInput, match="it has no field 'c', 'd', 'e'; it has a, b"):
        reject_unknown(["c", "a", "d", "e", "f"], ["a", "b"], "it")
    with pytest.raises(InvalidInput) as caught:
        reject_unknown(["x" * 10_000, 5], ["a"], "it")
    assert len(caught.value.message) < 200
