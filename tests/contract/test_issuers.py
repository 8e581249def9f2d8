"""Issuers: the keys that they publish, by real TLS on the loopback interface and in memory."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from moorage.adapters.https_documents import HttpsDocuments
from moorage.adapters.issuers import HttpsIssuers
from moorage.adapters.memory.issuers import MemoryIssuers
from moorage.domain.errors import Unavailable
from moorage.ports.issuers import Issuers
from tests.contract.issuer_server import HOST, ISSUER, KEYS_HOST, Authority, issuer_server
from tests.unit.token_issuer import public_jwk


class Published:
    """The port in a real or an in-memory form, and how a test publishes a key set through it."""

    def __init__(self, issuers: Issuers, publish, withdraw) -> None:
        self.issuers, self.publish, self.withdraw = issuers, publish, withdraw


@pytest.fixture
def in_memory():
    issuers = MemoryIssuers()
    return Published(
        issuers,
        lambda jwks, age=None: issuers.publish(ISSUER, jwks, age),
        lambda: issuers.withdraw(ISSUER),
    )


@pytest.fixture
def by_https(tmp_path):
    authority = Authority(tmp_path)
    with issuer_server(authority.server(HOST, KEYS_HOST)) as server:
        documents = HttpsDocuments(lambda _: [server.endpoint], lambda _: True, authority.client)

        def publish(jwks, age=None):
            headers: dict[str, Any] = {}
            if age is not None:
                headers["Cache-Control"] = f"public, max-age={int(age.total_seconds())}"
            server.publish(keys=jwks, **headers)

        yield Published(HttpsIssuers(documents), publish, server.answers.clear)


@pytest.fixture(params=["in_memory", "by_https"])
def published(request):
    return request.getfixturevalue(request.param)


def test_all_keys_of_use_are_fetched(published):
    kinds = ["RSA", "P-256", "P-384", "P-521", "Ed25519"]
    odd = [{"kty": "oct", "k": "AAAA"}, {"kty": "new", "kid": "x"}, None, 1, public_jwk("RSA", use="enc")]
    published.publish({"keys": [*odd, *(public_jwk(kind, kind) for kind in kinds)], "more": 1})
    fetched = published.issuers.fetch_keys(ISSUER)
    assert [key.kid for key in fetched.keys] == kinds
    assert fetched.max_age is None


def test_an_issuer_says_how_long_its_keys_may_be_kept(published):
    published.publish({"keys": []}, timedelta(minutes=7))
    assert published.issuers.fetch_keys(ISSUER).max_age == timedelta(minutes=7)


def test_two_keys_may_have_one_id(published):
    published.publish({"keys": [public_jwk("P-256"), public_jwk("RSA")]})
    assert [key.kid for key in published.issuers.fetch_keys(ISSUER).keys] == ["k1", "k1"]


def test_keys_are_fresh_each_time(published):
    for kid in ("a", "b"):
        published.publish({"keys": [public_jwk("P-256", kid)]})
        assert [key.kid for key in published.issuers.fetch_keys(ISSUER).keys] == [kid]


@pytest.mark.parametrize("document", [{}, {"keys": {}}, {"keys": None}, {"keys": [1] * 101}])
def test_what_is_no_key_set_is_no_answer(published, document):
    published.publish(document)
    with pytest.raises(Unavailable, match=ISSUER):
        published.issuers.fetch_keys(ISSUER)


def test_an_issuer_that_is_gone_gives_no_keys(published):
    published.publish({"keys": [public_jwk("P-256")]})
    published.issuers.fetch_keys(ISSUER)
    published.withdraw()
    with pytest.raises(Unavailable, match=ISSUER):
        published.issuers.fetch_keys(ISSUER)
