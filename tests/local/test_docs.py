"""The page about the local cloud says what the code does."""

import pytest

from local import limits
from tests.running_cloud import ROOT

PAGE = (ROOT / "docs" / "local-cloud.md").read_text("utf-8")
REFUSALS = [value for value in vars(limits).values() if isinstance(value, limits.Refusal)]
PAGES = [value for value in vars(limits).values() if isinstance(value, limits.CdnRefusal)]


@pytest.mark.parametrize("refusal", REFUSALS, ids=str)
def test_every_refusal_stands_in_the_page(refusal):
    assert f"{refusal.status} `{refusal.message}`" in PAGE


@pytest.mark.parametrize("refusal", PAGES, ids=str)
def test_every_refusal_of_cloudfront_stands_in_the_page(refusal):
    assert f"| {refusal.status}, {refusal.message} |" in PAGE


@pytest.mark.parametrize("number", [value for name, value in vars(limits).items() if name.endswith("_BYTES")])
def test_every_size_stands_in_the_page(number):
    assert f"{number:,} bytes" in PAGE


def test_every_file_of_the_state_stands_in_the_page(local_cloud):
    known = {"lock", "dependencies", "packages", "custom-resources.json"}
    for entry in local_cloud.state.iterdir():
        name = f"{entry.name}/" if entry.is_dir() else entry.name
        assert f"`{name}`" in PAGE or entry.name in known
