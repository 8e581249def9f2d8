"""The page on policies: its commands that need no client of a registry, as a newcomer pastes them, and its figures."""

from __future__ import annotations

from datetime import timedelta

from moorage.domain.edge_paths import DOWNLOAD_LIFETIME
from moorage.domain.permissions import Permission, expand, permissions_of
from moorage.domain.resources import Kind
from moorage.domain.specs import MEMBERS_MAX
from moorage.domain.tokens import TOKEN_LIFETIME
from moorage.domain.upload_paths import SIGNATURE_LIFETIME
from tests.docs.guide import Guide, follow
from tests.docs.organisation import founded
from tests.docs.programs import needing

PAGE = Guide("policies.md")


@needing("bash", "curl", "jq")
def test_commands_do_what_the_page_says(local_cloud, tmp_path):
    organisation = founded(local_cloud.state, "guide", tmp_path)
    # What the commands that are left out here have pushed.
    organisation.push("app", "v1")
    followed = follow(Guide(PAGE.name, organisation.replacements), tmp_path, without="docker")
    assert followed == sum("docker" not in step.commands.marks for step in PAGE.steps) > 0


def test_no_command_of_the_page_is_passed_over():
    assert PAGE.elsewhere == []


def test_table_of_permissions_has_each_with_all_that_it_implies():
    rows = [line.strip("|").split("|") for line in PAGE.text.splitlines() if line.startswith("| `")]
    documented = {cells[0].strip(" `"): cells[2].strip() for cells in rows if len(cells) == 3}
    assert set(documented) == {info.permission.value for info in permissions_of(Kind.IMAGE)}
    for name, implied in documented.items():
        more = expand(Kind.IMAGE, frozenset({Permission(name)})) - {name}
        said = (
            set(documented) - {name}
            if implied == "all of these"
            else set(implied.replace("`", "").split(", "))
        )
        assert said - {""} == {each.value for each in more}


def test_figures_of_the_page_are_those_of_the_code():
    minutes, hours = timedelta(minutes=1), timedelta(hours=1)
    words = {2: "two hours", 5: "five minutes", 10: "ten minutes"}
    for value in (TOKEN_LIFETIME // minutes, DOWNLOAD_LIFETIME // minutes, SIGNATURE_LIFETIME // hours):
        assert words[value] in PAGE.text
    assert f"at most {MEMBERS_MAX} by link" in PAGE.text
