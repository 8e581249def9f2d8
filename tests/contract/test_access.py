"""Where services are found: in the environment as Lambda sets it, else by botocore."""

import os
from urllib.parse import urlsplit

import pytest

from moorage.adapters import aws
from moorage.adapters.access import find, in_environment
from moorage.adapters.aws import Patience
from moorage.adapters.s3 import connect_storage
from moorage.adapters.signing import StaticKeys

LAMBDA = {
    "AWS_REGION": "eu-central-1",
    "AWS_DEFAULT_REGION": "eu-central-1",
    "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
    "AWS_SECRET_ACCESS_KEY": "secret",
    "AWS_SESSION_TOKEN": "token",
}


@pytest.fixture
def environment(monkeypatch, tmp_path):
    """Sets these variables and no others of AWS's."""

    def apply(variables):
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            monkeypatch.delenv(name)
        for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
            monkeypatch.setenv(name, str(tmp_path / name))
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        aws._session.cache_clear()

    yield apply
    aws._session.cache_clear()


@pytest.mark.parametrize("service", ["dynamodb", "ssm"])
@pytest.mark.parametrize(
    "region", ["eu-central-1", "us-east-1", "us-gov-west-1", "ap-southeast-4", "mx-central-1"]
)
def test_lambda_says_all_and_botocore_would_say_the_same(environment, service, region):
    environment({**LAMBDA, "AWS_REGION": region, "AWS_DEFAULT_REGION": region})
    found = in_environment(service)
    assert found is not None
    assert found.keys() == StaticKeys("AKIDEXAMPLE", "secret", "token")
    client = aws.create_client(service, Patience())
    assert (found.endpoint, found.region) == (client.meta.endpoint_url, client.meta.region_name)


@pytest.mark.parametrize(
    ("variables", "endpoint"),
    [
        ({"AWS_ENDPOINT_URL": "http://127.0.0.1:1"}, "http://127.0.0.1:1"),
        ({"AWS_ENDPOINT_URL": "http://127.0.0.1:1/"}, "http://127.0.0.1:1"),
        ({"AWS_ENDPOINT_URL": "http://a", "AWS_ENDPOINT_URL_DYNAMODB": "http://b"}, "http://b"),
        ({"AWS_ENDPOINT_URL_S3": "http://c"}, "https://dynamodb.eu-central-1.amazonaws.com"),
    ],
    ids=["one for all", "with a slash", "its own", "another's"],
)
def test_endpoint_that_is_set_is_used(environment, variables, endpoint):
    environment({**LAMBDA, **variables})
    found = in_environment("dynamodb")
    assert found is not None
    assert found.endpoint == endpoint


@pytest.mark.parametrize(
    "changes",
    [
        {"AWS_ACCESS_KEY_ID": ""},
        {"AWS_SECRET_ACCESS_KEY": ""},
        {"AWS_REGION": "", "AWS_DEFAULT_REGION": ""},
        {"AWS_REGION": "cn-north-1", "AWS_DEFAULT_REGION": "cn-north-1"},
        {"AWS_REGION": "us-iso-east-1", "AWS_DEFAULT_REGION": "us-iso-east-1"},
        {"AWS_REGION": "x/../y-1", "AWS_DEFAULT_REGION": "x/../y-1"},
        {"AWS_USE_FIPS_ENDPOINT": "true"},
        {"AWS_USE_DUALSTACK_ENDPOINT": "true"},
        {"AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true"},
        {"AWS_CREDENTIAL_EXPIRATION": "2026-11-23T09:00:00Z"},
    ],
    ids=str,
)
def test_what_the_environment_does_not_say_plainly_is_left_to_botocore(environment, changes):
    environment({**LAMBDA, **changes})
    assert in_environment("dynamodb") is None


@pytest.mark.parametrize(
    ("changes", "endpoint"),
    [
        ({"AWS_DEFAULT_REGION": "cn-north-1"}, "https://dynamodb.cn-north-1.amazonaws.com.cn"),
        (
            {"AWS_USE_FIPS_ENDPOINT": "true", "AWS_DEFAULT_REGION": "us-east-1"},
            "https://dynamodb-fips.us-east-1.amazonaws.com",
        ),
    ],
    ids=["China", "FIPS"],
)
def test_botocore_finds_the_rest(environment, changes, endpoint):
    environment({**LAMBDA, **changes})
    found = find("dynamodb", Patience())
    assert (found.endpoint, found.region) == (endpoint, changes["AWS_DEFAULT_REGION"])
    keys = found.keys()
    assert (keys.access_key, keys.secret_key, keys.token) == ("AKIDEXAMPLE", "secret", "token")


def test_profile_is_found_by_botocore(environment, tmp_path):
    (tmp_path / "AWS_CONFIG_FILE").write_text("[default]\nregion = eu-west-3\n")
    (tmp_path / "AWS_SHARED_CREDENTIALS_FILE").write_text(
        "[default]\naws_access_key_id = AKIDPROFILE\naws_secret_access_key = other\n"
    )
    environment({})
    found = find("dynamodb", Patience())
    assert (found.endpoint, found.region) == ("https://dynamodb.eu-west-3.amazonaws.com", "eu-west-3")
    assert found.keys().access_key == "AKIDPROFILE"


@pytest.mark.parametrize("style", ["auto", "path", "virtual"])
@pytest.mark.parametrize("bucket", ["a-bucket", "with.dots", "UPPER-case"])
@pytest.mark.parametrize("key", ["api/ab/0123/sha/session", "manifests/ä b+c~d*(e)'!", "x//y/./z"])
def test_url_is_where_botocore_would_have_it(environment, style, bucket, key):
    environment(LAMBDA)
    storage = connect_storage(bucket, style)
    ours = urlsplit(storage.presign_get(key))
    parameters = {"Bucket": bucket, "Key": key}
    theirs = urlsplit(storage.client().generate_presigned_url("get_object", Params=parameters, ExpiresIn=600))
    assert (ours.scheme, ours.netloc, ours.path) == (theirs.scheme, theirs.netloc, theirs.path)
