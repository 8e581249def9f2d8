"""Queries on the wire: in a body at first, in the address of the pages that follow."""

from __future__ import annotations

import base64
import binascii
import json
import zlib
from typing import Any

from moorage.domain.errors import QueryInvalid, RegistryError
from moorage.domain.queries import Query
from moorage.domain.resources import Kind
from moorage.web.management.json_body import parse_json

PACKED_MAX = 6_000
"""Characters that a query may take in an address. The gateway has room for 10,240 bytes with all headers."""

_UNPACKED_MAX = 262_144


def pack(query: Query) -> str:
    """A query as a part of an address.

    Raises:
        QueryInvalid: it is too long for that.
    """
    content = json.dumps(query.to_json(), separators=(",", ":"), sort_keys=True).encode()
    packed = base64.urlsafe_b64encode(zlib.compress(content, 9)).decode().rstrip("=")
    if len(packed) > PACKED_MAX:
        raise QueryInvalid(
            "the query is too long for its pages to have addresses; ask with fewer or shorter terms"
        )
    return packed


def unpack(text: str, kind: Kind) -> Query:
    """The query about ``kind`` that ``pack`` has made ``text`` of.

    Raises:
        QueryInvalid: it has made it of none.
    """
    try:
        compressed = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
        decompressor = zlib.decompressobj()
        content = decompressor.decompress(compressed, _UNPACKED_MAX)
        if decompressor.eof:
            value: Any = parse_json(content)
            return Query.parse(value, kind)
    except (ValueError, binascii.Error, zlib.error, RegistryError):
        pass
    raise QueryInvalid("the parameter q is no query of this list; follow the links as they are")
