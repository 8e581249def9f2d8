"""``moorage image``: what its own columns and references are; the rest is as for every resource."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.cli.stand_in import Answer, StandIn, listed, refusal, resource
from tests.cli.terminal import Terminal

DIGEST = "sha256:" + "0123456789abcdef" * 4


def image(name: str, **fields: Any) -> dict[str, Any]:
    return resource("image", name, digest=DIGEST, size=12_345_678, tags={"env": "prod"}, **fields)


def test_list_shows_what_docker_pulls(signed_in: Terminal, stand_in: StandIn) -> None:
    stand_in.on("GET", "/org/acme/image", listed("image", [image("app:v1")]))
    title, row = signed_in.ok("image", "get").splitlines()
    assert title.split() == ["NAME", "PULL", "DIGEST", "SIZE", "CREATED", "TAGS"]
    assert f"127.0.0.1:{stand_in.port}/acme/app:v1 " in row
    assert " 0123456789abcdef " in row
    assert " 12.3MB " in row
    assert row.endswith("env=prod")


def pulled(signed_in: Terminal, host: str, port: int) -> str:
    """What the column PULL has, where the registry is asked at that host."""
    at = {"MOORAGE_ENDPOINT": f"http://{host}:{port}"}
    row = signed_in.ok("image", "get", "--insecure", environment=at).splitlines()[1]
    return row.split()[1].replace(str(port), "PORT")


@pytest.mark.parametrize(
    ("announced", "host", "shown"),
    [
        ("https://{org}.registry.example:PORT", "registry.example", "acme.registry.example:PORT/app:v1"),
        ("https://{org}.registry.example:PORT", "api.registry.example", "acme.registry.example:PORT/app:v1"),
        ("https://{org}.registry.example:PORT", "acme.registry.example", "acme.registry.example:PORT/app:v1"),
        ("https://{org}.elsewhere.example", "registry.example", "registry.example:PORT/acme/app:v1"),
        ("http://registry.example:PORT/{org}", "registry.example", "registry.example:PORT/acme/app:v1"),
        (None, "registry.example", "registry.example:PORT/acme/app:v1"),
        ("https://[{org}.x", "registry.example", "registry.example:PORT/acme/app:v1"),
    ],
)
@pytest.mark.usefixtures("domain")
def test_list_shows_the_host_at_which_docker_is_logged_in(
    signed_in: Terminal, stand_in: StandIn, announced: str | None, host: str, shown: str
) -> None:
    stand_in.on("GET", "/org/acme/image", listed("image", [image("app:v1")]))
    registry = announced and announced.replace("PORT", str(stand_in.port))
    stand_in.on("GET", "/discovery", {"endpoints": {"registry": registry}})
    assert pulled(signed_in, host, stand_in.port) == shown


@pytest.mark.usefixtures("domain")
def test_list_is_shown_though_the_registry_does_not_say_where_images_are(
    signed_in: Terminal, stand_in: StandIn
) -> None:
    stand_in.on("GET", "/org/acme/image", listed("image", [image("app:v1")]))
    for answer in (refusal(404, "NotFound", "no"), refusal(500, "Internal", "no"), Answer([7])):
        stand_in.on("GET", "/discovery", answer)
        shown = pulled(signed_in, "registry.example", stand_in.port)
        assert shown == "registry.example:PORT/acme/app:v1"


@pytest.mark.usefixtures("domain")
def test_host_that_begins_like_the_organisation_need_not_be_its_own(
    signed_in: Terminal, stand_in: StandIn
) -> None:
    stand_in.on("GET", "/org/acme/image/app:v1", image("app:v1"))
    host = f"acme.registry.example:{stand_in.port}"
    at = {"MOORAGE_ENDPOINT": f"http://{host}"}
    get = ("image", "get", "-o", "names", "--insecure")
    stand_in.on("GET", "/discovery", {"endpoints": {"registry": f"http://{host}/{{org}}"}})
    signed_in.ok(*get, f"{host}/acme/app:v1", environment=at)
    stand_in.on("GET", "/discovery", {"endpoints": {"registry": "https://{org}.registry.example"}})
    signed_in.ok(*get, f"{host}/app:v1", environment=at)


def test_deletion_at_another_registry_is_not_done_here(signed_in: Terminal, stand_in: StandIn) -> None:
    assert signed_in.run("image", "delete", "acme.registry-b.example/app:v1").code == 2
    assert stand_in.asked == []


def test_without_images_there_is_only_the_title(signed_in: Terminal, stand_in: StandIn) -> None:
    stand_in.on("GET", "/org/acme/image", listed("image", []))
    assert len(signed_in.ok("image", "get").splitlines()) == 1


@pytest.mark.parametrize(
    ("reference", "path"),
    [
        ("app:v1", "app:v1"),
        ("app", "app"),
        ("team/app:v1", "team/app:v1"),
        (f"app@{DIGEST}", f"app@{DIGEST}"),
        (f"team/app:v1@{DIGEST}", f"team/app:v1@{DIGEST}"),
        ("//image/app:v1", "app:v1"),
        ("/org/acme/image/app:v1", "app:v1"),
        ("HOST/acme/team/app:v1", "team/app:v1"),
        ("acme.HOST/team/app:v1", "team/app:v1"),
        ("//image/my.app/web:v1", "my.app/web:v1"),
    ],
)
def test_image_has_several_spellings(
    signed_in: Terminal, stand_in: StandIn, reference: str, path: str
) -> None:
    stand_in.on("GET", f"/org/acme/image/{path}", image("app:v1"))
    reference = reference.replace("HOST", f"127.0.0.1:{stand_in.port}")
    assert json.loads(signed_in.ok("image", "get", reference, "-o", "json"))["name"] == "app:v1"


@pytest.mark.parametrize(
    ("reference", "said"),
    [
        ("registry.example.com/acme/app:v1", "is not at 127.0.0.1"),
        ("localhost/acme/app:v1", "is not at 127.0.0.1"),
        ("acme.registry-b.example/app:v1", "is not at 127.0.0.1"),
        ("my.app/web:v1", "//image/NAME:TAG"),
        ("HOST/other/app:v1", "--org other"),
        ("HOST/app:v1", "HOST/ORG/NAME:TAG"),
        ("//policy/app", "is no image"),
        ("/org/other/image/app:v1", "is no image"),
        ("app/../policy:v1", "cannot be a name"),
        ("app//x:v1", "cannot be a name"),
        ("-query", "no such option"),
        ("app:v1\n", "cannot be a name"),
        ("app?x:v1", "cannot be a name"),
        ("app#x", "cannot be a name"),
        ("app%2e:v1", "cannot be a name"),
        ("app\\x:v1", "cannot be a name"),
        ("a b:v1", "cannot be the name of an image"),
        ("App:v1", "cannot be the name of an image"),
        ("app:v 1", "cannot be the name of an image"),
        ("app@sha256:x", "cannot be the name of an image"),
    ],
)
def test_image_of_elsewhere_is_refused_before_anything_is_asked(
    signed_in: Terminal, stand_in: StandIn, reference: str, said: str
) -> None:
    outcome = signed_in.run("image", "get", reference.replace("HOST", f"127.0.0.1:{stand_in.port}", 1))
    assert said in outcome.err
    assert outcome.code == 2
    assert stand_in.asked == []


def test_deletion_goes_on_after_an_error(signed_in: Terminal, stand_in: StandIn) -> None:
    stand_in.on("DELETE", "/org/acme/image/b:v1", refusal(403, "Denied", "not for you"))
    for name in ("a", "c"):
        stand_in.on("DELETE", f"/org/acme/image/{name}:v1", None)
    outcome = signed_in.run("image", "delete", "a:v1", "b:v1", "c:v1")
    assert (outcome.code, outcome.out) == (4, "")
    assert "b:v1: " in outcome.err
    assert stand_in.paths() == [f"DELETE /org/acme/image/{name}:v1" for name in "abc"]


def test_deletion_cannot_be_forced(signed_in: Terminal) -> None:
    assert signed_in.run("image", "delete", "--force", "a:v1").code == 2


@pytest.fixture
def pushed(real: Terminal, management: Any) -> Terminal:
    """A terminal of the real management API, in which ``app:v1`` was pushed."""
    management.world.keys["digest"] = management.push("demo/app", "v1")
    return real


def test_metadata_is_set_and_removed(pushed: Terminal) -> None:
    pushed.ok("image", "tag", "app:v1", "--tag", "env=prod", "--tag", "build=7", "--tag", "version:7")
    assert json.loads(pushed.ok("image", "get", "app:v1", "-o", "json"))["tags"] == {
        "env": "prod",
        "build": 7,
        "version": "7",
    }
    pushed.ok("image", "tag", "app:v1", "--remove-tag", "env")
    assert "env" not in json.loads(pushed.ok("image", "get", "app:v1", "-o", "json"))["tags"]


def test_patch_changes_metadata_alone(pushed: Terminal) -> None:
    pushed.ok("image", "patch", "app:v1", "-f", "-", stdin="tags: {team: blue}\n")
    assert "team=blue" in pushed.ok("image", "get", "app:v1")


def test_editor_is_shown_what_can_be_changed(pushed: Terminal, tmp_path: Any) -> None:
    seen = tmp_path / "seen"
    editor = tmp_path / "editor"
    editor.write_text(f'#!/bin/sh\ncp "$1" {seen}\nsed -i "s/tags: {{}}/tags: {{team: red}}/" "$1"\n')
    editor.chmod(0o700)
    pushed.ok("image", "edit", "app:v1", environment={"EDITOR": str(editor)})
    assert "manifest" not in seen.read_text()
    assert "digest" not in seen.read_text()
    assert "team=red" in pushed.ok("image", "get", "app:v1")


def test_query_finds_by_metadata_and_property(pushed: Terminal, management: Any) -> None:
    management.push("demo/other", "v2")
    pushed.ok("image", "tag", "app:v1", "--tag", "env=prod")
    found = pushed.ok("image", "query", "--tag", "env=prod", "--property", "repository=app", "-o", "names")
    assert found == "/org/demo/image/app:v1\n"


def test_permissions_reports_and_reasons_are_shown(pushed: Terminal) -> None:
    assert "pull" in pushed.ok("image", "permissions")
    assert "/org/demo/group/superusers" in pushed.ok("image", "access-report", "app:v1")
    admin = ("--principal", "//serviceaccount/admin", "--permission", "pull")
    assert "superusers" in pushed.ok("image", "explain", "app:v1", *admin)


def test_deleted_image_is_gone(pushed: Terminal) -> None:
    assert pushed.ok("image", "delete", "app:v1") == ""
    assert pushed.run("image", "get", "app:v1").code == 3


@pytest.mark.parametrize("links", [None, 7, [7], [{"rel": "self"}]])
def test_image_without_links_is_shown(signed_in: Terminal, stand_in: StandIn, links: object) -> None:
    stand_in.on("GET", "/org/acme/image", listed("image", [{**image("app:v1"), "links": links}]))
    assert "app:v1" in signed_in.ok("image", "get")
