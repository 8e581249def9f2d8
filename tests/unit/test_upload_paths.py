"""Signed upload paths, against a computation of their MAC that shares no code with ours."""

import hashlib
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from moorage.domain.blobs import Way
from moorage.domain.names import Repository
from moorage.domain.sessions import SESSION_LIFETIME, UploadSession
from moorage.domain.upload_paths import LONGEST_UPLOAD, SIGNATURE_LIFETIME, UploadKey, mac, signed_path

ROOT = Path(__file__).parents[2]
NOW = datetime(2026, 5, 4, 3, 2, 1, 999_999, tzinfo=UTC)
KEY = UploadKey("b12", "0f" * 32)
SESSION = UploadSession(
    "5e" * 16,
    Repository("demo", "team/app"),
    "1d" * 16,
    "/org/demo/x",
    NOW,
    NOW + SESSION_LIFETIME,
    way=Way.DIRECT,
)
UPLOADS = "/v2/demo/team/app/blobs/uploads/"


def hmac_sha256(key: bytes, message: bytes) -> str:
    """https://www.rfc-editor.org/rfc/rfc2104"""
    if len(key) > 64:
        key = hashlib.sha256(key).digest()
    key = key.ljust(64, b"\0")
    inner = hashlib.sha256(bytes(byte ^ 0x36 for byte in key) + message).digest()
    return hashlib.sha256(bytes(byte ^ 0x5C for byte in key) + inner).hexdigest()


def test_a_path_names_key_end_repository_and_session_and_the_mac_covers_them_and_the_method() -> None:
    path = signed_path(UPLOADS, SESSION, KEY, NOW)
    end = 1777863721 + 2 * 3600
    signed = f"/v2/demo/team/app/blobs/uploads/_direct/b12/{end}/{'1d' * 16}/{'5e' * 16}"
    # The key is used as the text that it is.
    expected = hmac_sha256(("0f" * 32).encode(), b"PUT\n" + signed.encode())
    assert path == f"{signed}/{expected}"


def test_the_path_of_a_streamed_upload_differs_in_its_way_and_in_the_method_of_its_mac() -> None:
    path = signed_path(UPLOADS, replace(SESSION, way=Way.STREAM), KEY, NOW)
    end = 1777863721 + 2 * 3600
    signed = f"/v2/demo/team/app/blobs/uploads/_stream/b12/{end}/{'1d' * 16}/{'5e' * 16}"
    assert path == f"{signed}/{hmac_sha256(('0f' * 32).encode(), b'PATCH' + bytes([10]) + signed.encode())}"


def test_the_path_of_a_streamed_upload_names_any_store_but_the_default_one() -> None:
    session = replace(SESSION, way=Way.STREAM, store="second")
    path = signed_path(UPLOADS, session, KEY, NOW)
    end = 1777863721 + 2 * 3600
    signed = f"/v2/demo/team/app/blobs/uploads/_stream/second/b12/{end}/{'1d' * 16}/{'5e' * 16}"
    assert path == f"{signed}/{hmac_sha256(('0f' * 32).encode(), b'PATCH' + bytes([10]) + signed.encode())}"
    assert "default" not in signed_path(UPLOADS, replace(session, store="default"), KEY, NOW)


def test_the_front_door_knows_no_direct_path_into_another_store() -> None:
    path = signed_path(UPLOADS, replace(SESSION, store="second"), KEY, NOW)
    source = (ROOT / "functions" / "edge" / "upload_request.js").read_text("utf-8")
    (pattern,) = re.findall(r"^var SIGNED = /\^(.*)\$/;$", source, re.MULTILINE)
    accepted = re.compile(pattern.replace(r"\/", "/"))
    assert accepted.fullmatch(signed_path(UPLOADS, SESSION, KEY, NOW))
    assert not accepted.fullmatch(path)


@given(st.text(), st.binary(min_size=1, max_size=100).map(bytes.hex))
def test_a_mac_is_hmac_sha256_in_lower_case_hexadecimal(path: str, key: str) -> None:
    path = path.encode(errors="ignore").decode()
    made = mac("PUT", path, UploadKey("a1", key))
    assert re.fullmatch("[0-9a-f]{64}", made)
    assert made == hmac_sha256(key.encode(), f"PUT\n{path}".encode())
    assert mac("GET", path, UploadKey("a1", key)) != made


def test_another_key_session_repository_name_or_time_is_another_mac() -> None:
    def end(
        session: UploadSession = SESSION, uploads: str = UPLOADS, key: UploadKey = KEY, now: datetime = NOW
    ) -> str:
        return signed_path(uploads, session, key, now).rpartition("/")[2]

    macs = {
        end(),
        end(replace(SESSION, id="5f" * 16)),
        end(replace(SESSION, repository_id="1e" * 16)),
        end(key=UploadKey("b12", "1f" * 32)),
        end(key=UploadKey("b13", KEY.key)),
        end(now=NOW + timedelta(seconds=1)),
        end(uploads=UPLOADS.replace("team", "teams")),
        end(replace(SESSION, way=Way.STREAM)),
        end(replace(SESSION, way=Way.STREAM, store="second")),
        end(replace(SESSION, way=Way.STREAM, store="third")),
    }
    assert len(macs) == 10


def test_a_path_survives_what_clients_do_to_it() -> None:
    """They parse it as a URL, escape it anew and add a parameter."""
    for session in (SESSION, replace(SESSION, way=Way.STREAM, store="far-away")):
        path = signed_path(UPLOADS, session, KEY, NOW)
        assert re.fullmatch("/[-a-z0-9/_]+", path)
        assert "//" not in path


def test_no_signature_outlives_its_session_with_the_longest_upload_behind_it() -> None:
    assert SIGNATURE_LIFETIME + LONGEST_UPLOAD <= SESSION_LIFETIME


def test_a_key_is_not_shown() -> None:
    assert KEY.key not in f"{KEY} {KEY!r} {[KEY]} {(KEY, NOW)}"
