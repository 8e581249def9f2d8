"""What a policy of the documented form lets docker and skopeo do, and what they may no more once it is gone."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.clients import image, registry
from tests.clients.cells import assert_refused, left_behind
from tests.clients.cloud import Account, Cloud
from tests.clients.command import TIMED_OUT
from tests.clients.daemonless import Skopeo
from tests.clients.docker import Docker
from tests.clients.image import TAG, Image
from tests.docs.organisation import Organisation, founded
from tests.policies.documented import documented

pytestmark = pytest.mark.timeout(420)

IMAGE_NAME = "shop/app"
USER, ROBOT = "ann@example.com", "robot"

Client = Docker | Skopeo


@dataclass(frozen=True, slots=True)
class Shop:
    """An organisation with the images ``IMAGE_NAME`` and ``secret``, and accounts that nothing but the policy lets do
    anything.
    """

    organisation: Organisation
    image: Image
    another: Image
    accounts: dict[str, Account]

    def reference(self, repository: str, tag: str = TAG) -> str:
        return f"{self.organisation.host}/{self.organisation.name}/{repository}:{tag}"

    def answer(
        self, account: Account, method: str, repository: str, path: str, actions: str
    ) -> registry.Answer:
        """What the registry says without any client."""
        whole = f"{self.organisation.name}/{repository}"
        return registry.ask(self.organisation.endpoint, account, method, whole, path, actions)


@pytest.fixture(scope="module")
def shop(registry_cloud: Cloud, tmp_path_factory: pytest.TempPathFactory) -> Shop:
    folder = tmp_path_factory.mktemp("shop")
    organisation = founded(registry_cloud.state, "shop", folder)
    organisation.ok("POST", "/user/-invite", {"emails": [USER]})
    organisation.ok("POST", "/serviceaccount", {"name": ROBOT})
    accounts = {}
    for path in (f"user/{USER}", f"serviceaccount/{ROBOT}"):
        key = organisation.ok("POST", f"/{path}/-addKey", {"description": "for the test"})
        accounts[path.partition("/")[0]] = Account("<token>", key["key"])
    owner, pushed, another = Skopeo(folder), _built(folder, "shop"), _built(folder, "another")
    assert owner.login(organisation.host, Account("<token>", organisation.key)).exit_code == 0
    this = Shop(organisation, pushed, another, accounts)
    for repository in (IMAGE_NAME, "secret"):
        outcome = owner.push(pushed, this.reference(repository))
        assert outcome.exit_code == 0, outcome
    names = {"POLICY_NAME": "documented", "IMAGE_NAME": IMAGE_NAME, "USER_EMAIL": USER}
    policy = documented(**names, SERVICE_ACCOUNT_NAME=ROBOT, ORG=organisation.name)
    for status in (201, 200):
        answer = organisation.call("PUT", "/policy", policy)
        assert answer.status == status, answer.data
        # Nothing in it is without effect, and applying it again changes nothing.
        assert "warnings" not in json.loads(answer.data)
        assert json.loads(answer.data)["version"] == 1
    return this


def _built(folder: Path, name: str) -> Image:
    (folder / name).mkdir()
    return image.build(folder / name, name, [100_000, 200_000])


@pytest.fixture(params=["docker", "skopeo"])
def client(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[str], Client]]:
    """Makes clients with a login file of their own."""
    with ExitStack() as stack:

        def make(name: str) -> Client:
            folder = tmp_path / name
            folder.mkdir()
            return Skopeo(folder) if request.param == "skopeo" else Docker(folder, tmp_path / "log", stack)

        yield make


@pytest.mark.parametrize("kind", ["user", "serviceaccount"])
def test_documented_policy_lets_pull_that_repository_and_do_nothing_else(
    shop: Shop, client: Callable[[str], Client], kind: str
) -> None:
    account, driver = shop.accounts[kind], client(kind)
    assert driver.login(shop.organisation.host, account).exit_code == 0

    pulled, place = driver.pull(shop.reference(IMAGE_NAME))
    assert pulled.exit_code == 0, pulled
    assert image.layers_of(place) == shop.image.layers

    # One that is there and one that is not look alike.
    for repository in ("secret", "absent"):
        said = shop.answer(account, "GET", repository, f"manifests/{TAG}", "pull")
        assert (said.status, said.code) == (403, "DENIED")
        refused, place = driver.pull(shop.reference(repository))
        assert_refused(refused, driver.name, "denied pull", said)
        assert left_behind(place) == []

    for repository in (IMAGE_NAME, "secret", "new"):
        said = shop.answer(account, "POST", repository, "blobs/uploads/", "pull,push")
        assert (said.status, said.code) == (403, "DENIED")
        for pushed in (shop.image, shop.another):
            refused = driver.push(pushed, shop.reference(repository, "mine"))
            assert refused.exit_code not in (0, TIMED_OUT), refused
            # Where not even a pull is allowed, skopeo begins with a HEAD, whose answer has no words.
            wordless = repository != IMAGE_NAME and driver.name == "skopeo"
            assert ("403 (Forbidden)" if wordless else said.message) in refused.output, refused
    listed = json.loads(shop.organisation.call("GET", "/image").data)["items"]
    assert sorted(each["name"] for each in listed) == [f"secret:{TAG}", f"{IMAGE_NAME}:{TAG}"]


def test_removed_binding_ends_pulls_with_the_next_token_and_others_keep_theirs(
    shop: Shop, client: Callable[[str], Client]
) -> None:
    robot, ann = client("robot"), client("ann")
    reference = shop.reference(IMAGE_NAME)
    for driver, kind in ((robot, "serviceaccount"), (ann, "user")):
        assert driver.login(shop.organisation.host, shop.accounts[kind]).exit_code == 0
        assert driver.pull(reference)[0].exit_code == 0
    whole = shop.organisation.ok("GET", "/policy/documented")["bindings"]
    less = [{"permissions": ["pull"], "principalLinks": [f"//user/{USER}"]}]
    shop.organisation.ok("PATCH", "/policy/documented", {"bindings": less})
    try:
        said = shop.answer(shop.accounts["serviceaccount"], "GET", IMAGE_NAME, f"manifests/{TAG}", "pull")
        assert said.status == 403
        assert_refused(robot.pull(reference)[0], robot.name, "denied pull", said)
        assert ann.pull(reference)[0].exit_code == 0
    finally:
        shop.organisation.ok("PATCH", "/policy/documented", {"bindings": whole})
    assert robot.pull(reference)[0].exit_code == 0


def test_revoked_key_ends_pulls_and_a_new_one_begins_them(
    shop: Shop, client: Callable[[str], Client]
) -> None:
    driver, reference = client("robot"), shop.reference(IMAGE_NAME)
    path = f"/serviceaccount/{ROBOT}"
    key = shop.organisation.ok("POST", f"{path}/-addKey", {"description": "lost"})
    assert driver.login(shop.organisation.host, Account("<token>", key["key"])).exit_code == 0
    assert driver.pull(reference)[0].exit_code == 0
    shop.organisation.ok("PATCH", path, {"$drop/keys": [key["name"]]})
    refused, place = driver.pull(reference)
    assert refused.exit_code != 0, refused
    assert "unauthorized" in refused.output.lower() or "invalid username/password" in refused.output, refused
    assert left_behind(place) == []
    assert driver.login(shop.organisation.host, shop.accounts["serviceaccount"]).exit_code == 0
    assert driver.pull(reference)[0].exit_code == 0
