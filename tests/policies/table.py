"""What the permissions are and which route needs which, written down by hand from the product's description.

Nothing here is imported from the engine: the tests hold the engine to this, not the other way round.
"""

from __future__ import annotations

from dataclasses import dataclass

USUAL: dict[str, set[str]] = {
    "create": set(),
    "delete": set(),
    "edit": {"view"},
    "manage": {"create", "delete", "edit", "manage", "view"},
    "view": set(),
}

IMPLIED: dict[str, dict[str, set[str]]] = {
    "image": {
        "create": {"pull"},
        "delete": set(),
        "edit": {"view"},
        "manage": {"create", "delete", "edit", "manage", "pull", "view"},
        "pull": {"view"},
        "view": set(),
    },
    "policy": USUAL,
    "org": USUAL,
    "group": USUAL,
    "gvc": USUAL,
    "identity": USUAL,
    "quota": USUAL,
    "user": {
        **USUAL,
        "invite": set(),
        "impersonate": set(),
        "manage": {*USUAL["manage"], "invite", "impersonate"},
    },
    "serviceaccount": {**USUAL, "addKey": set(), "manage": {*USUAL["manage"], "addKey"}},
    "auditctx": {
        **USUAL,
        "readAudit": set(),
        "writeAudit": set(),
        "manage": {*USUAL["manage"], "readAudit", "writeAudit"},
    },
}

WITHOUT_ROUTES = {"auditctx", "quota"}
"""Kinds that policies can be about, and of which there are no resources yet."""

REPOSITORY, RECORD, NEW = "repository", "record", "new"


@dataclass(frozen=True)
class Route:
    """A request, the permission that it needs, and what is known of the resource when it is decided: of a
    repository only the name, of a record all, of a new one what the request says.

    ``variant`` says which of several requests of the same route is meant. With ``policies`` the request takes
    ``view`` on all policies, too.
    """

    method: str
    path: str
    kind: str
    needs: str
    level: str = RECORD
    variant: str = ""
    policies: bool = False

    @property
    def name(self) -> str:
        return " ".join(filter(None, (self.method, self.path, self.variant)))


FROM, TO = "source of a mount", "destination of a mount"
MADE, REPLACED, DROPPING = "new", "existing", "with $drop/keys"

_BLOBS, _UPLOADS = "/v2/{name:path}/blobs/{digest}", "/v2/{name:path}/blobs/uploads/"
_UPLOAD, _MANIFEST = _UPLOADS + "{session}", "/v2/{name:path}/manifests/{reference}"
_PRESIGNED = _UPLOADS + "_presigned/"
_RECEIVED = _UPLOADS + "_received/{kid}/{expires}/{repository_id}/{session}/{object}/{size}/{sha256}/{mac}"

REGISTRY = [
    Route(method, path, "image", needs, REPOSITORY, variant)
    for method, path, needs, variant in (
        ("GET", _MANIFEST, "pull", ""),
        ("HEAD", _MANIFEST, "pull", ""),
        ("PUT", _MANIFEST, "create", ""),
        ("DELETE", _MANIFEST, "delete", ""),
        ("GET", _BLOBS, "pull", ""),
        ("HEAD", _BLOBS, "pull", ""),
        ("DELETE", _BLOBS, "delete", ""),
        ("GET", "/v2/{name:path}/tags/list", "pull", ""),
        ("GET", "/v2/{name:path}/referrers/{digest}", "pull", ""),
        ("POST", _UPLOADS, "create", ""),
        ("POST", _UPLOADS, "pull", FROM),
        ("POST", _UPLOADS, "create", TO),
        *((method, _UPLOAD, "create", "") for method in ("GET", "PATCH", "PUT", "DELETE")),
        *((method, _RECEIVED, "create", "") for method in ("GET", "PATCH", "PUT", "DELETE")),
        ("POST", _PRESIGNED, "create", ""),
        ("GET", _PRESIGNED + "{session}", "create", ""),
        ("DELETE", _PRESIGNED + "{session}", "create", ""),
        ("POST", _PRESIGNED + "{session}/complete", "create", ""),
    )
]

_ORG = "/org/{org}"
_IMAGES, _IMAGE = f"{_ORG}/image", f"{_ORG}/image/{{name:path}}"

ORGANISATIONS = [
    Route("GET", "/org", "org", "view"),
    Route("GET", _ORG, "org", "view"),
    Route("PUT", _ORG, "org", "edit"),
    Route("PATCH", _ORG, "org", "edit"),
    Route("DELETE", _ORG, "org", "delete"),
    Route("GET", f"{_ORG}/-accessreport", "org", "view", policies=True),
    Route("GET", f"{_ORG}/-explain", "org", "view", policies=True),
]

IMAGES = [
    Route("GET", _IMAGES, "image", "view"),
    Route("GET", f"{_IMAGES}/-summary", "image", "view"),
    Route("POST", f"{_IMAGES}/-query", "image", "view"),
    Route("GET", f"{_IMAGES}/-query", "image", "view"),
    Route("GET", f"{_IMAGES}/-latest/{{name:path}}", "image", "view"),
    Route("GET", _IMAGE, "image", "view"),
    Route("GET", f"{_IMAGE}/-accessreport", "image", "view", policies=True),
    Route("PUT", _IMAGES, "image", "edit"),
    Route("PUT", _IMAGE, "image", "edit"),
    Route("PATCH", _IMAGE, "image", "edit"),
    Route("DELETE", _IMAGE, "image", "delete"),
]


def _alike(kind: str, many: str) -> list[Route]:
    """What all kinds have whose resources are stored in the same way."""
    one = f"{many}/{{name}}"
    return [
        Route("GET", many, kind, "view"),
        Route("POST", f"{many}/-query", kind, "view"),
        Route("GET", f"{many}/-query", kind, "view"),
        Route("GET", one, kind, "view"),
        Route("GET", f"{one}/-accessreport", kind, "view", policies=True),
        Route("GET", f"{one}/-explain", kind, "view", policies=True),
        Route("PUT", one, kind, "edit"),
        Route("PATCH", one, kind, "edit"),
        Route("DELETE", one, kind, "delete"),
    ]


def _made(kind: str, many: str) -> list[Route]:
    """What those have that are made under a name: all but users, who are invited."""
    return [
        Route("POST", many, kind, "create", NEW),
        Route("PUT", many, kind, "create", NEW, MADE),
        Route("PUT", many, kind, "edit", RECORD, REPLACED),
    ]


_COLLECTIONS = {
    "policy": f"{_ORG}/policy",
    "group": f"{_ORG}/group",
    "serviceaccount": f"{_ORG}/serviceaccount",
    "gvc": f"{_ORG}/gvc",
    "identity": f"{_ORG}/gvc/{{gvc}}/identity",
    "user": f"{_ORG}/user",
}

PRINCIPALS = [
    *(
        Route("GET", f"{_COLLECTIONS[kind]}/{{name}}/-policies", kind, "view")
        for kind in ("group", "serviceaccount", "identity", "user")
    ),
    Route("POST", f"{_ORG}/serviceaccount/{{name}}/-addKey", "serviceaccount", "addKey"),
    Route("POST", f"{_ORG}/user/{{name}}/-addKey", "user", "impersonate"),
    Route("PATCH", f"{_ORG}/serviceaccount/{{name}}", "serviceaccount", "edit", RECORD, DROPPING),
    Route("PATCH", f"{_ORG}/user/{{name}}", "user", "edit", RECORD, DROPPING),
    Route("POST", f"{_ORG}/user/-invite", "user", "invite", NEW),
    Route("GET", f"{_ORG}/user/-for/email/{{email}}", "user", "view"),
]

MANAGEMENT = [
    *ORGANISATIONS,
    *IMAGES,
    *(route for kind, many in _COLLECTIONS.items() for route in _alike(kind, many)),
    *(route for kind, many in _COLLECTIONS.items() if kind != "user" for route in _made(kind, many)),
    *PRINCIPALS,
]

FREE = {
    ("GET", f"{_ORG}/-schema/permissions"),
    ("GET", f"{_ORG}/{{kind}}/-schema/permissions"),
    ("GET", f"{_COLLECTIONS['identity']}/-schema/permissions"),
}
"""What every principal of the organisation may ask: which permissions there are is no secret."""

FOR_NOBODY = {("POST", _IMAGES)}
"""What is refused to all: images are made by pushing."""

FOR_READERS_OF_POLICIES = {("GET", f"{_IMAGE}/-explain")}
"""What takes ``view`` on all policies and nothing else: what will be allowed can be asked before there is an
image.
"""

AT_TWO_PLACES = {
    ("POST", f"{_IMAGE}/-copy"),
    ("GET", f"{_ORG}/job"),
    ("GET", f"{_ORG}/job/{{id}}"),
    ("POST", f"{_ORG}/job/{{id}}/-cancel"),
}
"""What is decided by rights on the images of two repositories, perhaps of two organisations, and by who asked
for the job: the tests of copies and jobs go through it.
"""

ROUTES = [*REGISTRY, *MANAGEMENT]
