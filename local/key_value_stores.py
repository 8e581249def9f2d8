"""The values of a CloudFront KeyValueStore, as the edge sees them: read from the emulator, a moment old."""

from __future__ import annotations

import asyncio
import time
from urllib.parse import quote

import urllib3

_FRESH_SECONDS = 1.0
_PAGE = 50
_TIMEOUT_SECONDS = 5.0


class KeyValueStore:
    """One store of the emulator at `endpoint_url`."""

    def __init__(self, endpoint_url: str, arn: str) -> None:
        self._url = f"{endpoint_url}/key-value-stores/{quote(arn, safe='')}/keys"
        self._http = urllib3.PoolManager(retries=False, timeout=_TIMEOUT_SECONDS)
        self._values: dict[str, str] = {}
        self._loaded = float("-inf")

    async def get(self, key: str) -> str | None:
        """The value, or None when there is no such key."""
        # A key that has just been written is there at once; on AWS that takes seconds.
        await self._load(anew=key not in self._values)
        return self._values.get(key)

    async def count(self) -> int:
        """How many keys there are."""
        await self._load(anew=False)
        return len(self._values)

    async def _load(self, *, anew: bool) -> None:
        if anew or time.monotonic() > self._loaded + _FRESH_SECONDS:
            self._values = await asyncio.to_thread(self._all)
            self._loaded = time.monotonic()

    def _all(self) -> dict[str, str]:
        values: dict[str, str] = {}
        fields = {"MaxResults": str(_PAGE)}
        while True:
            answer = self._http.request("GET", self._url, fields=fields)
            if answer.status != 200:  # noqa: PLR2004
                raise OSError(f"the key value store cannot be read: {answer.status}")
            page = answer.json()
            values |= {item["Key"]: item["Value"] for item in page["Items"]}
            if not page.get("NextToken"):
                return values
            fields["NextToken"] = page["NextToken"]
