"""What the function ``ingest`` does, as far as the registry can see it."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from moorage.domain.blobs import DEFAULT_STORE
from moorage.domain.upload_paths import UploadKey
from tests.protocol.sample import BLOB, NAME, require_success
from tests.protocol.world import HOST, World
from tests.unit.test_user_agents import STREAMS

PROOF = "the-front-doors-own-secret"
OBJECT = "00ff" * 8


def through_the_front_door(host: str = HOST, user_agent: str = STREAMS[0]) -> dict[str, str]:
    return {"x-moorage-front-door": PROOF, "x-moorage-host": host, "User-Agent": user_agent}


@dataclass(frozen=True)
class Permission:
    """A signed path of a streamed upload, taken apart."""

    uploads: str
    kid: str
    expires: int
    repository_id: str
    session_id: str
    store: str = DEFAULT_STORE

    @classmethod
    def parse(cls, location: str) -> Permission:
        uploads, _, rest = location.rpartition("_stream/")
        *store, kid, expires, repository_id, session_id, _ = rest.split("/")
        return cls(uploads, kid, int(expires), repository_id, session_id, *store)


def begin(
    world: World, headers: Mapping[str, str], name: str = NAME, user_agent: str = STREAMS[0]
) -> Permission:
    sent = {**headers, **through_the_front_door(user_agent=user_agent)}
    response = world.registry.post(f"/v2/{name}/blobs/uploads/", headers=sent)
    require_success(response, 202)
    location = response.headers["Location"]
    assert location.startswith(f"/v2/{name}/blobs/uploads/_stream/"), location
    return Permission.parse(location)


def ingest(
    world: World,
    given: Permission,
    content: bytes = BLOB,
    *,
    named: str = "s-" + OBJECT,
    key: UploadKey | None = None,
    lasts: timedelta = timedelta(hours=2),
) -> str:
    """What the function does with a body: the object that it stores, and the receipt that it answers with."""
    if named.startswith("s-"):
        place = f"stream/{given.session_id[:2]}/{given.repository_id}/{given.session_id}/{named[2:]}"
    else:
        place = f"chunks/{given.repository_id}/{given.session_id}/000000000000-{named[2:]}"
    world.stores[given.store].put(place, content)
    key = key or world.upload_keys.key
    expires = int((world.clock() + lasts).timestamp())
    path = (
        f"{given.uploads}_received/{key.kid}/{expires}/{given.repository_id}/{given.session_id}"
        f"/{named}/{len(content)}/{hashlib.sha256(content).hexdigest()}"
    )
    return f"{path}/{hmac.new(key.key.encode(), f'RECEIPT{chr(10)}{path}'.encode(), 'sha256').hexdigest()}"
