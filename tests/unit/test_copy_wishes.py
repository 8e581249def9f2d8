"""What a request for a copy may say."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage.domain.copy_wishes import ALL_TAGS, CopyWish, parse_idempotency_key
from moorage.domain.errors import InvalidInput, NameInvalid, TagInvalid
from moorage.domain.links import ImageReference
from moorage.domain.names import Repository

SOURCE = Repository("demo", "app")
DIGEST = "sha256:" + "ab" * 32


def test_only_the_organisation_has_to_be_given() -> None:
    wish = CopyWish.parse({"destinationOrg": "prod"})
    assert wish == CopyWish("prod")
    assert (wish.referrers, wish.replace_tag, wish.tag_pattern) == (True, False, None)
    assert wish.destination(SOURCE) == Repository("prod", "app")


def test_all_that_can_be_said_is_understood() -> None:
    body = {
        "destinationOrg": "prod",
        "destinationName": "team/app",
        "destinationTag": "v2",
        "referrers": False,
        "replaceTag": True,
        "allTags": None,
        "tagPattern": None,
    }
    wish = CopyWish.parse(body)
    assert wish == CopyWish("prod", "team/app", "v2", referrers=False, replace_tag=True)
    assert wish.destination(SOURCE) == Repository("prod", "team/app")


def test_many_tags_are_those_that_match() -> None:
    assert CopyWish.parse({"destinationOrg": "prod", "allTags": True}).tag_pattern == ALL_TAGS
    wish = CopyWish.parse({"destinationOrg": "prod", "tagPattern": "v1.?"})
    assert [wish.selects(tag) for tag in ("v1.0", "v1.10", "v1x0", "xv1.0")] == [True, False, False, False]
    assert not CopyWish("prod").selects("v1")


@pytest.mark.parametrize(
    ("body", "error", "says"),
    [
        ({}, InvalidInput, "destinationOrg"),
        ({"destinationOrg": None}, InvalidInput, "destinationOrg"),
        ({"destinationOrg": 7}, InvalidInput, "destinationOrg is a string"),
        ({"destinationOrg": "Prod"}, NameInvalid, "organisation name"),
        ({"destinationOrg": "prod", "destinationName": "App"}, NameInvalid, "image name"),
        ({"destinationOrg": "prod", "destinationName": "../app"}, NameInvalid, "image name"),
        ({"destinationOrg": "prod", "destinationName": ""}, NameInvalid, "image name"),
        ({"destinationOrg": "prod", "destinationTag": ""}, TagInvalid, "a tag has"),
        ({"destinationOrg": "prod", "destinationTag": "a b"}, TagInvalid, "a tag has"),
        ({"destinationOrg": "prod", "destinationTag": DIGEST}, TagInvalid, "a tag has"),
        ({"destinationOrg": "prod", "referrers": "yes"}, InvalidInput, "referrers is true or false"),
        ({"destinationOrg": "prod", "replaceTag": 1}, InvalidInput, "replaceTag is true or false"),
        ({"destinationOrg": "prod", "allTags": True, "tagPattern": "v*"}, InvalidInput, "one of them"),
        (
            {"destinationOrg": "prod", "allTags": True, "destinationTag": "v1"},
            InvalidInput,
            "keep their names",
        ),
        ({"destinationOrg": "prod", "tagPattern": "*", "destinationTag": "v1"}, InvalidInput, "keep their"),
        ({"destinationOrg": "prod", "tagPattern": ""}, InvalidInput, "tagPattern has"),
        ({"destinationOrg": "prod", "tagPattern": "[a]"}, InvalidInput, "tagPattern has"),
        ({"destinationOrg": "prod", "tagPattern": "v" * 129}, InvalidInput, "tagPattern has"),
        ({"destinationOrg": "prod", "replace": True}, InvalidInput, "has no field 'replace'"),
    ],
)
def test_what_is_malformed_is_refused_with_what_is_wrong(
    body: dict[str, Any], error: type[Exception], says: str
) -> None:
    with pytest.raises(error, match=says):
        CopyWish.parse(body)


def test_one_image_is_named_by_tag_or_digest_and_many_by_their_repository() -> None:
    one, many = CopyWish("prod"), CopyWish("prod", tag_pattern="v*")
    assert one.source("demo", "app") == ImageReference(SOURCE, "latest")
    assert one.source("demo", "app:v1") == ImageReference(SOURCE, "v1")
    assert str(one.source("demo", f"app@{DIGEST}").digest) == DIGEST
    assert many.source("demo", "app") == ImageReference(SOURCE, None)
    for text in ("app:v1", f"app@{DIGEST}", "App"):
        with pytest.raises(InvalidInput, match="without tag and digest"):
            many.source("demo", text)


VARIANTS = [
    ("app:v1", CopyWish("prod")),
    ("app:v2", CopyWish("prod")),
    ("other:v1", CopyWish("prod")),
    (f"app@{DIGEST}", CopyWish("prod")),
    (f"app:v1@{DIGEST}", CopyWish("prod")),
    ("app:v1", CopyWish("test")),
    ("app:v1", CopyWish("prod", "renamed")),
    ("app:v1", CopyWish("prod", destination_tag="v9")),
    ("app:v1", CopyWish("prod", referrers=False)),
    ("app:v1", CopyWish("prod", replace_tag=True)),
    ("app", CopyWish("prod", tag_pattern="*")),
    ("app", CopyWish("prod", tag_pattern="v*")),
]


def test_the_fingerprint_is_the_same_for_the_same_request_only() -> None:
    prints = [wish.fingerprint(wish.source("demo", text)) for text, wish in VARIANTS]
    assert len(set(prints)) == len(VARIANTS)
    assert prints == [wish.fingerprint(wish.source("demo", text)) for text, wish in VARIANTS]
    assert all(len(each) == 64 for each in prints)
    # What is said and what goes without saying is the same.
    said = CopyWish("prod", "app", "v1")
    assert said.fingerprint(said.source("demo", "app:v1")) == prints[0]


@given(st.text(max_size=140))
def test_an_idempotency_key_is_visible_ascii(text: str) -> None:
    fits = 1 <= len(text) <= 128 and all("!" <= each <= "~" for each in text)
    if fits:
        assert parse_idempotency_key(text) == text
    else:
        with pytest.raises(InvalidInput):
            parse_idempotency_key(text)


@pytest.mark.parametrize("text", ["", "a b", "a\n", "\x7f", "é", "x" * 129])
def test_other_keys_are_refused(text: str) -> None:
    with pytest.raises(InvalidInput):
        parse_idempotency_key(text)
    assert parse_idempotency_key("x" * 128) == "x" * 128
