"""What the pages say of one another: their links lead somewhere, and examples for elsewhere are well formed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from moorage.domain.trust import is_identity_link
from tests.docs.page import DOCS

ROOT = DOCS.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md", *sorted(DOCS.rglob("*.md"))]
_CODE = re.compile(r"^```.*?^```$|`[^`\n]*`", re.MULTILINE | re.DOTALL)


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub gives the headings of a page."""
    headings = re.findall(r"^#+ (.+)$", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(ROOT)) for page in PAGES])
def test_links_between_pages_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", _CODE.sub("", page.read_text("utf-8"))):
        if target.startswith(("https://", "mailto:")):
            continue
        path, _, anchor = target.partition("#")
        other = page.parent / path if path else page
        assert other.exists(), target
        assert not anchor or anchor in anchors(other), target


@pytest.mark.parametrize("name", ["push.md", "pull.md", "identities.md"])
def test_examples_for_ci_and_kubernetes_are_yaml_and_name_identities_as_the_registry_does(name):
    examples = re.findall(r"^```yaml\n(.*?)^```$", (DOCS / name).read_text("utf-8"), re.MULTILINE | re.DOTALL)
    assert examples
    for example in examples:
        assert isinstance(yaml.safe_load(example), dict)
        for link in re.findall(r"--username (/\S+)", example):
            assert is_identity_link(link)
        for audience in re.findall(r"audience[=:] ?([^\s\"]+)", example):
            assert re.fullmatch(r"registry\.example/[a-z]+", audience)
