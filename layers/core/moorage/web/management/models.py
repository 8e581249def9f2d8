"""The shapes of what the management API takes and gives."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictFloat, StrictInt, StrictStr
from pydantic.alias_generators import to_camel

from moorage.domain.query_values import Operator
from moorage.domain.resources import DESCRIPTION_MAX, TAG_KEY_MAX, TAG_VALUE_MAX, TAGS_MAX
from moorage.domain.trust import RULES_MAX

EMAILS_MAX = 50
"""E-mail addresses of one invitation."""

Name = Annotated[StrictStr, Field(min_length=2, max_length=64, pattern=r"^[a-z][-a-z0-9]*[a-z0-9]$")]
Description = Annotated[StrictStr, Field(max_length=DESCRIPTION_MAX)]
TagValue = StrictBool | StrictInt | StrictFloat | Annotated[StrictStr, Field(max_length=TAG_VALUE_MAX)]
Tags = Annotated[
    dict[Annotated[StrictStr, Field(min_length=1, max_length=TAG_KEY_MAX)], TagValue],
    Field(max_length=TAGS_MAX, description="Metadata."),
]
Links = list[StrictStr]


class Shape(BaseModel):
    """An object whose fields are all known."""

    model_config = ConfigDict(extra="forbid", alias_generator=to_camel, validate_by_name=True)


class Writable(Shape):
    """What every resource takes. Fields that are read only may be sent back and are ignored."""

    name: Name
    description: Description | None = None
    tags: Tags | None = None


class Term(Shape):
    """A condition: exactly one of `property`, `tag` and `rel`, and a value unless `op` asks for existence."""

    op: Operator = Operator.EQUAL
    property: StrictStr | None = None
    tag: StrictStr | None = None
    rel: StrictStr | None = None
    value: StrictBool | StrictInt | StrictFloat | StrictStr | None = None


class Sort(Shape):
    """The order of a result."""

    by: StrictStr
    order: Literal["asc", "desc"] = "asc"


class QuerySpec(Shape):
    """Conditions, and how many of them have to hold."""

    match: Literal["all", "any", "none"] = "all"
    terms: list[Term] = []
    sort: Sort | None = None


class Query(Shape):
    """A selection of resources of one kind."""

    kind: StrictStr | None = None
    context: dict[str, Any] | None = None
    fetch: Literal["items", "links"] = "items"
    spec: QuerySpec | None = None


class Binding(Shape):
    """These principals hold these permissions."""

    permissions: list[StrictStr]
    principal_links: Links


class PolicyBody(Writable):
    """A policy: for which resources of one kind, who holds which permissions."""

    target_kind: StrictStr
    target: Literal["all"] | None = None
    target_links: Links | None = None
    target_query: Query | None = None
    bindings: list[Binding] | None = None


class GroupBody(Writable):
    """A group: its members by link, and those users that a query finds."""

    member_links: Links | None = None
    member_query: Query | None = None
    identity_matcher: Any = Field(default=None, description="Not supported; refused unless it is null.")


class ServiceAccountBody(Writable):
    """A service account."""


class UserBody(Shape):
    """A user, who has been invited and is called by their e-mail address."""

    name: StrictStr
    description: Description | None = None
    tags: Tags | None = None


class Patch(BaseModel):
    """Changes: objects are merged, a null removes, lists are replaced. `$drop/FIELD` removes items of a list
    by name, `$patch/FIELD` merges objects into the items of that `name`.
    """

    model_config = ConfigDict(extra="allow")


class GvcBody(Writable):
    """A group of workloads."""


class TrustRule(Shape):
    """Tokens of an issuer, for one of the audiences, that every pattern in `claims` fits. `jwks` are the
    issuer's keys where the registry cannot fetch them. By its name a PATCH finds the rule.
    """

    name: Name | None = None
    issuer: StrictStr
    audience: StrictStr | list[StrictStr] | None = None
    claims: dict[str, Any] = {}
    jwks: dict[str, Any] | None = None


class IdentityBody(Writable):
    """The machine identity of a workload, and the tokens of other issuers that prove to be it."""

    trust: Annotated[list[TrustRule], Field(max_length=RULES_MAX)] | None = None


class ImageBody(Shape):
    """An image as it may be sent back: of all its fields only the metadata is taken."""

    name: StrictStr
    tags: Tags | None = None


class ImmutableTags(Shape):
    """Tags that do not move once they exist: in which repositories, and which; `*` stands for anything."""

    repository: StrictStr
    tags: list[StrictStr]


class OrganisationSettings(Shape):
    """What may be changed of an organisation."""

    name: Name | None = None
    description: Description | None = None
    tags: Tags | None = None
    identity_pull: StrictBool | None = None
    immutable_tags: list[ImmutableTags] | None = None
    store: Name | None = Field(default=None, description="As it is; it does not change.")


class Creator(Shape):
    """Who is the first superuser: a person by e-mail address, or a service account by name."""

    email: StrictStr | None = None
    serviceaccount: StrictStr | None = None


class OrganisationBody(Writable):
    """A new organisation."""

    identity_pull: StrictBool | None = None
    immutable_tags: list[ImmutableTags] | None = None
    store: Name | None = Field(default=None, description="Where its blobs lie: a store of the deployment.")
    creator: Creator | None = None


class Invitation(Shape):
    """People who shall belong to the organisation, and the group that they join, if any."""

    emails: Annotated[list[StrictStr], Field(min_length=1, max_length=EMAILS_MAX)]
    group_link: StrictStr | None = None


class NewKeyBody(Shape):
    """A key to be made."""

    description: Annotated[StrictStr, Field(min_length=1, max_length=DESCRIPTION_MAX)]
    name: Name | None = None
    expires: datetime | None = Field(default=None, description="From when on the key is refused.")


class Link(Shape):
    """Where something related is."""

    rel: str
    href: str


class Resource(BaseModel):
    """What every resource has, beside the fields of its kind."""

    model_config = ConfigDict(extra="allow", alias_generator=to_camel)

    kind: str
    id: str
    name: str
    version: int
    description: str | None = None
    tags: dict[str, Any]
    created: str
    last_modified: str
    links: list[Link]
    warnings: list[str] | None = Field(default=None, description="What is accepted and has no effect.")


class Image(BaseModel):
    """What a tag names. In lists without `manifest`, and `platforms` are those of an index only."""

    model_config = ConfigDict(extra="allow", alias_generator=to_camel)

    kind: Literal["image"]
    id: str
    name: str
    version: int
    tags: dict[str, Any]
    created: str
    last_modified: str
    repository: str
    tag: str
    digest: str
    media_type: str
    size: int = Field(description="Bytes of all that the manifest names.")
    platforms: list[str] | None = None
    pushed: str
    pushed_by: str
    links: list[Link]


class RepositoryItem(Shape):
    """A repository, and how many images it has."""

    name: str
    tags_count: int


class ImageSummary(Shape):
    """A page of repositories."""

    kind: Literal["imagesummary"] = "imagesummary"
    repositories: list[RepositoryItem]
    links: list[Link]


class ResourceList(Shape):
    """A page of resources. The next one is at the link `next`; without it, this is the last."""

    kind: Literal["list"] = "list"
    item_kind: str
    items: list[Resource | Image]
    links: list[Link]


class QueryResult(Shape):
    """A page of what a query selects. The next one is at the link `next`, by GET."""

    kind: Literal["queryresult"] = "queryresult"
    item_kind: str
    items: list[dict[str, Any]]
    links: list[Link]
    query: dict[str, Any]


class PermissionItem(Shape):
    """A permission."""

    name: str
    description: str


class Permissions(Shape):
    """The permissions of a kind, and what each implies."""

    kind: Literal["permissions"] = "permissions"
    target_kind: str
    items: list[PermissionItem]
    implied: dict[str, list[str]]
    links: list[Link]


class AccessReport(BaseModel):
    """Who may do what on a resource, and by which policies."""

    model_config = ConfigDict(extra="allow", alias_generator=to_camel)

    kind: Literal["accessreport"] = "accessreport"
    created: str
    permissions: list[dict[str, Any]]
    links: list[Link]


class Explanation(BaseModel):
    """Whether a principal has a permission on a resource, and why."""

    model_config = ConfigDict(extra="allow", alias_generator=to_camel)

    kind: Literal["explanation"] = "explanation"
    principal_link: str
    permission: str
    allowed: bool
    links: list[Link]


class Memberships(Shape):
    """The policies that name a principal."""

    kind: Literal["policymembership"] = "policymembership"
    policies: list[dict[str, Any]]
    links: list[Link]


class Invited(Shape):
    """Who belongs to the organisation now, by the address that was given, and why others do not."""

    invitations: dict[str, str]
    errors: dict[str, str]


class Ending(Shape):
    """An organisation that is absent already, and of which not all is removed yet. The bootstrap credential
    lets the removal go on, with the same request.
    """

    finished: bool
    rows: int
    again: str = Field(description="When it is of use to ask again.")


class Key(BaseModel):
    """A key that was just made; `key` is shown this once."""

    model_config = ConfigDict(extra="allow", alias_generator=to_camel)

    name: str
    key: str
    created: str
    description: str
    expires: str | None = None


class NewOrganisation(Resource):
    """An organisation, its first superuser, and the key of that, which is shown this once."""

    creator: str
    key: Key


class Failure(Shape):
    """What every answer of status 400 and above is."""

    status: int
    message: str
    code: str
    details: dict[str, Any]
    id: str


class Discovery(BaseModel):
    """Where things are. `{org}` stands for the name of an organisation."""

    endpoints: dict[str, str]
    openapi: str


class About(BaseModel):
    """What is deployed."""

    name: str
    version: str


class OpenApi(BaseModel):
    """An OpenAPI document."""

    model_config = ConfigDict(extra="allow")

    openapi: str
