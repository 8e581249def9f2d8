"""What has been taken away ends: in the management API at once, in the registry with the next token, and within
five minutes for a token in hand.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import jwt
import pytest

from moorage.domain.manifests import OCI_MANIFEST
from moorage.domain.principals import public_id
from moorage.domain.tokens import make_claims
from tests.protocol.management.world import Management
from tests.protocol.sample import DIGEST, IMAGE, NAME

ADMIN, ROBOT = "demo/admin", "/org/demo/serviceaccount/robot"
REPOSITORY = {"spec": {"terms": [{"property": "repository", "value": "app"}]}}
SCOPE = f"repository:{NAME}:pull,push,delete"
# A token's life, less a moment and whole.
ALMOST, OVER = timedelta(seconds=299), timedelta(seconds=300)

REQUESTS = {
    "manifest": ("GET", f"/v2/{NAME}/manifests/v1", b""),
    "blob": ("GET", f"/v2/{NAME}/blobs/{DIGEST}", b""),
    "tags": ("GET", f"/v2/{NAME}/tags/list", b""),
    "upload": ("POST", f"/v2/{NAME}/blobs/uploads/", b""),
    "push": ("PUT", f"/v2/{NAME}/manifests/v2", IMAGE),
    "delete": ("DELETE", f"/v2/{NAME}/manifests/v2", b""),
}
SUCCESS = {200, 201, 202, 307}


@dataclass
class Robot:
    """A service account whose rights to one repository, and to policies, come by a group or by its own name."""

    management: Management

    @property
    def key(self) -> str:
        return self.management.world.keys["demo/robot"]

    def token(self) -> str:
        """A new token for all that it holds."""
        return self.management.world.token("demo/robot", SCOPE)

    def statuses(self, token: str) -> dict[str, int]:
        """What the registry answers to a pull, a push and a delete with that token."""
        asked = {}
        for name, (method, path, content) in REQUESTS.items():
            headers = {"Authorization": f"Bearer {token}", "Content-Type": OCI_MANIFEST}
            answer = self.management.world.registry.request(method, path, headers=headers, content=content)
            asked[name] = answer.status_code
        return asked

    def manages(self, credentials: str) -> int:
        """What the management API answers."""
        return self.management.call(credentials, "GET", "/org/demo/policy/robot-policies").status_code


@pytest.fixture(params=["by name", "by group", "by query"])
def robot(request: pytest.FixtureRequest, management: Management) -> Robot:
    """Pushes, pulls and deletes images of one repository and sees policies."""
    management.push(NAME, "v1")
    management.account("demo", "robot")
    principal = ROBOT
    if request.param != "by name":
        management.ok(ADMIN, "POST", "/org/demo/group", {"name": "robots", "memberLinks": [ROBOT]})
        principal = "/org/demo/group/robots"
    target: Any = {"targetQuery": REPOSITORY} if request.param == "by query" else {}
    management.policy("robot-images", "image", principal, "create", "delete", **target)
    management.policy("robot-policies", "policy", principal, "view")
    return Robot(management)


def no_binding(management: Management) -> None:
    for name in ("robot-images", "robot-policies"):
        management.ok(ADMIN, "PATCH", f"/org/demo/policy/{name}", {"bindings": []})


def no_policy(management: Management) -> None:
    for name in ("robot-images", "robot-policies"):
        management.ok(ADMIN, "DELETE", f"/org/demo/policy/{name}")


def no_member(management: Management) -> None:
    """Out of its group, if it is in one; else out of the bindings."""
    if management.call(ADMIN, "GET", "/org/demo/group/robots").status_code == 404:
        no_binding(management)
    else:
        management.ok(ADMIN, "PATCH", "/org/demo/group/robots", {"$drop/memberLinks": [ROBOT]})


def no_key(management: Management) -> None:
    management.ok(ADMIN, "PATCH", ROBOT, {"$drop/keys": ["laptop"]})


def no_account(management: Management) -> None:
    management.ok(ADMIN, "DELETE", f"{ROBOT}?force=true")


@pytest.mark.parametrize("take", [no_binding, no_policy, no_member, no_key, no_account])
def test_token_in_hand_ends_after_five_minutes(robot: Robot, take: Callable[[Management], None]):
    held = robot.token()
    assert set(robot.statuses(held).values()) <= SUCCESS
    take(robot.management)
    clock = robot.management.world.clock
    clock.advance(ALMOST)
    assert set(robot.statuses(held).values()) <= SUCCESS
    clock.advance(OVER - ALMOST)
    assert set(robot.statuses(held).values()) == {401}


@pytest.mark.parametrize("take", [no_binding, no_policy, no_member])
def test_next_token_has_no_right_that_was_taken_away(robot: Robot, take: Callable[[Management], None]):
    take(robot.management)
    assert set(robot.statuses(robot.token()).values()) == {403}
    # The account itself is as good as before.
    assert robot.management.world.registry.get(
        "/v2/", headers={"Authorization": f"Bearer {robot.token()}"}
    ).is_success


@pytest.mark.parametrize("take", [no_key, no_account])
def test_no_token_is_given_for_a_key_that_was_taken_away(robot: Robot, take: Callable[[Management], None]):
    take(robot.management)
    tokens = robot.management.world.tokens
    assert tokens.get("/token", params={"scope": SCOPE}, auth=("<token>", robot.key)).status_code == 401
    for form in (
        {"grant_type": "password", "username": "<token>", "password": robot.key},
        {"grant_type": "refresh_token", "refresh_token": robot.key},
    ):
        assert tokens.post("/token", data=form).status_code == 401


@pytest.mark.parametrize("take", [no_binding, no_member])
def test_management_api_forgets_a_right_at_once_with_a_key_and_with_a_token(
    robot: Robot, take: Callable[[Management], None]
):
    held = robot.token()
    assert [robot.manages(robot.key), robot.manages(held)] == [200, 200]
    take(robot.management)
    assert [robot.manages(robot.key), robot.manages(held)] == [403, 403]


@pytest.mark.parametrize("take", [no_key, no_account])
def test_management_api_forgets_a_key_at_once_and_its_tokens_with_it(
    robot: Robot, take: Callable[[Management], None]
):
    held = robot.token()
    assert [robot.manages(robot.key), robot.manages(held)] == [200, 200]
    take(robot.management)
    assert [robot.manages(robot.key), robot.manages(held)] == [401, 401]


def test_revoked_key_leaves_no_access_behind(management: Management):
    management.account("demo", "robot", "superusers")
    held = management.world.token("demo/robot")
    no_key(management)
    for method, path, body in (
        ("POST", "/org/demo/serviceaccount", {"name": "backdoor"}),
        ("POST", "/org/demo/gvc", {"name": "apps"}),
        ("PATCH", "/org/demo/group/superusers", {"description": "mine"}),
        ("POST", f"{ROBOT}/-addKey", {"description": "x"}),
    ):
        assert management.call(held, method, path, body).status_code == 401
    # The same account with another key is as good as before, and the token stays dead.
    management.world.keys["demo/robot"] = management.ok(
        ADMIN, "POST", f"{ROBOT}/-addKey", {"description": "x", "name": "laptop"}
    )["key"]
    assert management.call(management.world.token("demo/robot"), "GET", ROBOT).status_code == 200
    assert management.call(held, "GET", ROBOT).status_code == 401


@pytest.mark.parametrize("grant_type", ["password", "refresh_token", "basic"])
def test_token_of_a_key_that_expires_is_worth_nothing_here_from_then_on(
    management: Management, grant_type: str
):
    management.account("demo", "robot", "superusers")
    clock, tokens = management.world.clock, management.world.tokens
    ends = clock.now + timedelta(minutes=2)
    made = management.ok(
        ADMIN, "POST", f"{ROBOT}/-addKey", {"description": "short", "expires": ends.isoformat()}
    )["key"]
    if grant_type == "basic":
        answer = tokens.get("/token", auth=("<token>", made))
    else:
        form = {"grant_type": grant_type, "username": "<token>", "password": made, "refresh_token": made}
        answer = tokens.post("/token", data=form)
    held = answer.json()["token"]
    assert management.call(held, "GET", ROBOT).status_code == 200
    clock.now = ends
    assert management.call(held, "GET", ROBOT).status_code == 401


@pytest.mark.parametrize("key", [None, "unknown", "", "of another"])
def test_token_that_names_no_key_of_its_principal_is_refused_here(management: Management, key: str | None):
    management.account("demo", "robot", "superusers")
    world = management.world
    if key == "of another":
        key = public_id(world.keys[ADMIN])
    claims = make_claims(ROBOT, granted={}, refused={}, now=world.clock(), token_id="x", key=key)
    token = jwt.encode(claims, world.signing.private_pem, "ES256", {"kid": "first"})
    assert management.call(token, "GET", ROBOT).status_code == 401
    # Pulls and pushes ask for no key: they end with the token.
    assert world.registry.get("/v2/", headers={"Authorization": f"Bearer {token}"}).is_success


def test_token_of_a_workload_names_no_key_and_counts_as_long_as_its_identity_is_there(management: Management):
    management.ok(ADMIN, "POST", "/org/demo/gvc", {"name": "apps"})
    management.ok(ADMIN, "POST", "/org/demo/gvc/apps/identity", {"name": "web"})
    web = "/org/demo/gvc/apps/identity/web"
    world = management.world
    claims = make_claims(web, granted={}, refused={}, now=world.clock(), token_id="x")
    token = jwt.encode(claims, world.signing.private_pem, "ES256", {"kid": "first"})
    assert management.call(token, "GET", web).status_code == 200
    management.ok(ADMIN, "DELETE", web)
    assert management.call(token, "GET", web).status_code == 403


def test_key_ends_when_its_time_is_over(robot: Robot):
    clock = robot.management.world.clock
    ends = clock.now + timedelta(days=1)
    made = robot.management.ok(
        ADMIN, "POST", f"{ROBOT}/-addKey", {"description": "for a day", "expires": ends.isoformat()}
    )
    login = ("<token>", made["key"])
    clock.now = ends - timedelta(seconds=1)
    given = robot.management.world.tokens.get("/token", params={"scope": SCOPE}, auth=login)
    assert given.status_code == 200
    clock.now = ends
    assert robot.management.world.tokens.get("/token", auth=login).status_code == 401
    assert robot.manages(made["key"]) == 401
    held = given.json()["token"]
    assert set(robot.statuses(held).values()) <= SUCCESS
    clock.advance(ALMOST)
    assert set(robot.statuses(held).values()) == {401}


def test_token_does_not_make_another_token(robot: Robot):
    held = robot.token()
    tokens = robot.management.world.tokens
    assert tokens.get("/token", params={"scope": SCOPE}, auth=("<token>", held)).status_code == 401
    form = {"grant_type": "refresh_token", "refresh_token": held, "scope": SCOPE}
    assert tokens.post("/token", data=form).status_code == 401


@pytest.mark.parametrize("link", [ROBOT, "//serviceaccount/robot", "/org/demo/serviceaccount/rob%6ft"])
def test_member_is_dropped_by_whichever_form_of_its_link(management: Management, link: str):
    management.account("demo", "robot")
    management.ok(ADMIN, "POST", "/org/demo/group", {"name": "robots", "memberLinks": [ROBOT]})
    left = management.ok(ADMIN, "PATCH", "/org/demo/group/robots", {"$drop/memberLinks": [link]})
    assert left["memberLinks"] == []


@pytest.mark.parametrize("link", ["//image/app", "//image/app:latest", "/org/demo/image/app:latest"])
def test_target_is_dropped_by_whichever_form_of_its_link(management: Management, link: str):
    targets = ["//image/app", "//image/app:v1"]
    management.policy("some", "image", "//group/viewers", "view", targetLinks=targets)
    left = management.ok(ADMIN, "PATCH", "/org/demo/policy/some", {"$drop/targetLinks": [link]})
    assert left["targetLinks"] == ["/org/demo/image/app:v1"]


@pytest.mark.parametrize("dropped", [["robot"], ["//gvc"], [5], "x", {}, ["//serviceaccount/ghost"]])
def test_what_is_no_member_is_not_dropped(management: Management, dropped: Any):
    management.account("demo", "robot")
    management.ok(ADMIN, "POST", "/org/demo/group", {"name": "robots", "memberLinks": [ROBOT]})
    refused = management.call(ADMIN, "PATCH", "/org/demo/group/robots", {"$drop/memberLinks": dropped})
    assert refused.status_code == 400, refused.text
    assert management.ok(ADMIN, "GET", "/org/demo/group/robots")["memberLinks"] == [ROBOT]


def test_right_comes_back_with_the_binding_and_the_next_token(robot: Robot):
    body = robot.management.ok(ADMIN, "GET", "/org/demo/policy/robot-images")
    no_binding(robot.management)
    robot.management.ok(ADMIN, "PUT", "/org/demo/policy", {**body, "version": body["version"] + 1})
    assert set(robot.statuses(robot.token()).values()) <= SUCCESS
