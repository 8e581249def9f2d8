"""An organisation with a hundred groups and as many policies as wanted, and those who ask it for tokens."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm

from moorage.adapters.dynamodb import DynamoTable
from moorage.domain.principals import SUPERUSERS, ServiceAccount, group_link, identity_link
from moorage.domain.resources import Kind, ResourceRecord
from moorage.domain.specs import SPECS
from moorage.ports.resources import POLICIES_OF_A_PRINCIPAL
from moorage.services.accounts import AccountAdministration
from moorage.services.keys import KeyAdministration

GROUPS = 100

SUPERUSER = "superuser"
ACCOUNT = "service account that one policy names"
REFUSED = "service account that one policy names, refused"
MEMBER = "service account in 100 groups"
USER = "user in 20 groups, in 10 of them by a query"
IDENTITY = "identity that one policy names"
PULLING = "identity without a policy"
NAMED = f"service account that {POLICIES_OF_A_PRINCIPAL:,} policies name, refused"
SHARED = "service account in 100 groups that all policies name, refused"

_USER_GROUPS = range(10, 30)
_QUERYING = range(20, 30)
_USER = "jane@example.com"
_TEAM = {"team": "blue"}
_ISSUER = "https://issuer.example.com"
_SUBJECT = "system:serviceaccount:shop:web"
_AUDIENCE = "moorage"
_OTHER = "forbidden"
_BOTH = ("pull", "push")


@dataclass(frozen=True)
class Asking:
    """Credentials with which somebody asks for a token, for what in which repository, and what is granted."""

    user: str
    secret: str
    repository: str
    actions: Sequence[str] = _BOTH
    granted: Sequence[str] = _BOTH


class Organisation:
    """Filled by the adapters that the registry itself uses."""

    def __init__(self, table: DynamoTable, name: str) -> None:
        self._table = table
        self._name = name
        self._now = datetime.now(UTC)
        self._accounts = AccountAdministration(table, lambda: self._now)
        self._keys = KeyAdministration(table, table, lambda: self._now)
        self._accounts.create_organisation(name)

    def fill(self, policies: int) -> dict[str, Asking]:
        """Policies of which few name those who ask, however many there are: the others are other people's."""
        root = self._accounts.create_service_account(self._name, "root", groups=[SUPERUSERS])
        account, member, named = (self._account(name) for name in ("account", "member", "named"))
        user = self._create(Kind.USER, _USER, tags=_TEAM)
        self._create_groups(member.link, user.link)
        self._create(Kind.GVC, "apps")
        worker, reader = (self._identity(name) for name in ("worker", "reader"))
        own = {
            "account": [account.link],
            "member": [self._group(GROUPS - 1)],
            "user": [self._group(_QUERYING[-1])],
            "worker": [worker.link],
            "groups": [self._group(number) for number in range(GROUPS)],
        }
        for name, principals in own.items():
            self._policy(name, principals)
        for number in range(policies - len(own)):
            robot = ServiceAccount(self._name, f"robot-{number}").link
            everywhere = [named.link] if number < POLICIES_OF_A_PRINCIPAL else []
            self._policy(f"robot-{number}", [robot, *everywhere], repository=f"robots/{number}")
        return {
            SUPERUSER: self._with_key(root.link, "any"),
            ACCOUNT: self._with_key(account.link, "account"),
            REFUSED: self._with_key(account.link, _OTHER, granted=()),
            MEMBER: self._with_key(member.link, "member"),
            USER: self._with_key(user.link, "user"),
            IDENTITY: self._with_token(worker, "worker"),
            PULLING: self._with_token(reader, "any", granted=("pull",), actions=("pull",)),
            NAMED: self._with_key(named.link, _OTHER, granted=()),
        }

    def fill_shared(self, policies: int) -> dict[str, Asking]:
        """Policies that all name a group of who asks, the hundred groups in turn."""
        member = self._account("member")
        self._create_groups(member.link, member.link)
        for number in range(policies):
            self._policy(f"team-{number}", [self._group(number % GROUPS)], repository=f"teams/{number}")
        return {SHARED: self._with_key(member.link, _OTHER, granted=())}

    def _account(self, name: str) -> ServiceAccount:
        return self._accounts.create_service_account(self._name, name)

    def _create_groups(self, member: str, user: str) -> None:
        query = {"spec": {"terms": [{"tag": "team", "op": "=", "value": _TEAM["team"]}]}}
        for number in range(GROUPS):
            listed = number in _USER_GROUPS and number not in _QUERYING
            fields: dict[str, Any] = {"memberLinks": [member, *([user] if listed else [])]}
            if number in _QUERYING:
                fields["memberQuery"] = query
            self._create(Kind.GROUP, f"group-{number}", fields)

    def _group(self, number: int) -> str:
        return group_link(self._name, f"group-{number}")

    def _policy(self, name: str, principals: Sequence[str], repository: str | None = None) -> None:
        terms = [{"property": "repository", "op": "=", "value": repository or name}]
        fields = {
            "targetKind": "image",
            "targetQuery": {"spec": {"match": "all", "terms": terms}},
            "bindings": [{"permissions": ["create", "pull"], "principalLinks": list(principals)}],
        }
        self._create(Kind.POLICY, name, fields)

    def _identity(self, name: str) -> _Workload:
        key = ec.generate_private_key(ec.SECP256R1())
        jwk = {**json.loads(ECAlgorithm.to_jwk(key.public_key())), "kid": name}
        rule = {
            "issuer": _ISSUER,
            "audience": _AUDIENCE,
            "claims": {"sub": _SUBJECT},
            "jwks": {"keys": [{part: jwk[part] for part in ("kty", "crv", "x", "y", "kid")}]},
        }
        self._create(Kind.IDENTITY, f"apps/{name}", {"trust": [rule]})
        return _Workload(identity_link(self._name, "apps", name), key, name)

    def _create(
        self,
        kind: Kind,
        name: str,
        fields: Mapping[str, Any] | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> ResourceRecord:
        spec = SPECS[kind].parse(self._name, fields or {}, None)
        record = ResourceRecord(
            kind, self._name, name, str(uuid.uuid4()), 1, self._now, self._now, tags=tags or {}, spec=spec
        )
        self._table.create(record)
        return record

    def _with_key(self, link: str, image: str, granted: Sequence[str] = _BOTH) -> Asking:
        secret = self._keys.add(link, f"for-{image}").secret
        return Asking("<token>", secret, f"{self._name}/{image}", granted=granted)

    def _with_token(
        self,
        workload: _Workload,
        image: str,
        *,
        actions: Sequence[str] = _BOTH,
        granted: Sequence[str] = _BOTH,
    ) -> Asking:
        token = workload.token(self._now)
        return Asking(workload.link, token, f"{self._name}/{image}", actions, granted)


@dataclass(frozen=True)
class _Workload:
    """An identity, and the key of the issuer that it trusts."""

    link: str
    key: ec.EllipticCurvePrivateKey
    kid: str

    def token(self, now: datetime) -> str:
        """A token of the issuer's, for twelve hours."""
        claims = {
            "iss": _ISSUER,
            "sub": _SUBJECT,
            "aud": _AUDIENCE,
            "iat": now,
            "exp": now + timedelta(hours=12),
        }
        return jwt.encode(claims, self.key, algorithm="ES256", headers={"kid": self.kid})
