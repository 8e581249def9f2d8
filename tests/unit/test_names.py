"""Organisations, repositories and tags, held against a matcher that was written by hand."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from moorage.domain.digests import Digest
from moorage.domain.errors import DigestInvalid, NameInvalid, TagInvalid
from moorage.domain.names import Repository, parse_organisation, parse_reference, parse_tag

LOWER = "abcdefghijklmnopqrstuvwxyz"
DIGITS = "0123456789"
# What names are made of, and what is next to it: most texts of these are nearly names.
NEARLY = st.text("aaz09..__--//AZ%\\~ \n\0é\u017f", max_size=24)


def is_organisation(text: str) -> bool:
    return (
        2 <= len(text) <= 64
        and text[0] in LOWER
        and text[-1] != "-"
        and all(character in LOWER + DIGITS + "-" for character in text)
    )


def is_component(text: str) -> bool:
    """Walk over the runs of letters and of separators, without a regular expression."""
    if not text or any(character not in LOWER + DIGITS + "._-" for character in text):
        return False
    runs: list[str] = []
    separator = False
    for character in text:
        if (character in "._-") != separator or not runs:
            separator = character in "._-"
            runs.append("")
        runs[-1] += character
    if runs[0][0] in "._-" or runs[-1][0] in "._-":
        return False
    return all(run in (".", "_", "__") or not run.strip("-") for run in runs if run[0] in "._-")


def is_repository(text: str) -> bool:
    if "/" not in text:
        return False
    org, image = text[: text.index("/")], text[text.index("/") + 1 :]
    return is_organisation(org) and len(image) <= 128 and all(is_component(part) for part in image.split("/"))


def parses(text: str) -> bool:
    try:
        repository = Repository.parse(text)
    except NameInvalid:
        return False
    assert repository.name == str(repository) == text
    return True


components = st.from_regex(r"[a-z0-9]{1,4}((\.|_|__|-{1,3})[a-z0-9]{1,3}){0,2}", fullmatch=True)
organisations = st.from_regex(r"[a-z][-a-z0-9]{0,5}[a-z0-9]", fullmatch=True)
repositories = st.builds(
    lambda org, parts: f"{org}/{'/'.join(parts)}", organisations, st.lists(components, min_size=1, max_size=4)
)


@given(NEARLY | st.text(max_size=20))
@example("ab/a")
@example("ab/a__b")
@example("ab/a___b")
@example("ab/a._b")
@example("ab/a---b")
@example("ab/a-.b")
@example("a-/b")
def test_exactly_what_the_grammar_says_is_a_repository(text: str) -> None:
    assert parses(text) == is_repository(text)


@given(repositories)
def test_repositories_of_the_grammar_are_taken(text: str) -> None:
    assert is_repository(text)
    assert parses(text)


@given(repositories, st.data())
def test_a_repository_with_one_strange_character_is_judged_alike(text: str, data: st.DataObject) -> None:
    where = data.draw(st.integers(0, len(text)))
    strange = data.draw(st.sampled_from("AZ%\\~ \n\r\t\0é\u017fK.._-/:@#?"))
    changed = text[:where] + strange + text[where:]
    assert parses(changed) == is_repository(changed)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "/",
        "demo",
        "demo/",
        "/app",
        "demo//app",
        "demo/app/",
        "demo/../app",
        "demo/..",
        "../demo/app",
        "demo/.",
        "demo/.app",
        "demo/app.",
        "demo/_direct",
        "demo/-app",
        "demo/app-",
        "demo/a___b",
        "demo/a..b",
        "demo/a.-b",
        "demo%2fapp",
        "demo/app%2fevil",
        "demo/app%00",
        "Demo/app",
        "demo/App",
        "demo/app\0",
        "demo/app\n",
        "demo/app\n/manifests",
        "demo/\u0430pp",
        "demo/\uff41\uff50\uff50",
        "demo/app/日本",
        "demo/app:v1",
        "demo/app@sha256",
        "demo\\app",
        "d/app",
        "1demo/app",
        "demo-/app",
        "d" * 65 + "/app",
        "demo/" + "a" * 129,
        "demo/" + "a" * 300,
        "a" * 300,
        "demo/" + "a/" * 100 + "a",
        "demo/" + "a-" * 60_000,
        "demo/" + "-" * 60_000,
    ],
)
def test_it_is_no_repository(text: str) -> None:
    assert not is_repository(text)
    with pytest.raises(NameInvalid) as caught:
        Repository.parse(text)
    assert len(caught.value.message) < 200


@pytest.mark.parametrize(
    "text",
    [
        "de/a",
        "demo/app",
        "d-e-m-o/app",
        "d--o/a",
        "d1/1",
        "demo/a.b_c__d-e---f",
        "demo/blobs/uploads",
        "demo/manifests/tags/list",
        "d" * 64 + "/" + "a" * 128,
    ],
)
def test_it_is_a_repository(text: str) -> None:
    assert parses(text)


@given(NEARLY)
@example("a" * 64)
@example("a" * 65)
@example("a\n")
def test_exactly_what_the_grammar_says_is_an_organisation(text: str) -> None:
    try:
        accepted = parse_organisation(text) == text
    except NameInvalid:
        accepted = False
    assert accepted == is_organisation(text)


def is_tag(text: str) -> bool:
    word = LOWER + LOWER.upper() + DIGITS + "_"
    return 1 <= len(text) <= 128 and text[0] in word and all(one in word + ".-" for one in text)


@given(st.text("aZ0_.-:/@ \n\0é", max_size=8))
@example("a" * 128)
@example("a" * 129)
@example("a" * 300)
@example("v1\n")
@example("..")
@example("\u0663")
def test_exactly_what_the_grammar_says_is_a_tag(text: str) -> None:
    try:
        accepted = parse_tag(text) == text
    except TagInvalid:
        accepted = False
    assert accepted == is_tag(text)


def test_a_reference_with_a_colon_is_a_digest_or_an_error_and_never_a_tag() -> None:
    digest = Digest.of(b"x")
    assert parse_reference(str(digest)) == digest
    assert parse_reference(digest.encoded) == digest.encoded
    assert parse_reference(f"sha256-{digest.encoded}") == f"sha256-{digest.encoded}"
    for text in ("v1:", ":", "sha256:baddigeststring", str(digest).upper()):
        with pytest.raises(DigestInvalid):
            parse_reference(text)
    with pytest.raises(TagInvalid):
        parse_reference("")
