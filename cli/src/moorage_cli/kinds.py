"""The kinds of resources that the management API serves alike, as the command sees them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from moorage_cli.errors import Misused
from moorage_cli.image_names import check_image_name, image_reference
from moorage_cli.nouns import Json, Noun, gvc_option
from moorage_cli.output import Column, amount

if TYPE_CHECKING:
    from moorage_cli.session import Session

_SHORT_DIGEST = 16

_NAME = Column("NAME", "name", whole=True)
_DESCRIPTION = Column("DESCRIPTION", "description")
_CREATED = Column("CREATED", "created", time=True)
_ORIGIN = Column("ORIGIN", "origin")
_TAGS = Column("TAGS", "tags")


def _matches(policy: Json) -> str:
    """The ways in which a policy selects: ``all``, or ``query``, ``links`` or both."""
    if policy.get("target") == "all":
        return "all"
    ways = (("query", "targetQuery"), ("links", "targetLinks"))
    return ",".join(way for way, field in ways if policy.get(field))


def _members(group: Json) -> str:
    """How many members a group names, and whether a query finds more."""
    named = len(group.get("memberLinks") or ())
    return f"{named}+query" if group.get("memberQuery") else str(named)


def _issuers(identity: Json) -> list[str]:
    return [str(rule.get("issuer", "")) for rule in identity.get("trust") or ()]


def _organisation(_: Session, reference: str) -> str:
    """Nothing below an organisation is one: a name with a slash would lead there."""
    if "/" in reference.removeprefix("/org/"):
        raise Misused(f"{reference!r} names no organisation", "write its name, or /org/NAME")
    return reference


def _address(image: Json, place: str) -> str:
    """What docker pull takes."""
    return f"{place}/{image.get('name', '')}"


def _digest(image: Json) -> str:
    return str(image.get("digest") or "").partition(":")[2]


def _size(image: Json) -> str:
    return amount(image.get("size"))


def _source(job: Json) -> str:
    source = job.get("source")
    if not isinstance(source, dict):
        return ""
    selected = source.get("tag") or source.get("tagPattern")
    pin = f"@{source.get('digest', '')}"[: _SHORT_DIGEST + len("@sha256:")]
    return f"{source.get('org', '')}/{source.get('repository', '')}{f':{selected}' if selected else pin}"


def _destination(job: Json) -> str:
    destination = job.get("destination")
    if not isinstance(destination, dict):
        return ""
    tag = destination.get("tag")
    name = f"{destination.get('org', '')}/{destination.get('repository', '')}"
    return f"{name}:{tag}" if tag else name


def _done(job: Json) -> str:
    done = (job.get("progress") or {}).get("manifests") or {}
    return f"{done.get('done', 0)}/{done.get('total', 0)} manifests"


IMAGE = Noun(
    "image",
    "images",
    (
        _NAME,
        Column("PULL", _address, placed=True, whole=True),
        Column("DIGEST", _digest, whole=True, cut=_SHORT_DIGEST),
        Column("SIZE", _size),
        _CREATED,
        _TAGS,
    ),
    reference=image_reference,
    check=check_image_name,
    page_size=1000,
    forced=False,
    fixed=frozenset(
        {
            "repository",
            "tag",
            "digest",
            "mediaType",
            "size",
            "platforms",
            "pushed",
            "pushedBy",
            "manifest",
        }
    ),
)
JOB = Noun(
    "job",
    "jobs",
    (
        Column("ID", "id", whole=True),
        Column("STATE", "state", whole=True),
        Column("SOURCE", _source),
        Column("DESTINATION", _destination),
        Column("PROGRESS", _done),
        _CREATED,
        Column("REASON", "reason"),
    ),
    page_size=100,
)
POLICY = Noun(
    "policy",
    "policies",
    (
        _NAME,
        _DESCRIPTION,
        _CREATED,
        Column("TARGET KIND", "targetKind"),
        Column("MATCHES", _matches),
        _ORIGIN,
        _TAGS,
    ),
)
GROUP = Noun("group", "groups", (_NAME, _DESCRIPTION, _CREATED, Column("MEMBERS", _members), _ORIGIN, _TAGS))
SERVICE_ACCOUNT = Noun(
    "serviceaccount",
    "service accounts",
    (_NAME, _DESCRIPTION, _CREATED, _TAGS),
    fixed=frozenset({"keys"}),
)
USER = Noun(
    "user", "users", (_NAME, _DESCRIPTION, _CREATED, _TAGS), fixed=frozenset({"email", "idp", "keys"})
)
GVC = Noun("gvc", "groups of workloads", (_NAME, _DESCRIPTION, _CREATED, _TAGS))
IDENTITY = Noun(
    "identity",
    "workload identities",
    (_NAME, Column("GVC", "gvc"), _DESCRIPTION, _CREATED, Column("TRUSTS", _issuers), _TAGS),
    collection="/org/{org}/gvc/{gvc}/{kind}",
    scope=(gvc_option("The group of workloads that it belongs to"),),
    fixed=frozenset({"gvc"}),
)
ORG = Noun(
    "org",
    "organisations",
    (
        _NAME,
        _DESCRIPTION,
        _CREATED,
        Column("IDENTITY PULL", "identityPull"),
        Column("STORE", "store"),
        _TAGS,
    ),
    collection="/org",
    schema="{collection}/{org}/-schema/permissions",
    reference=_organisation,
)
