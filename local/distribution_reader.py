"""Reads a CloudFront distribution from the template.

What is not understood is an error at the start: a behaviour that was left out would be a guess.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from local.distribution import Behavior, Caching, Distribution, Forwarding, FunctionDeclaration, Origin
from local.intrinsics import TemplateError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from local.template import Resource, Stack

_CACHING_DISABLED = "4135ea2d-6df8-44a3-9df3-4b5a84be39ad"
_ALL_VIEWER_EXCEPT_HOST = "b689b0a8-53d0-40ab-baf2-68738e2966ac"
_READ = {"GET", "HEAD"}
_METHOD_SETS = (
    _READ,
    _READ | {"OPTIONS"},
    _READ | {"OPTIONS", "PUT", "PATCH", "POST", "DELETE"},
)
_READ_SECONDS = 30.0
# Without a raised quota.
_MOST_READ_SECONDS = 120
# These change nothing about one machine.
_OF_NO_CONSEQUENCE = {"Enabled", "Comment", "HttpVersion", "IPV6Enabled", "Aliases", "ViewerCertificate"}
_DISTRIBUTION = {
    "Origins",
    "DefaultCacheBehavior",
    "CacheBehaviors",
    "CustomErrorResponses",
    "PriceClass",
    *_OF_NO_CONSEQUENCE,
}
# Errors that CloudFront keeps for ten seconds, whatever the cache policy says, unless it is told otherwise.
# https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/HTTPStatusCodes.html
_KEPT_ERRORS = {400, 403, 404, 405, 414, 416, 500, 501, 502, 503, 504}
_ORIGIN = {
    "Id",
    "DomainName",
    "OriginPath",
    "CustomOriginConfig",
    "OriginCustomHeaders",
    "OriginAccessControlId",
    "S3OriginConfig",
}
_BEHAVIOR = {
    "PathPattern",
    "TargetOriginId",
    "ViewerProtocolPolicy",
    "AllowedMethods",
    "CachedMethods",
    "CachePolicyId",
    "Compress",
    "OriginRequestPolicyId",
    "FunctionAssociations",
}


def declared(stack: Stack) -> Distribution | None:
    """The stack's distribution, or None when it has none.

    Raises:
        TemplateError: there are several, or it says what the local cloud does not understand.
    """
    found = stack.of_kind("AWS::CloudFront::Distribution")
    if not found:
        return None
    if len(found) > 1:
        raise TemplateError(f"the template declares {len(found)} distributions instead of one")
    return _Reader(stack).distribution(found[0].properties["DistributionConfig"])


class _Reader:
    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._buckets = {
            stack.attribute(bucket.logical_id, "RegionalDomainName"): stack.ref(bucket.logical_id)
            for bucket in stack.of_kind("AWS::S3::Bucket")
        }
        self._apis = {
            stack.attribute(api.logical_id, "ApiEndpoint").removeprefix("https://")
            for api in stack.of_kind("AWS::ApiGatewayV2::Api")
        }
        self._endpoints = {
            stack.attribute(endpoint.logical_id, "DomainName"): endpoint.logical_id
            for endpoint in stack.of_kind("AWS::Lambda::WebFunctionEndpoint")
        }

    def distribution(self, config: Mapping[str, Any]) -> Distribution:
        _only(config, _DISTRIBUTION, "the distribution")
        _check_errors(config.get("CustomErrorResponses", []))
        origins = {origin["Id"]: self._origin(origin) for origin in config["Origins"]}
        functions = {
            self._stack.ref(function.logical_id): self._function(function)
            for function in self._stack.of_kind("AWS::CloudFront::Function")
        }
        declared = [*config.get("CacheBehaviors", []), {**config["DefaultCacheBehavior"], "PathPattern": "*"}]
        behaviors = [self._behavior(behavior, origins) for behavior in declared]
        for behavior in behaviors:
            if unknown := set(behavior.functions.values()) - functions.keys():
                raise TemplateError(
                    f"{behavior.pattern} uses {sorted(unknown)}, which the stack does not hold"
                )
        return Distribution(behaviors, functions)

    def _origin(self, origin: Mapping[str, Any]) -> Origin:
        name, domain = f"origin {origin['Id']}", origin["DomainName"]
        _only(origin, _ORIGIN, name)
        bucket = None
        if "OriginAccessControlId" in origin:
            bucket = self._buckets.get(domain)
            if bucket is None:
                raise TemplateError(f"{name} is at {domain}, which is no bucket of the stack")
            self._check_access_control(origin["OriginAccessControlId"])
        elif domain not in {*self._apis, *self._endpoints} or "CustomOriginConfig" not in origin:
            raise TemplateError(
                f"{name} is neither the stack's API, nor a web function, nor a bucket with an access control"
            )
        headers = tuple(
            (header["HeaderName"].lower(), str(header["HeaderValue"]))
            for header in origin.get("OriginCustomHeaders", [])
        )
        seconds = origin.get("CustomOriginConfig", {}).get("OriginReadTimeout", _READ_SECONDS)
        if not 1 <= seconds <= _MOST_READ_SECONDS:
            raise TemplateError(f"{name} has {seconds} s to answer, more than CloudFront gives")
        endpoint = self._endpoints.get(domain)
        return Origin(domain, origin.get("OriginPath", ""), bucket, headers, float(seconds), endpoint)

    def _check_access_control(self, identifier: str) -> None:
        for resource in self._stack.of_kind("AWS::CloudFront::OriginAccessControl"):
            if self._stack.ref(resource.logical_id) == identifier:
                config = resource.properties["OriginAccessControlConfig"]
                kind = [
                    config.get(f)
                    for f in ("OriginAccessControlOriginType", "SigningBehavior", "SigningProtocol")
                ]
                if kind != ["s3", "always", "sigv4"]:
                    raise TemplateError(f"{resource.logical_id} is not one that always signs for S3")
                return
        raise TemplateError(f"there is no origin access control {identifier}")

    def _behavior(self, behavior: Mapping[str, Any], origins: Mapping[str, Origin]) -> Behavior:
        pattern = behavior["PathPattern"]
        _only(behavior, _BEHAVIOR, f"behaviour {pattern}")
        if behavior["TargetOriginId"] not in origins:
            raise TemplateError(
                f"behaviour {pattern} leads to {behavior['TargetOriginId']}, which is no origin"
            )
        if behavior.get("Compress") not in {None, False}:
            raise TemplateError(f"behaviour {pattern} compresses, which the local cloud does not")
        if not set(behavior.get("CachedMethods", _READ)) <= _READ:
            raise TemplateError(f"behaviour {pattern} caches the answers to other methods than GET and HEAD")
        caching = self._caching(pattern, behavior.get("CachePolicyId"))
        methods = set(behavior.get("AllowedMethods", _READ))
        if methods not in _METHOD_SETS:
            raise TemplateError(
                f"behaviour {pattern} allows {sorted(methods)}, a set that CloudFront does not take"
            )
        functions = {
            association["EventType"]: association["FunctionARN"]
            for association in behavior.get("FunctionAssociations", [])
        }
        if functions.keys() - {"viewer-request", "viewer-response"}:
            raise TemplateError(f"behaviour {pattern} has functions for other events than a viewer's")
        forwarding = self._forwarding(behavior.get("OriginRequestPolicyId"))
        if caching and forwarding.headers is not None:
            # What tells answers apart goes to the origin.
            forwarding = replace(forwarding, headers=forwarding.headers | set(caching.headers))
        origin = origins[behavior["TargetOriginId"]]
        return Behavior(pattern, origin, frozenset(methods), forwarding, functions, caching)

    def _caching(self, pattern: str, identifier: str | None) -> Caching | None:
        if identifier == _CACHING_DISABLED:
            return None
        for resource in self._stack.of_kind("AWS::CloudFront::CachePolicy"):
            if self._stack.ref(resource.logical_id) == identifier:
                return _cache_policy(resource)
        raise TemplateError(f"behaviour {pattern} caches by {identifier}, which is no policy of the stack")

    def _forwarding(self, identifier: str | None) -> Forwarding:
        if identifier is None:
            return Forwarding()
        if identifier == _ALL_VIEWER_EXCEPT_HOST:
            return Forwarding(headers=None, query=True, cookies=True)
        for resource in self._stack.of_kind("AWS::CloudFront::OriginRequestPolicy"):
            if self._stack.ref(resource.logical_id) == identifier:
                return _policy(resource)
        raise TemplateError(f"origin request policy {identifier} is not known")

    def _function(self, resource: Resource) -> FunctionDeclaration:
        properties, name = resource.properties, resource.logical_id
        _only(properties, {"Name", "AutoPublish", "FunctionConfig", "FunctionCode"}, name)
        config = properties["FunctionConfig"]
        _only(config, {"Comment", "Runtime", "KeyValueStoreAssociations"}, name)
        if config["Runtime"] != "cloudfront-js-2.0" or not properties.get("AutoPublish"):
            raise TemplateError(f"{name} is not a published function of cloudfront-js-2.0")
        stores = [store["KeyValueStoreARN"] for store in config.get("KeyValueStoreAssociations", [])]
        if len(stores) > 1:
            raise TemplateError(f"{name} has more than one KeyValueStore")
        return FunctionDeclaration(name, properties["FunctionCode"], stores[0] if stores else None)


def _check_errors(responses: Sequence[Mapping[str, Any]]) -> None:
    """The local cloud keeps no error and has no pages for them."""
    for response in responses:
        _only(response, {"ErrorCode", "ErrorCachingMinTTL"}, "an error response")
    forgotten = {int(each["ErrorCode"]) for each in responses if each.get("ErrorCachingMinTTL") == 0}
    if kept := _KEPT_ERRORS - forgotten:
        raise TemplateError(
            f"the distribution keeps the errors {sorted(kept)}, which the local cloud does not"
        )


def _cache_policy(resource: Resource) -> Caching:
    config, name = resource.properties["CachePolicyConfig"], resource.logical_id
    known = {"Name", "Comment", "MinTTL", "DefaultTTL", "MaxTTL", "ParametersInCacheKeyAndForwardedToOrigin"}
    _only(config, known, name)
    parameters = config["ParametersInCacheKeyAndForwardedToOrigin"]
    encodings = {"EnableAcceptEncodingBrotli", "EnableAcceptEncodingGzip"}
    _only(parameters, {"HeadersConfig", "CookiesConfig", "QueryStringsConfig", *encodings}, name)
    others = {
        parameters["CookiesConfig"]["CookieBehavior"],
        parameters["QueryStringsConfig"]["QueryStringBehavior"],
    }
    if others != {"none"} or any(parameters.get(encoding) for encoding in encodings):
        raise TemplateError(f"{name} tells answers apart by other things than the path and headers")
    headers = _headers(parameters["HeadersConfig"], name)
    seconds = (float(config[ttl]) for ttl in ("MinTTL", "DefaultTTL", "MaxTTL"))
    return Caching(tuple(sorted(headers)), *seconds)


def _headers(config: Mapping[str, Any], name: str) -> frozenset[str]:
    if config["HeaderBehavior"] == "whitelist":
        return frozenset(header.lower() for header in config["Headers"])
    if config["HeaderBehavior"] != "none":
        raise TemplateError(f"{name} forwards headers by another rule than a list of names")
    return frozenset()


def _policy(resource: Resource) -> Forwarding:
    config, name = resource.properties["OriginRequestPolicyConfig"], resource.logical_id
    _only(config, {"Name", "Comment", "HeadersConfig", "CookiesConfig", "QueryStringsConfig"}, name)
    headers = _headers(config["HeadersConfig"], name)
    cookies = config["CookiesConfig"]["CookieBehavior"]
    query = config["QueryStringsConfig"]["QueryStringBehavior"]
    if {cookies, query} - {"none", "all"}:
        raise TemplateError(f"{name} forwards some of the cookies or of the query, not all or none")
    return Forwarding(headers, query == "all", cookies == "all")


def _only(given: Mapping[str, Any], known: set[str], owner: str) -> None:
    if unknown := given.keys() - known:
        raise TemplateError(f"the local cloud does not know {sorted(unknown)} of {owner}")
