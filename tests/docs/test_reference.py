"""The reference pages say what the code does: routes, errors, settings, commands."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path

import pytest
import yaml

from moorage.domain.errors import RegistryError
from moorage.domain.manifests import MAX_MANIFEST_SIZE, MAX_REFERENCES
from moorage.domain.sessions import MAX_BODY_SIZE, MAX_CHUNKED_BLOB_SIZE, MAX_CHUNKS, SESSION_LIFETIME
from moorage.domain.upload_paths import SIGNATURE_LIFETIME
from moorage.services.presigned_uploads import MAX_PART_SIZE, MAX_PARTS, MAX_SIZE, MIN_PART_SIZE
from moorage.web.errors import ERRORS
from moorage.web.manifest_routes import MAX_TAGS_PER_PUSH
from moorage.web.registry import PATHS

ROOT = Path(__file__).parents[2]
API = (ROOT / "docs/api.md").read_text()


def table(page: str, heading: str) -> list[tuple[str, ...]]:
    """The rows of the first table below a heading, without the head."""
    section = page.split(f"## {heading}\n", 1)[1].split("\n## ", 1)[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [tuple(cell.strip() for cell in line.strip("|").split("|")) for line in lines[2:]]


def test_every_route_and_its_action_stand_in_the_reference_and_no_other():
    documented = {
        (row[0], row[1].strip("`"), row[2])
        for row in table(API, "Endpoints of the registry")
        if "any token" not in row
    }
    routes = {
        (endpoint.method, re.sub(r":path", "", path.pattern), endpoint.action.value)
        for path in PATHS
        for endpoint in path.endpoints
    }
    assert documented == routes


def test_every_error_stands_in_the_reference_with_its_status_and_code():
    documented = [(row[0].strip("`"), int(row[1]), row[2].strip("`")) for row in table(API, "Errors")]
    assert documented == [(error.__name__, int(status), code) for error, (status, code) in ERRORS.items()]


def test_the_tree_of_errors_in_its_docstring_is_the_tree_of_classes():
    source = (ROOT / "layers/core/moorage/domain/errors.py").read_text()
    drawn = re.findall(r"^    [│ ├└─]*(\w+)$", source.split('"""')[1], re.MULTILINE)

    def walk(error: type[RegistryError]) -> list[str]:
        return [error.__name__, *(name for child in error.__subclasses__() for name in walk(child))]

    assert sorted(drawn) == sorted(walk(RegistryError))


@pytest.mark.parametrize(
    "limit",
    [
        *(MAX_BODY_SIZE, MAX_CHUNKED_BLOB_SIZE, MAX_CHUNKS, MAX_MANIFEST_SIZE, MAX_REFERENCES),
        *(MAX_SIZE, MAX_PARTS, MIN_PART_SIZE, MAX_PART_SIZE),
    ],
)
def test_every_limit_stands_in_the_reference(limit):
    assert f"{limit:,}" in API.split("## Limits\n", 1)[1].split("\n## ", 1)[0]


def test_lives_of_sessions_and_signatures_stand_in_the_reference():
    hours = timedelta(hours=1)
    assert f"life of an upload session | {SESSION_LIFETIME // hours} hours" in API
    assert f"begun within {SIGNATURE_LIFETIME // hours} hours" in API


def test_the_number_of_tags_of_a_push_stands_in_the_reference():
    assert f"(up to {MAX_TAGS_PER_PUSH})" in API


class _Template(yaml.SafeLoader):
    """YAML with CloudFormation's tags, which are of no interest here."""


_Template.add_multi_constructor("!", lambda loader, suffix, node: suffix)


def test_the_settings_of_each_function_are_those_that_the_template_sets():
    template = yaml.load((ROOT / "template.yaml").read_text(), Loader=_Template)
    everywhere = template["Globals"]["Function"]["Environment"]["Variables"]
    expected = set()
    for resource in template["Resources"].values():
        if resource["Type"] == "AWS::Serverless::Function":
            function = Path(resource["Properties"]["CodeUri"]).name
            own = resource["Properties"].get("Environment", {}).get("Variables", {})
            expected |= {(function, name) for name in {**everywhere, **own}}
    documented = {(row[0], row[1].strip("`")) for row in table(API, "Settings")}
    assert documented == {
        (function, name) for function, name in expected if not name.startswith("POWERTOOLS")
    }


def test_every_row_type_of_the_key_module_stands_in_the_data_model():
    page = (ROOT / "docs/data-model.md").read_text()
    keys = (ROOT / "layers/core/moorage/adapters/keys.py").read_text().split('"""')[1]
    starts = set(re.findall(r"\b([A-Z]{3,})#", keys)) | {"SIGNINGKEY"}
    assert {start for start in starts if f"{start}" not in page} == set()


def test_make_targets_named_in_the_pages_exist():
    makefiles = "".join(path.read_text() for path in [ROOT / "Makefile", *(ROOT / "make").glob("*.mk")])
    targets = set(re.findall(r"^([a-z][a-z-]*):", makefiles, re.MULTILINE))
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    named = {
        name
        for page in pages
        for name in re.findall(r"`(?:[A-Z]+=\S+ )*make ([a-z][a-z-]*)", page.read_text())
    }
    named |= {
        name for page in pages for name in re.findall(r"^make ([a-z][a-z-]*)", page.read_text(), re.MULTILINE)
    }
    assert {"run", "test"} <= named
    assert named <= targets


def test_links_between_the_pages_lead_somewhere():
    for page in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]:
        for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
            if "://" not in target:
                assert (page.parent / target).exists(), f"{page}: {target}"
