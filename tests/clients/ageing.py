"""Lets a client's token expire while the client is at work, without waiting five minutes for it.

The registry's clock is left alone, and so is its verification. The first token that a client is given is replaced
by one that is as old as such a token would be some minutes later: the same claims, signed by the deployment's own
key, with a few seconds left; and ``issued_at`` says the same, for clients that go by their own clock. In the middle
of its work the client is then kept waiting for an answer until these seconds are over.
"""

from __future__ import annotations

import json
import math
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import botocore.session
import jwt

from moorage.domain.tokens import ALGORITHM, TOKEN_LIFETIME
from moorage.ports import SigningKey
from tests.clients.cloud import Cloud
from tests.clients.relay import Answered, Exchange, Sent, header

_PARAMETER = "/moorage/moorage-local/signing-key"
_TOKEN_PATH = "/token"


def signing_key(cloud: Cloud) -> SigningKey:
    """The key that a local cloud signs its tokens with, as its owner can read it."""
    settings = json.loads((cloud.state / "admin-environment.json").read_text("utf-8"))
    client: Any = botocore.session.get_session().create_client(
        "ssm",
        region_name=settings["AWS_DEFAULT_REGION"],
        endpoint_url=settings["AWS_ENDPOINT_URL"],
        aws_access_key_id=settings["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=settings["AWS_SECRET_ACCESS_KEY"],
    )
    answer = client.get_parameter(Name=_PARAMETER, WithDecryption=True)
    stored = json.loads(answer["Parameter"]["Value"])
    return SigningKey(stored["kid"], stored["private_pem"])


class Ageing:
    """A relay's change of answers: tokens grow old at once, and one answer is held until they have expired."""

    def __init__(self, key: SigningKey, middle: tuple[str, str], left: int) -> None:
        """``middle`` is the method, and what the path contains, of the request whose answer is held; ``left`` is for
        how many seconds the token is good once the client has it.
        """
        self._left = left
        self._key = key
        self._middle = middle
        self._lock = threading.Lock()
        self._at_work = False
        self._held = False
        self._expires: int | None = None
        self.aged: set[str] = set()

    @contextmanager
    def working(self) -> Iterator[None]:
        """Only tokens that are given out in this block grow old."""
        self._at_work = True
        yield
        self._at_work = False

    def __call__(self, exchange: Exchange) -> Answered:
        """What is sent on."""
        sent, answered = exchange.sent, exchange.answered
        if not self._at_work:
            return answered
        if sent.path == _TOKEN_PATH and answered.status == 200:
            return self._older(answered)
        if self._takes_the_middle(sent, answered):
            assert self._expires is not None
            time.sleep(max(0.0, self._expires + 0.2 - time.time()))
        return answered

    def used(self, exchange: Exchange) -> bool:
        """Whether a request came with a token that had been made old."""
        return (header(exchange.sent.headers, "Authorization") or "").partition(" ")[2] in self.aged

    def _takes_the_middle(self, sent: Sent, answered: Answered) -> bool:
        method, part = self._middle
        with self._lock:
            ours = sent.method == method and part in sent.path and answered.status < 300
            first, self._held = ours and not self._held, self._held or ours
            return first

    def _older(self, answered: Answered) -> Answered:
        with self._lock:
            if self._expires is None:
                self._expires = math.ceil(time.time()) + self._left
            elif self._held or time.time() >= self._expires:
                return answered
            body: dict[str, Any] = json.loads(answered.body)
            claims = jwt.decode(body["token"], options={"verify_signature": False})
            issued = self._expires - int(TOKEN_LIFETIME.total_seconds())
            claims |= {"iat": issued, "nbf": issued, "exp": self._expires}
            token = jwt.encode(claims, self._key.private_pem, ALGORITHM, headers={"kid": self._key.kid})
            self.aged.add(token)
        said = datetime.fromtimestamp(issued, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        body |= {"token": token, "access_token": token, "issued_at": said}
        return Answered(answered.status, answered.headers, json.dumps(body).encode())
