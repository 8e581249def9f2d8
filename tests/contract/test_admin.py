"""``moorage-admin`` and the demo organisation, on a real table."""

from __future__ import annotations

import json

import pytest

from local import demo
from moorage import admin
from moorage.domain.resources import Kind


@pytest.fixture
def run(aws, dynamo_table, capsys):
    """A command; what it printed, as it is meant to be read."""

    def command(*arguments: str) -> object:
        code = admin.main(["--table", dynamo_table._table._name, *arguments])
        printed = capsys.readouterr()
        assert bool(printed.err) == (code == 1)
        return json.loads(printed.out) if code == 0 else printed.err

    return command


def test_an_organisation_is_administered_from_beginning_to_end(run):
    assert run("organisation", "create", "acme") == {"organisation": "acme", "store": "default"}
    assert "exists" in run("organisation", "create", "acme")
    made = run("serviceaccount", "create", "acme", "ci", "--group", "superusers")
    assert made == {"serviceaccount": "/org/acme/serviceaccount/ci", "groups": ["superusers"]}
    key = run("key", "create", "acme", "ci", "laptop", "--days", "3")
    assert key["key"].startswith(f"mrg_{key['id']}_")
    (listed,) = run("key", "list", "acme", "ci")
    assert listed == {name: value for name, value in key.items() if name not in ("key", "username")}
    assert run("serviceaccount", "leave", "acme", "ci", "superusers")["left"] == "superusers"
    assert "is not in group" in run("serviceaccount", "leave", "acme", "ci", "superusers")
    assert run("serviceaccount", "join", "acme", "ci", "viewers")["joined"] == "viewers"
    assert run("key", "revoke", "acme", "ci", "laptop") == {"revoked": "laptop"}
    assert "no key" in run("key", "revoke", "acme", "ci", "laptop")
    removed = run("organisation", "delete", "acme")
    assert removed["rows"] == 3
    assert not removed["finished"]
    assert removed["again"] is not None
    assert "no organisation" in run("serviceaccount", "create", "acme", "ci")
    assert "still being removed" in run("organisation", "create", "acme")
    assert run("organisation", "delete", "acme")["rows"] == 0
    assert "no organisation" in run("organisation", "delete", "absent")


def test_an_organisation_is_made_in_a_store_of_the_deployment(run, dynamo_table):
    made = run(
        "--stores", "second=a-bucket,third=b@eu-west-3", "organisation", "create", "far", "--store", "third"
    )
    assert made == {"organisation": "far", "store": "third"}
    assert dynamo_table.find(Kind.ORG, "far", "far").spec["store"] == "third"
    refused = run("--stores", "second=a-bucket", "organisation", "create", "acme", "--store", "third")
    assert "default, second" in refused
    assert "default" in run("organisation", "create", "acme", "--store", "second")
    assert dynamo_table.find(Kind.ORG, "acme", "acme") is None


def test_the_stores_of_the_environment_are_known(run, monkeypatch):
    monkeypatch.setenv("STORES", "second=a-bucket")
    assert run("organisation", "create", "far", "--store", "second")["store"] == "second"


def test_stores_that_make_no_sense_are_wrong_usage(aws, capsys):
    with pytest.raises(SystemExit) as ended:
        admin.main(["--table", "t", "--stores", "second", "organisation", "create", "acme"])
    assert ended.value.code == 2
    assert "NAME=BUCKET" in capsys.readouterr().err


def test_the_demo_organisation_is_made_once_and_its_login_is_kept(aws, dynamo_table):
    name = dynamo_table._table._name
    first = demo.ensure(name, None)
    assert demo.ensure(name, first.password) == first
    assert demo.ensure(name, "mrg_unknown").password != first.password
    assert len(dynamo_table.keys_of("/org/demo/serviceaccount/admin")) == 1
