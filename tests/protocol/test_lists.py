"""Lists of tags and of referrers: every one of them, once, whatever the pages."""

import json
import re
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from moorage.domain.manifests import OCI_INDEX, OCI_MANIFEST
from moorage.services.manifests import MAX_TAGS_PER_PAGE
from moorage.services.referrers import MAX_PAGE_SIZE
from tests.protocol.sample import (
    ABSENT,
    ABSENT_LONG,
    DIGEST,
    IMAGE,
    IMAGE_DIGEST,
    IMAGE_LONG,
    LONG,
    NAME,
    descriptor,
    fill,
    image,
    index,
    push_blob,
    push_manifest,
    require_error,
    require_success,
    sha256,
    sha512,
    subject_of,
)
from tests.protocol.world import registry_in_memory

TAGS = f"/v2/{NAME}/tags/list"
REFERRERS = f"/v2/{NAME}/referrers"


@pytest.fixture
def headers(world):
    headers = world.all_of("demo/admin", NAME, "demo/none")
    fill(world, headers)
    return headers


def following(response):
    """Where ``Link`` leads, or None."""
    link = response.headers.get("Link")
    if link is None:
        return None
    match = re.fullmatch(r'<([^<>]+)>; rel="next"', link)
    assert match, link
    assert match[1].startswith("/v2/")
    return match[1]


def pages(world, headers, url):
    while url is not None:
        response = world.registry.get(url, headers=headers)
        require_success(response, 200)
        yield response
        url = following(response)


# ------------------------------------------------------------------ tags
def tag_all(world, headers, tags):
    push_blob(world, headers)
    for start in range(0, len(tags), 40):
        query = "&".join(f"tag={tag}" for tag in tags[start : start + 40])
        assert (
            world.registry.put(
                f"/v2/{NAME}/manifests/{IMAGE_DIGEST}?{query}", headers=headers, content=IMAGE
            ).status_code
            == 201
        )


tag_sets = st.sets(st.from_regex(r"[a-zA-Z0-9_][a-zA-Z0-9._-]{0,3}", fullmatch=True), min_size=1, max_size=12)


@settings(max_examples=25)
@given(tag_sets, st.integers(1, 14))
def test_pages_of_any_length_visit_each_tag_once_in_order(tags, limit):
    with registry_in_memory() as world:
        headers = world.all_of("demo/admin", NAME)
        tag_all(world, headers, sorted(tags))
        answers = list(pages(world, headers, f"{TAGS}?n={limit}"))
        visited = [tag for answer in answers for tag in answer.json()["tags"]]
        assert visited == sorted(tags)
        assert all(len(answer.json()["tags"]) == limit for answer in answers[:-1])
        assert len(answers) == -(-len(tags) // limit)
        for answer in answers:
            assert answer.json()["name"] == NAME
        assert world.registry.get(TAGS, headers=headers).json()["tags"] == sorted(tags)


@settings(max_examples=25)
@given(tag_sets, st.text(st.characters(codec="utf-8"), max_size=5), st.none() | st.integers(0, 5))
def test_after_any_text_come_the_tags_that_are_greater(tags, last, limit):
    with registry_in_memory() as world:
        headers = world.all_of("demo/admin", NAME)
        tag_all(world, headers, sorted(tags))
        query = {"last": last} | ({} if limit is None else {"n": str(limit)})
        answer = world.registry.get(TAGS, params=query, headers=headers)
        require_success(answer, 200)
        # In the order of bytes, as the specification says; an empty `last` is none.
        wanted = [tag for tag in sorted(tags) if tag.encode() > last.encode()]
        assert answer.json()["tags"] == wanted[:limit]
        assert (following(answer) is not None) == (limit not in (None, 0) and len(wanted) > limit)


def test_every_tag_may_disappear_between_two_pages(world, headers):
    tag_all(world, headers, [f"t{number}" for number in range(6)])
    first = world.registry.get(f"{TAGS}?n=2", headers=headers)
    assert world.registry.delete(f"/v2/{NAME}/manifests/t1", headers=headers).status_code == 202
    assert world.registry.get(following(first), headers=headers).json()["tags"] == ["t2", "t3"]


@pytest.mark.parametrize(
    ("n", "tags", "more"),
    [
        ("0", [], False),
        ("00", [], False),
        ("1", ["v1"], True),
        ("2", ["v1", "v2"], False),
        ("3", ["v1", "v2"], False),
        ("0002", ["v1", "v2"], False),
        ("1000", ["v1", "v2"], False),
        ("1001", ["v1", "v2"], False),
        (str(10**12), ["v1", "v2"], False),
        ("9" * 8000, ["v1", "v2"], False),
        ("0" * 8000 + "1", ["v1"], True),
    ],
)
def test_a_number_of_tags(world, headers, n, tags, more):
    answer = world.registry.get(f"{TAGS}?n={n}", headers=headers)
    require_success(answer, 200)
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.json() == {"name": NAME, "tags": tags}
    assert (following(answer) is not None) == more


@pytest.mark.parametrize(
    "query",
    [
        "n=-1",
        "n=-0",
        "n=%2B1",
        "n=1.0",
        "n=1e3",
        "n=x",
        "n=",
        "n=%20",
        "n=1%20",
        "n=0x10",
        "n=%D9%A3",
        "n=%C2%B2",
        "n=NaN",
        "n=1&n=2",
        "n=1_0",
        "n=%00",
        "n=" + "x" * 8000,
        "last=" + "a" * 129,
        "last=a&last=b",
    ],
)
def test_what_is_no_number_of_tags_is_refused(world, headers, query):
    require_error(world.registry.get(f"{TAGS}?{query}", headers=headers), 400, "UNSUPPORTED")


def test_more_tags_than_a_page_holds_are_listed_in_pages(world, headers):
    tags = sorted(f"t{number}" for number in range(MAX_TAGS_PER_PAGE + 10))
    tag_all(world, headers, tags)
    for query in ("", f"?n={MAX_TAGS_PER_PAGE + 5}", f"?n={10**12}"):
        first, second = pages(world, headers, TAGS + query)
        assert len(first.json()["tags"]) == MAX_TAGS_PER_PAGE
        assert first.json()["tags"] + second.json()["tags"] == [*tags, "v1", "v2"]


def test_a_repository_that_is_not_there_has_no_list_and_an_empty_one_has(world, headers):
    require_error(world.registry.get("/v2/demo/none/tags/list", headers=headers), 404, "NAME_UNKNOWN")
    require_error(world.registry.get("/v2/demo/none/tags/list?n=0", headers=headers), 404, "NAME_UNKNOWN")
    push_blob(world, headers, name="demo/none")
    answer = world.registry.get("/v2/demo/none/tags/list", headers=headers)
    assert answer.json() == {"name": "demo/none", "tags": []}
    past = world.registry.get(f"{TAGS}?last=zz", headers=headers)
    assert past.json() == {"name": NAME, "tags": []}


# ------------------------------------------------------------------ referrers
def referrer(subject, number=0, artifact_type=None, **annotations):
    more = {"artifactType": artifact_type} if artifact_type else {}
    return image(annotations={"number": str(number), **annotations}, **subject_of(subject), **more)


def listed(world, headers, url):
    """All descriptors, from all pages."""
    found = []
    for answer in pages(world, headers, url):
        assert answer.headers["Content-Type"] == OCI_INDEX
        document = answer.json()
        assert (document["schemaVersion"], document["mediaType"]) == (2, OCI_INDEX)
        found += document["manifests"]
    return found


@pytest.mark.parametrize("digest", [ABSENT, ABSENT_LONG, IMAGE_DIGEST, IMAGE_LONG, DIGEST, LONG])
@pytest.mark.parametrize("name", [NAME, "demo/none"])
def test_without_referrers_the_index_is_empty_and_never_404(world, headers, name, digest):
    answer = world.registry.get(f"/v2/{name}/referrers/{digest}", headers=headers)
    require_success(answer, 200)
    assert answer.headers["Content-Type"] == OCI_INDEX
    assert answer.json() == {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": []}
    assert "OCI-Filters-Applied" not in answer.headers
    assert "Link" not in answer.headers


@pytest.mark.parametrize("digest", ["sha256:bad", DIGEST[:-1], DIGEST.upper(), "sha1:" + "0" * 40, "v1"])
def test_referrers_of_a_bad_digest(world, headers, digest):
    require_error(world.registry.get(f"{REFERRERS}/{digest}", headers=headers), 400, "DIGEST_INVALID")


@pytest.mark.parametrize("by", [sha256, sha512])
def test_a_referrer_is_listed_with_all_that_a_client_needs(world, headers, by):
    content = referrer(IMAGE, 1, "application/vnd.example+json", key="välue", emoji="\U0001f600")
    push_manifest(world, headers, content, by(content))
    push_manifest(world, headers, content, "tagged-too") if by is sha256 else None
    assert listed(world, headers, f"{REFERRERS}/{IMAGE_DIGEST}") == [
        {
            "mediaType": OCI_MANIFEST,
            "digest": by(content),
            "size": len(content),
            "artifactType": "application/vnd.example+json",
            "annotations": {"number": "1", "key": "välue", "emoji": "\U0001f600"},
        }
    ]
    assert listed(world, headers, f"{REFERRERS}/{IMAGE_LONG}") == []


def test_an_index_can_refer_and_has_an_artifact_type_only_when_it_says_so(world, headers):
    plain, typed = index(IMAGE, **subject_of(IMAGE)), index(IMAGE, artifactType="a/b", **subject_of(IMAGE))
    for content in (plain, typed):
        push_manifest(world, headers, content)
    found = {item["digest"]: item for item in listed(world, headers, f"{REFERRERS}/{IMAGE_DIGEST}")}
    assert "artifactType" not in found[sha256(plain)]
    assert found[sha256(typed)]["artifactType"] == "a/b"


TYPES = [
    "application/vnd.a+json",
    "application/vnd.a",
    "application/vnd.a+json;x=#~",
    "ünï/cödé",
    "x" * 255,
    "a b",
]


def test_a_filter_lists_exactly_the_referrers_of_its_type(world, headers):
    for number, artifact_type in enumerate([*TYPES, None]):
        push_manifest(world, headers, referrer(IMAGE, number, artifact_type))
    for artifact_type in [*TYPES, "application/vnd.oci.image.config.v1+json"]:
        url = f"{REFERRERS}/{IMAGE_DIGEST}?artifactType={quote(artifact_type, safe='')}"
        answer = world.registry.get(url, headers=headers)
        assert answer.headers["OCI-Filters-Applied"] == "artifactType"
        assert [item["artifactType"] for item in answer.json()["manifests"]] == [artifact_type]
    none = world.registry.get(f"{REFERRERS}/{IMAGE_DIGEST}?artifactType=none/such", headers=headers)
    assert none.json()["manifests"] == []
    assert none.headers["OCI-Filters-Applied"] == "artifactType"
    everything = world.registry.get(f"{REFERRERS}/{IMAGE_DIGEST}?artifactType=", headers=headers)
    assert len(everything.json()["manifests"]) == len(TYPES) + 1
    assert "OCI-Filters-Applied" not in everything.headers


@pytest.mark.parametrize("count", [1, 3, 4, 7])
@pytest.mark.parametrize("artifact_type", [None, "a/b"])
def test_pages_of_referrers_visit_each_once(count, artifact_type):
    with registry_in_memory(page=3) as world:
        headers = world.all_of("demo/admin", NAME)
        fill(world, headers)
        wanted = set()
        for number in range(count):
            content = referrer(IMAGE, number, "a/b")
            push_manifest(world, headers, content)
            push_manifest(world, headers, referrer(IMAGE, number, "c/d"))
            wanted.add(sha256(content))
            if artifact_type is None:
                wanted.add(sha256(referrer(IMAGE, number, "c/d")))
        query = f"?artifactType={quote(artifact_type, safe='')}" if artifact_type else ""
        found = [item["digest"] for item in listed(world, headers, f"{REFERRERS}/{IMAGE_DIGEST}{query}")]
        assert len(found) == len(set(found)) == len(wanted)
        assert set(found) == wanted


def test_large_annotations_come_in_pages_that_fit_an_answer(world, headers):
    """Three megabytes of annotations each, in a script that escapes would make six times as long."""
    wanted = set()
    for number in range(3):
        content = json.dumps(
            json.loads(referrer(IMAGE, number, long="é" * 1_500_000)), ensure_ascii=False
        ).encode()
        assert push_manifest(world, headers, content).headers["OCI-Subject"] == IMAGE_DIGEST
        wanted.add(sha256(content))
    answers = list(pages(world, headers, f"{REFERRERS}/{IMAGE_DIGEST}"))
    assert {item["digest"] for answer in answers for item in answer.json()["manifests"]} == wanted
    # What the function answers is base64 inside JSON of at most 6 MiB.
    assert max(len(answer.content) for answer in answers) * 4 / 3 < 6 * 1024 * 1024


@pytest.mark.parametrize(
    "cursor",
    [
        "x",
        "%00",
        "%C3%A9",
        "AAAA",
        "fallback-",
        "fallback--1",
        "fallback-x",
        "fallback-9999999",
        "fallback-%D9%A3",
        "Li4vLi4v",
        "a" * 8000,
        "=",
        "fallback-1&next=fallback-2",
    ],
)
def test_a_page_that_nobody_was_given_is_refused(world, headers, cursor):
    push_manifest(world, headers, referrer(IMAGE))
    require_error(world.registry.get(f"{REFERRERS}/{IMAGE_DIGEST}?next={cursor}", headers=headers), 400)


def test_a_page_beyond_the_end_is_empty(world, headers):
    answer = world.registry.get(f"{REFERRERS}/{IMAGE_DIGEST}?next=fallback-999999", headers=headers)
    assert answer.json()["manifests"] == []


# ------------------------------------------------------------------ the fallback tag
def push_fallback(world, headers, *contents, subject=IMAGE_DIGEST, **changes):
    """An index as clients keep it for registries that do not list referrers."""
    items = [
        {
            **descriptor(sha256(content), len(content), OCI_MANIFEST),
            "annotations": {"from": "fallback"},
            **changes,
        }
        for content in contents
    ]
    content = json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": items}).encode()
    algorithm, _, encoded = subject.partition(":")
    tag = f"{algorithm}-{encoded[:64]}"
    push_manifest(world, headers, content, tag)


@pytest.mark.parametrize("subject", [IMAGE_DIGEST, ABSENT, ABSENT_LONG])
def test_what_was_pushed_under_the_fallback_tag_is_listed(world, headers, subject):
    old = image(annotations={"old": "signature"})
    push_manifest(world, headers, old)
    push_fallback(world, headers, old, subject=subject, artifactType="old/type")
    assert listed(world, headers, f"{REFERRERS}/{subject}") == [
        {
            "mediaType": OCI_MANIFEST,
            "digest": sha256(old),
            "size": len(old),
            "artifactType": "old/type",
            "annotations": {"from": "fallback"},
        }
    ]
    assert listed(world, headers, f"{REFERRERS}/{sha256(b'another')}") == []


def test_a_referrer_that_is_also_under_the_fallback_tag_is_listed_once(world, headers):
    new, old = referrer(IMAGE, 1), image(annotations={"old": "signature"})
    for content in (new, old):
        push_manifest(world, headers, content)
    push_fallback(world, headers, new, old)
    found = [item["digest"] for item in listed(world, headers, f"{REFERRERS}/{IMAGE_DIGEST}")]
    assert sorted(found) == sorted([sha256(new), sha256(old)])


def test_the_filter_counts_under_the_fallback_tag_too(world, headers):
    old = image(annotations={"old": "signature"}, artifactType="old/type")
    push_manifest(world, headers, old)
    push_fallback(world, headers, old)
    typed = f"{REFERRERS}/{IMAGE_DIGEST}?artifactType=old%2Ftype"
    assert [item["digest"] for item in listed(world, headers, typed)] == [sha256(old)]
    assert listed(world, headers, f"{REFERRERS}/{IMAGE_DIGEST}?artifactType=a%2Fb") == []


def test_what_was_deleted_is_not_listed_from_under_the_fallback_tag(world, headers):
    old = image(annotations={"old": "signature"})
    push_manifest(world, headers, old)
    push_fallback(world, headers, old)
    assert world.registry.delete(f"/v2/{NAME}/manifests/{sha256(old)}", headers=headers).status_code == 202
    assert listed(world, headers, f"{REFERRERS}/{IMAGE_DIGEST}") == []


def test_an_image_under_the_fallback_tag_is_no_list(world, headers):
    push_manifest(world, headers, IMAGE, IMAGE_DIGEST.replace(":", "-"))
    assert listed(world, headers, f"{REFERRERS}/{IMAGE_DIGEST}") == []


def test_a_long_fallback_list_comes_in_pages_and_whole(world, headers):
    olds = [image(annotations={"old": str(number)}) for number in range(230)]
    for content in olds:
        push_manifest(world, headers, content)
    push_fallback(world, headers, *olds, annotations={"long": "x" * 15_000})
    for number in range(2):
        push_manifest(world, headers, referrer(IMAGE, number))
    url = f"{REFERRERS}/{IMAGE_DIGEST}"
    answers = list(pages(world, headers, url))
    assert len(answers) > 1
    assert max(len(answer.content) for answer in answers) <= MAX_PAGE_SIZE + 200_000
    found = [item["digest"] for answer in answers for item in answer.json()["manifests"]]
    assert len(found) == len(set(found)) == 232
    assert set(map(sha256, olds)) < set(found)
