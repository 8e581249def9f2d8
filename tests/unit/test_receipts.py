"""Receipts, by the examples that the function which writes them is tested with."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from moorage.domain.blobs import Way
from moorage.domain.names import Repository
from moorage.domain.receipts import FIELDS, Receipt
from moorage.domain.sessions import SESSION_LIFETIME, UploadSession
from moorage.domain.upload_paths import SIGNATURE_LIFETIME, UploadKey, signed_path

VECTORS = Path(__file__).parents[2] / "functions" / "ingest" / "test" / "vectors.json"
CASES = json.loads(VECTORS.read_text())["cases"]


def fields_of(path: str) -> tuple[str, dict[str, str]]:
    uploads, _, rest = path.rpartition("_received/")
    return uploads, dict(zip(FIELDS, rest.split("/"), strict=True))


def parse(path: str) -> Receipt | None:
    return Receipt.parse(*fields_of(path))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["note"])
def test_both_sides_write_and_read_the_same_paths(case: dict[str, Any]) -> None:
    key = UploadKey(case["kid"], case["key"])
    permission, stored, wanted = case["permission"], case["stored"], case["receipt"]
    receipt = parse(wanted["path"])
    assert receipt is not None
    assert receipt.is_signed(key)
    assert not receipt.is_signed(replace(key, key="00" * 32))
    assert receipt.expires == datetime.fromtimestamp(wanted["expires"], UTC)
    assert (receipt.repository_id, receipt.session_id) == (permission["repository_id"], permission["session"])
    assert (receipt.kid, receipt.object, receipt.key) == (case["kid"], stored["object"], stored["key"])
    assert (receipt.size, receipt.sha256) == (stored["size"], stored["sha256"])
    assert receipt.is_whole == stored["object"].startswith("s-")
    # The permission of the same upload.
    expires = datetime.fromtimestamp(permission["expires"], UTC)
    session = UploadSession(
        permission["session"],
        Repository("acme", "app"),
        permission["repository_id"],
        "/org/acme/serviceaccount/ci",
        expires,
        expires + SESSION_LIFETIME,
        way=Way.STREAM,
        store=permission["store"],
    )
    uploads = fields_of(wanted["path"])[0]
    assert signed_path(uploads, session, key, expires - SIGNATURE_LIFETIME) == permission["path"]


@pytest.mark.parametrize("field", FIELDS)
def test_a_receipt_with_another_component_is_none_or_not_signed(field: str) -> None:
    case = CASES[0]
    uploads, fields = fields_of(case["receipt"]["path"])
    for other in (
        fields[field][:-1] + ("0" if fields[field][-1] != "0" else "1"),
        fields[field][:-1],
        fields[field] + "0",
        fields[field].upper(),
        fields[field] + "\n",
        "٣" * len(fields[field]),
        "",
        ".." + fields[field],
    ):
        if other == fields[field]:
            continue
        changed = Receipt.parse(uploads, {**fields, field: other})
        assert changed is None or not changed.is_signed(UploadKey(case["kid"], case["key"])), other


def test_a_receipt_of_another_repository_is_not_signed() -> None:
    case = CASES[0]
    uploads, fields = fields_of(case["receipt"]["path"])
    for other in (uploads.replace("/app/", "/apps/"), uploads.replace("acme/", ""), uploads[:-1]):
        moved = Receipt.parse(other, fields)
        assert moved is not None
        assert not moved.is_signed(UploadKey(case["kid"], case["key"]))


@pytest.mark.parametrize("field", ["expires", "size"])
def test_no_number_is_too_large_to_be_read(field: str) -> None:
    uploads, fields = fields_of(CASES[0]["receipt"]["path"])
    for length in range(1, 40):
        Receipt.parse(uploads, {**fields, field: "9" * length})
