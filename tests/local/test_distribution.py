"""Reading a distribution: what is understood, and that all the rest is an error."""

import copy
from typing import Any

import pytest

from local import distribution_reader, service
from local.distribution import Caching, Forwarding
from local.identities import Place
from local.intrinsics import TemplateError
from local.template import Stack
from tests.running_cloud import ROOT

PLACE = Place("stack", "eu-west-1", "111122223333")
CACHING_DISABLED = "4135ea2d-6df8-44a3-9df3-4b5a84be39ad"
ALL_BUT_HOST = "b689b0a8-53d0-40ab-baf2-68738e2966ac"
ALL = ["GET", "HEAD", "OPTIONS", "PUT", "PATCH", "POST", "DELETE"]
BEHAVIOR = {"TargetOriginId": "api", "ViewerProtocolPolicy": "https-only", "CachePolicyId": CACHING_DISABLED}
RESOURCES: dict[str, Any] = {
    "Api": {"Type": "AWS::ApiGatewayV2::Api", "Properties": {"ProtocolType": "HTTP"}},
    "Bucket": {"Type": "AWS::S3::Bucket"},
    "Access": {
        "Type": "AWS::CloudFront::OriginAccessControl",
        "Properties": {
            "OriginAccessControlConfig": {
                "Name": "a",
                "OriginAccessControlOriginType": "s3",
                "SigningBehavior": "always",
                "SigningProtocol": "sigv4",
            }
        },
    },
    "Policy": {
        "Type": "AWS::CloudFront::OriginRequestPolicy",
        "Properties": {
            "OriginRequestPolicyConfig": {
                "Name": "p",
                "HeadersConfig": {"HeaderBehavior": "whitelist", "Headers": ["X-Amz-Checksum-Sha256"]},
                "CookiesConfig": {"CookieBehavior": "none"},
                "QueryStringsConfig": {"QueryStringBehavior": "all"},
            }
        },
    },
    "Cache": {
        "Type": "AWS::CloudFront::CachePolicy",
        "Properties": {
            "CachePolicyConfig": {
                "Name": "c",
                "MinTTL": 1,
                "DefaultTTL": 60,
                "MaxTTL": 3600,
                "ParametersInCacheKeyAndForwardedToOrigin": {
                    "EnableAcceptEncodingBrotli": False,
                    "EnableAcceptEncodingGzip": False,
                    "HeadersConfig": {"HeaderBehavior": "whitelist", "Headers": ["X-B", "x-a"]},
                    "CookiesConfig": {"CookieBehavior": "none"},
                    "QueryStringsConfig": {"QueryStringBehavior": "none"},
                },
            }
        },
    },
    "Keys": {"Type": "AWS::CloudFront::KeyValueStore", "Properties": {"Name": "keys"}},
    "Edge": {
        "Type": "AWS::CloudFront::Function",
        "Properties": {
            "Name": "edge",
            "AutoPublish": True,
            "FunctionConfig": {
                "Runtime": "cloudfront-js-2.0",
                "KeyValueStoreAssociations": [{"KeyValueStoreARN": {"Fn::GetAtt": "Keys.Arn"}}],
            },
            "FunctionCode": "code",
        },
    },
    "Distribution": {
        "Type": "AWS::CloudFront::Distribution",
        "Properties": {
            "DistributionConfig": {
                "Enabled": True,
                "CustomErrorResponses": [
                    {"ErrorCode": code, "ErrorCachingMinTTL": 0}
                    for code in (400, 403, 404, 405, 414, 416, 500, 501, 502, 503, 504)
                ],
                "Origins": [
                    {
                        "Id": "api",
                        "DomainName": {
                            "Fn::Select": [2, {"Fn::Split": ["/", {"Fn::GetAtt": "Api.ApiEndpoint"}]}]
                        },
                        "CustomOriginConfig": {"OriginReadTimeout": 29},
                        "OriginCustomHeaders": [{"HeaderName": "X-Own", "HeaderValue": "v"}],
                    },
                    {
                        "Id": "s3",
                        "DomainName": {"Fn::GetAtt": "Bucket.RegionalDomainName"},
                        "OriginPath": "/under",
                        "OriginAccessControlId": {"Fn::GetAtt": "Access.Id"},
                        "S3OriginConfig": {"OriginAccessIdentity": ""},
                    },
                ],
                "DefaultCacheBehavior": {
                    **BEHAVIOR,
                    "AllowedMethods": ALL,
                    "OriginRequestPolicyId": ALL_BUT_HOST,
                    "Compress": False,
                },
                "CacheBehaviors": [
                    {
                        **BEHAVIOR,
                        "PathPattern": "/s3/*",
                        "TargetOriginId": "s3",
                        "OriginRequestPolicyId": {"Ref": "Policy"},
                        "FunctionAssociations": [
                            {"EventType": "viewer-request", "FunctionARN": {"Fn::GetAtt": "Edge.FunctionARN"}}
                        ],
                    }
                ],
            }
        },
    },
}
KEYS_ARN = "arn:aws:cloudfront::111122223333:key-value-store/keys"


def declared(change=lambda resources, config: None):
    resources = copy.deepcopy(RESOURCES)
    change(resources, resources["Distribution"]["Properties"]["DistributionConfig"])
    return distribution_reader.declared(Stack(PLACE, {"Resources": resources}, {}))


def test_distribution_is_read():
    found = declared()
    first, default = found.behaviors
    assert (first.pattern, default.pattern) == ("/s3/*", "*")
    assert first.methods == {"GET", "HEAD"}
    assert default.methods == set(ALL)
    assert (first.origin.bucket, first.origin.path) == ("stack-bucket", "/under")
    assert default.origin.domain.endswith(".execute-api.eu-west-1.amazonaws.com")
    assert default.origin.bucket is None
    assert default.origin.headers == (("x-own", "v"),)
    assert default.origin.read_seconds == 29
    assert first.forwarding.headers == frozenset({"x-amz-checksum-sha256"})
    assert (first.forwarding.query, first.forwarding.cookies) == (True, False)
    assert default.forwarding.headers is None
    ((arn, function),) = found.functions.items()
    assert first.functions == {"viewer-request": arn}
    assert (function.code, function.store_arn) == ("code", KEYS_ARN)


def test_stack_without_a_distribution_has_none():
    assert declared(lambda resources, _: resources.pop("Distribution")) is None


def test_cache_policy_is_read():
    found = declared(set_in("CacheBehaviors.0.CachePolicyId", {"Ref": "Cache"}))
    cached, default = found.behaviors
    assert cached.caching == Caching(("x-a", "x-b"), 1, 60, 3600)
    # What tells answers apart goes to the origin as well.
    assert cached.forwarding.headers == frozenset({"x-a", "x-b", "x-amz-checksum-sha256"})
    assert default.caching is None


def test_downloads_of_the_template_are_cached_where_blobs_come_from_the_edge():
    path = "/v2/a/b/blobs/_edge/a1/1/direct/00/1/2/3/4"
    found = distribution_reader.declared(service.declared(ROOT, "", pulls="edge"))
    assert found is not None
    download = found.behavior(path)
    assert download.caching == Caching(("x-moorage-signed",), 0, 86400, 31536000)
    assert download.forwarding == Forwarding(headers=frozenset({"x-moorage-signed"}))
    assert download.methods == {"GET", "HEAD"}
    assert download.origin.bucket is not None
    assert [each for each in found.behaviors if each.caching] == [download]
    without = distribution_reader.declared(service.declared(ROOT, ""))
    assert without is not None
    assert without.behavior(path).pattern == "*"
    assert not [each for each in without.behaviors if each.caching]


def test_distribution_of_the_template_is_understood():
    found = distribution_reader.declared(service.declared(ROOT, "registry.example"))
    assert found is not None
    direct = found.behavior("/v2/a/b/blobs/uploads/_direct/x")
    assert direct.origin.bucket is not None
    assert direct.forwarding.headers == frozenset({"x-amz-checksum-sha256"})
    for path in ("/", "/v2/", "/token", "/v2/a/b/blobs/uploads/", "/v2/a/b/blobs/uploads/1"):
        assert found.behavior(path).pattern == "*"
    assert distribution_reader.declared(service.declared(ROOT, "", "off")) is None


def set_in(path, value):
    *parents, last = path.split(".")

    def change(resources, config):
        place = resources if parents and parents[0] in resources else config
        for name in parents:
            place = place[int(name) if name.isdecimal() else name]
        place[int(last) if last.isdecimal() else last] = value

    return change


def cached_by(path, value):
    def change(resources, config):
        set_in(f"Cache.Properties.CachePolicyConfig.{path}", value)(resources, config)
        config["CacheBehaviors"][0]["CachePolicyId"] = {"Ref": "Cache"}

    return change


def second(resources, _):
    resources["Second"] = resources["Distribution"]


def removed(name):
    return lambda resources, config: config["Origins"][1].pop(name)


ACCESS = "Access.Properties.OriginAccessControlConfig"
POLICY = "Policy.Properties.OriginRequestPolicyConfig"
EDGE = "Edge.Properties"


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (second, "2 distributions"),
        (set_in("WebACLId", "x"), "WebACLId"),
        (set_in("CustomErrorResponses", []), r"keeps the errors \[400, 403, 404, 405"),
        (set_in("CustomErrorResponses.2.ErrorCachingMinTTL", 1), r"keeps the errors \[404\]"),
        (set_in("CustomErrorResponses.0.ResponsePagePath", "/oops"), "ResponsePagePath"),
        (set_in("Origins.0.OriginShield", {}), "OriginShield"),
        (set_in("Origins.0.DomainName", "elsewhere.example"), "api is neither"),
        (set_in("Origins.1.DomainName", "elsewhere.example"), "no bucket of the stack"),
        (set_in("Origins.1.OriginAccessControlId", "E1"), "no origin access control E1"),
        (removed("OriginAccessControlId"), "s3 is neither"),
        (set_in(f"{ACCESS}.SigningBehavior", "never"), "always signs"),
        (set_in(f"{ACCESS}.OriginAccessControlOriginType", "lambda"), "always signs"),
        (
            set_in("DefaultCacheBehavior.CachePolicyId", "658327ea-f89d-4fab-a63d-7e88639e58f6"),
            "no policy of",
        ),
        (set_in("DefaultCacheBehavior.CachePolicyId", None), "no policy of"),
        (set_in("DefaultCacheBehavior.CachedMethods", ["GET", "HEAD", "OPTIONS"]), "other methods"),
        (
            cached_by("ParametersInCacheKeyAndForwardedToOrigin.EnableAcceptEncodingGzip", True),
            "other things",
        ),
        (
            cached_by("ParametersInCacheKeyAndForwardedToOrigin.CookiesConfig.CookieBehavior", "all"),
            "other things",
        ),
        (
            cached_by(
                "ParametersInCacheKeyAndForwardedToOrigin.QueryStringsConfig", {"QueryStringBehavior": "all"}
            ),
            "other things",
        ),
        (
            cached_by("ParametersInCacheKeyAndForwardedToOrigin.HeadersConfig.HeaderBehavior", "allViewer"),
            "by another rule",
        ),
        (cached_by("StaleTTL", 1), "StaleTTL"),
        (set_in("DefaultCacheBehavior.Compress", True), "compresses"),
        (set_in("DefaultCacheBehavior.ForwardedValues", {}), "ForwardedValues"),
        (set_in("DefaultCacheBehavior.AllowedMethods", ["GET", "HEAD", "PUT"]), "a set that"),
        (set_in("DefaultCacheBehavior.TargetOriginId", "none"), "no origin"),
        (set_in("DefaultCacheBehavior.OriginRequestPolicyId", "x"), "policy x"),
        (set_in("DefaultCacheBehavior.LambdaFunctionAssociations", []), "LambdaFunctionAssociations"),
        (set_in("CacheBehaviors.0.FunctionAssociations.0.EventType", "origin-request"), "other events"),
        (set_in("CacheBehaviors.0.FunctionAssociations.0.FunctionARN", "arn:x"), "arn:x"),
        (set_in(f"{POLICY}.HeadersConfig", {"HeaderBehavior": "allViewer"}), "by another rule"),
        (set_in(f"{POLICY}.CookiesConfig.CookieBehavior", "whitelist"), "some of"),
        (set_in(f"{POLICY}.QueryStringsConfig.QueryStringBehavior", "allExcept"), "some of"),
        (set_in(f"{EDGE}.AutoPublish", False), "published"),
        (set_in(f"{EDGE}.FunctionConfig.Runtime", "cloudfront-js-1.0"), "cloudfront-js-2.0"),
        (set_in(f"{EDGE}.FunctionMetadata", {}), "FunctionMetadata"),
        (
            set_in(f"{EDGE}.FunctionConfig.KeyValueStoreAssociations", [{"KeyValueStoreARN": "a"}] * 2),
            "more than one",
        ),
    ],
)
def test_anything_else_is_an_error(change, complaint):
    with pytest.raises(TemplateError, match=complaint):
        declared(change)
