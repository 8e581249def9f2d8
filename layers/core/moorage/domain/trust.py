"""Trust rules: which tokens of which issuers prove to be the workload that an identity stands for."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from moorage.domain.claim_patterns import ClaimPattern, parse_claim_patterns
from moorage.domain.errors import InvalidInput
from moorage.domain.issuers import parse_issuer
from moorage.domain.jwks import PublicJwk, parse_given_jwks
from moorage.domain.links import Link, parse_link
from moorage.domain.principals import parse_resource_name
from moorage.domain.resources import reject_unknown

_LINK = re.compile(r"/?org/[^/]+/gvc/[^/]+/identity/[^/]+")
_FIELDS = ("name", "issuer", "audience", "claims", "jwks")
RULES_MAX = 10
"""Trust rules of an identity."""

_GIVEN_KEYS_MAX = 10
_AUDIENCES_MAX = 10
_AUDIENCE = re.compile(r"[\x21-\x7e]{1,255}", re.ASCII)
_LEEWAY = timedelta(seconds=30)
_LIFE_MAX = timedelta(hours=24)

_EXACT = r"[^*]+"
# Issuers that give tokens to everybody who has an account there. A rule for one of them has to say whose
# tokens it means: one of these claims, with a pattern in which the owner is written out.
_SHARED_ISSUERS: Mapping[str, Mapping[str, str]] = {
    "https://token.actions.githubusercontent.com": {
        "sub": r"repo:[^*/:]+/.+",
        "repository": r"[^*/]+/.+",
        "repository_id": _EXACT,
        "repository_owner": _EXACT,
        "repository_owner_id": _EXACT,
    },
    "https://gitlab.com": {
        "sub": r"project_path:[^*/:]+/.+",
        "project_path": r"[^*/]+/.+",
        "project_id": _EXACT,
        "namespace_path": r"[^*/]+(?:/.*)?",
        "namespace_id": _EXACT,
    },
    "https://agent.buildkite.com": {
        "sub": r"organization:[^*:]+:.+",
        "organization_slug": _EXACT,
        "organization_id": _EXACT,
    },
    "https://app.terraform.io": {
        "sub": r"organization:[^*:]+:.+",
        "terraform_organization_name": _EXACT,
        "terraform_organization_id": _EXACT,
    },
    "https://accounts.google.com": {"sub": _EXACT, "email": _EXACT},
}


def is_identity_link(text: str) -> bool:
    """Whether ``text`` has the form ``/org/ORG/gvc/GVC/identity/NAME``, with its first slash or without."""
    return _LINK.fullmatch(text) is not None


def parse_identity(text: str) -> Link:
    """The identity that ``text`` names, in the same form.

    Raises:
        InvalidInput: it has another form, or one of its names is malformed.
    """
    if not is_identity_link(text):
        raise InvalidInput("an identity is named /org/ORGANISATION/gvc/GVC/identity/NAME")
    return parse_link(f"/{text.removeprefix('/')}", "")


@dataclass(frozen=True, slots=True)
class TrustRule:
    """Which tokens are accepted: those of ``issuer``, for one of ``audiences``, that every pattern fits.

    Without ``audiences`` the audience is the registry's default for the organisation. ``keys`` are the
    issuer's keys where the registry cannot fetch them; None means that it does.
    """

    issuer: str
    audiences: frozenset[str]
    claims: tuple[ClaimPattern, ...]
    keys: tuple[PublicJwk, ...] | None = None

    def refusal(self, claims: Mapping[str, Any], now: datetime, default_audience: str) -> str | None:
        """Why a token of this issuer with these claims is refused ``now``; None when it is accepted."""
        return (
            _untimely(claims, now)
            or self._misaddressed(claims.get("aud"), default_audience)
            or self._unexpected(claims)
        )

    def _misaddressed(self, found: Any, default_audience: str) -> str | None:
        audiences = self.audiences or {default_audience}
        named = found if isinstance(found, list) else [found]
        if any(isinstance(each, str) and each in audiences for each in named):
            return None
        if self.audiences:
            return "the token's audience (aud) is none that the identity's trust rule names"
        return f"the token's audience (aud) is not {default_audience}"

    def _unexpected(self, claims: Mapping[str, Any]) -> str | None:
        for pattern in self.claims:
            if not pattern.matches(claims):
                return f"the token's claim {pattern.name} does not fit the identity's trust rule"
        return None


def _untimely(claims: Mapping[str, Any], now: datetime) -> str | None:
    for name in ("exp", "nbf", "iat"):
        value = claims.get(name)
        number = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < math.inf
        if not number and (name == "exp" or value is not None):
            return f"the token's time {name} is missing or not a number"
    moment = now.timestamp()
    if claims["exp"] <= moment:
        return "the token has expired"
    if claims["exp"] > moment + _LIFE_MAX.total_seconds():
        return "the token is valid for more than 24 hours; ask its issuer for one that lives shorter"
    latest = moment + _LEEWAY.total_seconds()
    if any(claims.get(name) is not None and claims[name] > latest for name in ("nbf", "iat")):
        return "the token is not valid yet"
    return None


def parse_trust(spec: Mapping[str, Any]) -> tuple[TrustRule, ...]:
    """The trust rules in the spec of an identity; none where it has no ``trust``.

    Raises:
        InvalidInput: a rule that is malformed, or that would trust more than anybody can want; the message
            says which rule and why.
    """
    rules = spec.get("trust")
    if rules is None:
        return ()
    if not isinstance(rules, list) or len(rules) > RULES_MAX:
        raise InvalidInput(f"trust is a list of at most {RULES_MAX} rules")
    parsed = []
    names: set[str] = set()
    for place, rule in enumerate(rules):
        try:
            parsed.append(_parse_rule(rule, names))
        except InvalidInput as error:
            raise InvalidInput(f"trust[{place}]: {error.message}") from None
    return tuple(parsed)


def _parse_rule(rule: Any, names: set[str]) -> TrustRule:
    if not isinstance(rule, Mapping):
        raise InvalidInput("a rule is an object")
    reject_unknown(rule, _FIELDS, "a rule")
    _take_name(rule.get("name"), names)
    given = rule.get("jwks")
    keys = None if given is None else parse_given_jwks(given, _GIVEN_KEYS_MAX)
    issuer = parse_issuer(rule.get("issuer"), fetched=keys is None)
    claims = parse_claim_patterns(rule.get("claims", {}))
    _require_owner(issuer, claims)
    return TrustRule(issuer, _parse_audiences(rule.get("audience")), claims, keys)


def _take_name(name: Any, names: set[str]) -> None:
    """Note the name of a rule, if it has one: by it a patch finds the rule, and nothing else asks for it."""
    if name is None:
        return
    if not isinstance(name, str):
        raise InvalidInput("the name of a rule is a string")
    if parse_resource_name(name) in names:
        raise InvalidInput("a rule before it has the same name")
    names.add(name)


def _parse_audiences(audience: Any) -> frozenset[str]:
    if audience is None:
        return frozenset()
    audiences = audience if isinstance(audience, list) else [audience]
    if not 0 < len(audiences) <= _AUDIENCES_MAX:
        raise InvalidInput(f"audience is a string or a list of 1 to {_AUDIENCES_MAX}")
    if not all(isinstance(each, str) and _AUDIENCE.fullmatch(each) for each in audiences):
        raise InvalidInput("an audience has 1 to 255 visible ASCII characters; it is compared as it stands")
    return frozenset(audiences)


def _require_owner(issuer: str, claims: tuple[ClaimPattern, ...]) -> None:
    """Refuse a rule that everybody fits to whom the issuer gives tokens."""
    owners = _SHARED_ISSUERS.get(issuer.rstrip("/"))
    if owners is None:
        if not any(pattern.constrains for pattern in claims):
            raise InvalidInput(
                "claims has no pattern that tells tokens apart, so every token of the issuer for this "
                "audience would be accepted; name at least the sub that is meant"
            )
        return
    for pattern in claims:
        form = owners.get(pattern.path[0]) if len(pattern.path) == 1 else None
        if form is not None and all(re.fullmatch(form, glob.text) for glob in pattern.alternatives):
            return
    raise InvalidInput(
        f"everybody with an account there gets tokens from {issuer}, so a rule has to say whose it means: "
        f"claims needs a pattern for one of {', '.join(owners)}, with the owner written out in it"
    )
