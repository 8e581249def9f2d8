"""The in-memory and the real implementation of every port, for one suite that both have to pass."""

import os
import uuid
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from samtranslator.yaml_helper import yaml_parse

from moorage.adapters import aws
from moorage.adapters.dynamodb import connect_table
from moorage.adapters.dynamodb.rows import from_item
from moorage.adapters.dynamodb.writes import put
from moorage.adapters.memory import MemoryStorage, MemoryStores, MemoryTable
from moorage.adapters.s3 import Bucket, connect_storage
from moorage.adapters.stores import connect_stores

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def table_definition():
    """What the template says about the table, as far as CreateTable takes it."""
    properties = yaml_parse((ROOT / "template.yaml").read_text())["Resources"]["Table"]["Properties"]
    wanted = ("BillingMode", "AttributeDefinitions", "KeySchema", "GlobalSecondaryIndexes")
    return {name: properties[name] for name in wanted}


@contextmanager
def environment_of(emulators):
    """An environment in which AWS is the emulators."""
    aws._session.cache_clear()
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            patch.delenv(name)
        for name, value in emulators.environment.items():
            patch.setenv(name, value)
        yield
    aws._session.cache_clear()


@pytest.fixture(name="aws")
def aws_environment(emulators):
    """The emulators, and an environment in which clients find them."""
    with environment_of(emulators):
        yield emulators


@pytest.fixture(scope="session")
def connected(emulators, bucket):
    """The real table and store with their clients, which take longer to make than a test takes."""
    with environment_of(emulators):
        table, storage = connect_table("replaced-in-each-test"), connect_storage(bucket, "path")
        table._table.client()
        storage.client()
        storage.presign_get("signed-with-these-keys")
    return table, storage


@pytest.fixture
def dynamo_table(connected, table_definition):
    """The real table, new for each test."""
    name = f"contract-{uuid.uuid4()}"
    table = connect_table(name)
    table._table.client = connected[0]._table.client
    client = table._table.client()
    client.call("CreateTable", {"TableName": name, **table_definition})
    yield table
    client.call("DeleteTable", {"TableName": name})


@pytest.fixture
def memory_table():
    """The table in memory."""
    return MemoryTable()


@pytest.fixture(params=["memory", "dynamo"])
def table(request):
    """Both tables, one after the other."""
    return request.getfixturevalue(f"{request.param}_table")


@contextmanager
def new_bucket(emulators):
    """A bucket, as long as it is needed."""
    name = f"contract-{uuid.uuid4()}"
    client: Any = botocore.session.get_session().create_client(
        "s3",
        endpoint_url=emulators.s3_endpoint_url,
        region_name=emulators.region,
        aws_access_key_id=emulators.environment["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=emulators.environment["AWS_SECRET_ACCESS_KEY"],
    )
    client.create_bucket(Bucket=name)
    yield name
    client.delete_bucket(Bucket=name)


@pytest.fixture(scope="session")
def bucket(emulators):
    """A bucket for all tests."""
    with new_bucket(emulators) as name:
        yield name


@pytest.fixture(scope="session")
def second_bucket(emulators):
    """Another one."""
    with new_bucket(emulators) as name:
        yield name


@pytest.fixture(scope="session")
def connected_stores(emulators, bucket, second_bucket):
    """The real stores with their clients; the second is said to be in another Region."""
    buckets = {"default": Bucket(bucket), "second": Bucket(second_bucket, "eu-west-3")}
    with environment_of(emulators):
        stores = connect_stores(buckets, "path")
        for name in stores.names():
            stores[name].client()
            stores[name].presign_get("signed-with-these-keys")
            stores._copiers[buckets[name].region]()
    return stores


def emptied(stores):
    """Remove all that is there; the stores have to be empty then."""
    for name in stores.names():
        stores[name].delete(stores[name].list_keys("", 10_000))
        for key, upload_id in stores[name].unfinished_uploads(""):
            stores[name].abort_multipart(key, upload_id)
        assert stores[name].list_keys("", 1) == []


@pytest.fixture
def s3_stores(connected_stores):
    """The real stores, empty before and after each test."""
    yield connected_stores
    emptied(connected_stores)


@pytest.fixture
def memory_stores():
    """The stores in memory."""
    return MemoryStores("second")


@pytest.fixture(params=["memory", "s3"])
def stores(request):
    """The stores ``default`` and ``second``, of both kinds one after the other."""
    return request.getfixturevalue(f"{request.param}_stores")


@pytest.fixture
def s3_storage(connected):
    """The real store, empty before and after each test."""
    storage = connected[1]
    yield storage
    storage.delete(storage.list_keys("", 10_000))
    assert storage.list_keys("", 1) == []


@pytest.fixture
def memory_storage():
    """The store in memory."""
    return MemoryStorage()


@pytest.fixture(params=["memory", "s3"])
def storage(request):
    """Both stores, one after the other."""
    return request.getfixturevalue(f"{request.param}_storage")


@pytest.fixture
def without_store(dynamo_table):
    """Makes a row of the real table one that was written when there was only one store."""
    table = dynamo_table._table

    def remove(key):
        row = table.get(key)
        assert row["store"] == "second"
        del row["store"]
        table.write(put(row))

    return remove


@pytest.fixture
def rows(dynamo_table):
    """Every row of the real table, as a function."""
    table = dynamo_table._table

    def read():
        request = {"TableName": table._name, "ConsistentRead": True}
        found = []
        while True:
            page = table.client().call("Scan", request)
            found += [from_item(item) for item in page["Items"]]
            if "LastEvaluatedKey" not in page:
                return found
            request["ExclusiveStartKey"] = page["LastEvaluatedKey"]

    return read
