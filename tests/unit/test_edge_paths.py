"""Signed download paths, against a computation of their MAC that shares no code with ours."""

import dataclasses
import re
from datetime import UTC, datetime, timedelta

import pytest

from moorage.domain.blobs import NAMED_BY_DIGEST, BlobLink, Way, object_key
from moorage.domain.digests import Algorithm, Digest
from moorage.domain.edge_paths import DOWNLOAD_LIFETIME, download_path
from moorage.domain.names import Repository
from moorage.domain.upload_paths import UploadKey
from tests.unit.test_upload_paths import hmac_sha256

NOW = datetime(2026, 5, 4, 3, 2, 1, 999_999, tzinfo=UTC)
KEY = UploadKey("b12", "0f" * 32)
BLOBS = "/v2/demo/team/app/blobs/"


def link(
    way: Way = Way.DIRECT,
    algorithm: Algorithm = Algorithm.SHA256,
    repository_id: str = "1d" * 16,
    session: str = "5e" * 16,
) -> BlobLink:
    digest = Digest.of(b"blob", algorithm)
    key = object_key(way, repository_id, digest, session)
    return BlobLink(Repository("demo", "team/app"), digest, key, 4, NOW)


@pytest.mark.parametrize("way", NAMED_BY_DIGEST)
@pytest.mark.parametrize("algorithm", Algorithm)
def test_a_path_names_key_end_and_object_and_the_mac_covers_them_and_the_method(
    way: Way, algorithm: Algorithm
) -> None:
    held = link(way, algorithm)
    signed = f"/v2/demo/team/app/blobs/_edge/b12/{1777863721 + 600}/{held.key}"
    expected = hmac_sha256(("0f" * 32).encode(), b"GET\n" + signed.encode())
    assert download_path(BLOBS, held, KEY, NOW) == f"{signed}/{expected}"


@pytest.mark.parametrize("algorithm", Algorithm)
def test_into_the_key_of_a_streamed_object_its_digest_is_put(algorithm: Algorithm) -> None:
    held = link(algorithm=algorithm)
    place, name = f"{'5e' * 16}", "7" * 32
    held = dataclasses.replace(held, key=f"stream/5e/{'1d' * 16}/{place}/{name}")
    signed = (
        f"/v2/demo/team/app/blobs/_edge/b12/{1777863721 + 600}"
        f"/stream/5e/{'1d' * 16}/{held.digest.encoded}/{place}/{name}"
    )
    expected = hmac_sha256(("0f" * 32).encode(), b"GET\n" + signed.encode())
    assert download_path(BLOBS, held, KEY, NOW) == f"{signed}/{expected}"


def test_another_key_object_name_or_time_is_another_mac() -> None:
    def end(blobs: str = BLOBS, held: BlobLink | None = None, key: UploadKey = KEY, later: int = 0) -> str:
        path = download_path(blobs, held or link(), key, NOW + timedelta(seconds=later))
        assert path is not None
        return path.rpartition("/")[2]

    macs = {
        end(),
        end("/v2/demo/teams/app/blobs/"),
        end(held=link(Way.API)),
        end(held=link(algorithm=Algorithm.SHA512)),
        end(held=link(repository_id="1e" * 16)),
        end(held=link(session="5f" * 16)),
        end(key=UploadKey("b12", "1f" * 32)),
        end(key=UploadKey("b13", KEY.key)),
        end(later=1),
    }
    assert len(macs) == 9


def test_an_object_that_is_not_called_by_the_digest_has_no_path() -> None:
    """What the front door answers as digest is what stands in the key."""
    held = link()
    other = dataclasses.replace(held, digest=Digest.of(b"other"))
    stronger = dataclasses.replace(held, digest=Digest.of(b"blob", Algorithm.SHA512))
    foreign = dataclasses.replace(held, key=f"chunks/{held.key}")
    torn = dataclasses.replace(held, key=f"stream/5e/{'1d' * 16}/{'5e' * 16}")
    for each in (other, stronger, foreign, torn):
        assert download_path(BLOBS, each, KEY, NOW) is None


def test_a_path_survives_what_clients_do_to_it() -> None:
    path = download_path(BLOBS, link(), KEY, NOW)
    assert path is not None
    assert re.fullmatch("/[a-z0-9/_]+", path)
    assert "//" not in path


def test_a_path_ends_as_early_as_a_presigned_url() -> None:
    assert timedelta(minutes=10) == DOWNLOAD_LIFETIME
