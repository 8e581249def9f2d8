"""Signatures are those that botocore makes, and those in AWS's own documentation."""

from datetime import UTC, datetime
from urllib.parse import quote, urlsplit

import botocore.auth
import pytest
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given
from hypothesis import strategies as st

from moorage.adapters.signing import StaticKeys, presigned, signed

NOW = datetime(2026, 11, 23, 8, 5, 9, tzinfo=UTC)
SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
PLACES = st.sampled_from([("dynamodb", "eu-central-1"), ("ssm", "us-gov-west-1"), ("s3", "us-east-1")])
HOSTS = st.sampled_from(["dynamodb.eu-central-1.amazonaws.com", "127.0.0.1:4566", "localhost"])
TOKENS = st.none() | st.text("abcXYZ019+/=", min_size=1)
TIMES = st.datetimes(datetime(2013, 1, 1), datetime(2099, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001


def by_botocore(kind, request, place, token, moment, **options):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(botocore.auth, "get_current_datetime", lambda *_, **__: moment)
        kind(Credentials("AKIDEXAMPLE", SECRET, token), *place, **options).add_auth(request)
    return request


@given(body=st.binary(max_size=200), place=PLACES, host=HOSTS, token=TOKENS, moment=TIMES)
def test_call_is_signed_as_botocore_signs_it(body, place, host, token, moment):
    service, region = place
    headers = {"content-type": "application/x-amz-json-1.0", "x-amz-target": "DynamoDB_20120810.GetItem"}
    ours = signed(
        {**headers, "host": host},
        body,
        service=service,
        region=region,
        keys=StaticKeys("AKIDEXAMPLE", SECRET, token),
        now=moment,
    )
    request = AWSRequest("POST", f"http://{host}/", headers=headers, data=body)
    theirs = by_botocore(botocore.auth.SigV4Auth, request, place, token, moment).headers
    assert ours == {"host": host, **{name.lower(): value for name, value in theirs.items()}}


@given(
    key=st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=40),
    host=HOSTS,
    token=TOKENS,
    moment=TIMES,
    seconds=st.integers(1, 604_800),
)
def test_url_is_signed_as_botocore_signs_it(key, host, token, moment, seconds):
    url = f"https://{host}/bucket/api/{quote(key)}"
    ours = presigned(
        url,
        seconds=seconds,
        service="s3",
        region="eu-central-1",
        keys=StaticKeys("AKIDEXAMPLE", SECRET, token),
        now=moment,
    )
    place = ("s3", "eu-central-1")
    kind = botocore.auth.S3SigV4QueryAuth
    theirs = by_botocore(kind, AWSRequest("GET", url), place, token, moment, expires=seconds).url
    assert ours.partition("?")[0] == theirs.partition("?")[0] == url
    assert sorted(urlsplit(ours).query.split("&")) == sorted(urlsplit(theirs).query.split("&"))


def test_url_of_the_documentation_has_the_signature_of_the_documentation():
    """https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html"""
    url = presigned(
        "https://examplebucket.s3.amazonaws.com/test.txt",
        seconds=86400,
        service="s3",
        region="us-east-1",
        keys=StaticKeys("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", None),
        now=datetime(2013, 5, 24, tzinfo=UTC),
    )
    assert url.endswith("&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404")


def test_another_body_key_time_or_target_is_another_signature():
    headers = {"host": "localhost", "x-amz-target": "DynamoDB_20120810.GetItem"}
    keys = StaticKeys("AKIDEXAMPLE", SECRET, None)

    def signature(headers, body, keys, now):
        made = signed(headers, body, service="dynamodb", region="us-east-1", keys=keys, now=now)
        return made["authorization"].rpartition("=")[2]

    made = [
        signature(headers, b"{}", keys, NOW),
        signature(headers, b"{ }", keys, NOW),
        signature({**headers, "x-amz-target": "DynamoDB_20120810.PutItem"}, b"{}", keys, NOW),
        signature(headers, b"{}", keys._replace(secret_key="other"), NOW),
        signature(headers, b"{}", keys, NOW.replace(second=10)),
        signature(headers, b"{}", keys._replace(token="token"), NOW),
    ]
    assert len(set(made)) == len(made)
