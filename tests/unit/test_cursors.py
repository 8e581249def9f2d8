"""Where lists go on: texts that tell nothing, that nobody makes, and that lead nowhere else."""

from __future__ import annotations

import base64
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage.adapters.sealing import AesSivSeal
from moorage.domain.errors import QueryInvalid, Unavailable
from moorage.services.cursors import CURSOR_MAX, Cursors
from tests.protocol.management.world import Bootstrap
from tests.protocol.world import Clock

LONGEST = ["r" * 255, "t" * 128, "2026-03-04T05:06:07.891234+00:00", 10**9]
PARTS = [["name"], ["prod/web"], ["team/app", "v1", None, 17], ["ü@x"], LONGEST]


def make(bootstrap: Bootstrap | None = None, clock: Clock | None = None) -> Cursors:
    return Cursors(bootstrap or Bootstrap(), AesSivSeal(), clock or Clock())


@pytest.mark.parametrize("parts", PARTS)
def test_a_cursor_is_read_as_it_was_written_by_whichever_environment(parts: list[str | int | None]) -> None:
    text = make().write("demo", "list", parts)
    assert make().read(text, "demo", "list") == parts
    assert len(text) <= CURSOR_MAX
    assert set(text) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_")


@given(st.binary(min_size=1, max_size=64), st.text(max_size=100))
def test_a_cursor_tells_nothing_but_that_it_is_one(key: bytes, name: str) -> None:
    texts = {make(Bootstrap(key.hex())).write("demo", "list", [each]) for each in ("x", name)}
    assert len({len(text) for text in texts}) == 1
    assert len(texts) == len({"x", name})


def test_a_cursor_of_another_list_or_organisation_is_refused() -> None:
    text = make().write("demo", "list", ["name"])
    for org, of in [
        ("demo", "another list"),
        ("acme", "list"),
        ("demo", ""),
        ("demolist", ""),
        ("", "demolist"),
    ]:
        with pytest.raises(QueryInvalid):
            make().read(text, org, of)


def test_a_cursor_under_another_key_is_refused() -> None:
    text = make(Bootstrap("a" * 64)).write("demo", "list", ["name"])
    with pytest.raises(QueryInvalid):
        make(Bootstrap("b" * 64)).read(text, "demo", "list")


WRITTEN = make().write("demo", "list", ["name"])


@pytest.mark.parametrize(
    "text",
    [
        "=",
        "!",
        "é",
        "a" * 5000,
        "a" * CURSOR_MAX,
        "e30",
        "bnVsbA",
        base64.urlsafe_b64encode(b'["name"]').decode(),
        WRITTEN + "=",
        WRITTEN[:-2],
        WRITTEN[:-1] + ("a" if WRITTEN[-1] != "a" else "b"),
        " " + WRITTEN,
        WRITTEN + WRITTEN,
        "\ud800",
    ],
)
def test_what_is_no_cursor_is_refused(text: str) -> None:
    with pytest.raises(QueryInvalid):
        make().read(text, "demo", "list")


@given(
    st.text(max_size=200) | st.binary(max_size=300).map(lambda each: base64.urlsafe_b64encode(each).decode())
)
def test_whatever_was_not_written_here_is_refused(text: str) -> None:
    with pytest.raises(QueryInvalid):
        make().read(text, "demo", "list")


@given(st.integers(0, len(WRITTEN) - 1), st.sampled_from("Ab0_-"))
def test_one_other_character_is_enough(place: int, character: str) -> None:
    changed = WRITTEN[:place] + character + WRITTEN[place + 1 :]
    if changed != WRITTEN:
        with pytest.raises(QueryInvalid):
            make().read(changed, "demo", "list")


def test_a_new_credential_counts_after_five_minutes() -> None:
    bootstrap, clock = Bootstrap(), Clock()
    cursors = make(bootstrap, clock)
    text = cursors.write("demo", "list", ["name"])
    bootstrap.sha256 = "c" * 64
    clock.advance(timedelta(minutes=4))
    assert cursors.read(text, "demo", "list") == ["name"]
    clock.advance(timedelta(minutes=1))
    with pytest.raises(QueryInvalid):
        cursors.read(text, "demo", "list")


def test_without_a_credential_there_is_no_key() -> None:
    cursors = make(Bootstrap(None))
    with pytest.raises(Unavailable):
        cursors.write("demo", "list", ["name"])
    with pytest.raises(Unavailable):
        cursors.read(WRITTEN, "demo", "list")
