"""`python -m bench.copy_calls ORG REFERENCE [MANIFESTS…]`: what a copy from ``demo`` asks of AWS, as JSON.

The use cases of the request and of the worker run in this process, over the services that its environment
names. After the image, indexes of so many manifests, which are made now, are copied.
"""

from __future__ import annotations

import json
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any
from unittest.mock import patch

from botocore.httpsession import URLLib3Session

from moorage.adapters.dynamodb import connect_table
from moorage.adapters.json_service import JsonService
from moorage.adapters.memory import MemoryStores
from moorage.bootstrap import registry
from moorage.bootstrap.stores import StoreSettings
from moorage.domain.copy_wishes import CopyWish
from moorage.domain.digests import Digest
from moorage.domain.manifests import OCI_INDEX, OCI_MANIFEST
from moorage.domain.names import Repository
from moorage.services.access import Access
from moorage.services.authorization import Authorization
from moorage.services.callers import Caller
from moorage.services.copy_requests import CopyRequests
from moorage.services.copying import Copying, Outcome
from moorage.services.tag_rules import TagRules

ORG, TAG = "demo", "v1"
_WHO = f"/org/{ORG}/serviceaccount/admin"
_BLOB = "application/octet-stream"
_AT_ONCE = 4


def main(arguments: Sequence[str]) -> int:
    """Print for the image, and for each number of manifests, the calls of the request and of the worker."""
    to, reference, *sizes = arguments
    calls = Calls()
    print(json.dumps([calls.of_copy(reference, to), *(calls.of_index(int(size), to) for size in sizes)]))
    return 0


class Calls:
    """Copies, of which the calls are counted."""

    def __init__(self) -> None:
        self._table = connect_table(os.environ["TABLE_NAME"])
        self._stores = StoreSettings.read(os.environ).connect()

    def of_copy(self, reference: str, to: str) -> dict[str, dict[str, int]]:
        """The operations of a request, and of the worker, each with how often it was called.

        Raises:
            RuntimeError: the copy failed.
        """
        access = Access(Authorization(self._table))
        # The document goes nowhere: nobody else is called to the job.
        requests = CopyRequests(self._table, MemoryStores(), TagRules(self._table), access, _now)
        with _counted() as requested:
            job = requests.request(Caller(_WHO), ORG, reference, CopyWish.parse({"destinationOrg": to}), None)
        with _counted() as worked:
            outcome = Copying(self._table, self._stores, _now).run(job.id, lambda: True)
        ended = self._table.find_job(job.id, _now())
        if outcome is not Outcome.FINISHED or ended is None or ended.reason:
            raise RuntimeError(f"{reference}: {outcome} {ended and ended.reason}")
        return {"request": dict(requested), "worker": dict(worked)}

    def of_index(self, size: int, to: str) -> dict[str, dict[str, int]]:
        """The same of an index of so many manifests, with a layer of its own each."""
        repository = Repository(ORG, f"index-of-{size}")
        services = registry.assemble(self._table, self._stores, _now)

        def described(digest: Digest, media_type: str, content: bytes) -> dict[str, Any]:
            return {"mediaType": media_type, "digest": str(digest), "size": len(content)}

        def blob(content: bytes) -> dict[str, Any]:
            digest = Digest.of(content)
            services.uploads.put_whole(repository, _WHO, digest, content)
            return described(digest, _BLOB, content)

        def manifest(media_type: str, tags: Sequence[str], **content: Any) -> dict[str, Any]:
            body = json.dumps({"schemaVersion": 2, "mediaType": media_type, **content}).encode()
            digest = Digest.of(body)
            services.manifests.push(repository, _WHO, body, media_type, digest, tags)
            return described(digest, media_type, body)

        config = blob(b"{}")
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            layers = pool.map(blob, [b"layer %d of %d" % (number, size) for number in range(size)])
            images = list(
                pool.map(lambda layer: manifest(OCI_MANIFEST, (), config=config, layers=[layer]), layers)
            )
        manifest(OCI_INDEX, (TAG,), manifests=images)
        return self.of_copy(f"{repository.image}:{TAG}", to)


def _now() -> datetime:
    return datetime.now(UTC)


@contextmanager
def _counted() -> Iterator[Counter[str]]:
    """What is asked of AWS in the block, retries included: operations of DynamoDB, and methods of S3."""
    calls: Counter[str] = Counter()

    def counting(method: Callable[..., Any], name: Callable[[Any], str]) -> Callable[..., Any]:
        def call(self: Any, asked: Any, *rest: Any) -> Any:
            calls[name(asked)] += 1
            return method(self, asked, *rest)

        return call

    with (
        patch.object(JsonService, "_send", counting(JsonService._send, str)),  # noqa: SLF001
        patch.object(URLLib3Session, "send", counting(URLLib3Session.send, lambda each: f"S3 {each.method}")),
    ):
        yield calls


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
