"""Makes transcripts of recorded exchanges: names for what is secret or random, and one order for what was parallel."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections import Counter
from typing import Any

import jwt

from tests.clients.cloud import Account
from tests.clients.relay import Exchange, Sent, header
from tests.protocol.transcript import ANSWER_HEADERS, Turn, answer_body, described, pieces

# They say nothing of the client, or differ between machines.
_LEFT_OUT = {"host", "connection", "content-length", "user-agent", "traceparent"}
_DATE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d")
_NO_DATE = "2000-01-01T00:00:00"
_UPLOAD = re.compile(r"/blobs/uploads/([0-9a-f]{32})")
_DIGEST = re.compile(r"sha256(?::|%3A)([0-9a-f]{64})")
_MACHINE = re.compile(r"kernel/\S+|go/?go?[\d.]+|git-commit/\S+")


class Redaction:
    """The names of one client's session, in which it pushes one image and may pull it."""

    def __init__(self, host: str, account: Account, push: list[Exchange]) -> None:
        self._host = host
        # Some put it twice: by its digest, and by its tag.
        (put,) = {exchange.sent.body for exchange in push if _is_manifest(exchange.sent)}
        manifest = json.loads(put)
        described_blobs = {"config": manifest["config"]}
        described_blobs |= {f"layer{number}": layer for number, layer in enumerate(manifest["layers"])}
        self.blobs: dict[str, int] = {name: blob["size"] for name, blob in described_blobs.items()}
        login = base64.b64encode(f"{account.username}:{account.password}".encode()).decode()
        self._names = {
            login: "{login}",
            account.password: "{password}",
            f"http://{host}": "{origin}",
            host: "{host}",
            host.replace(":", "%3A"): "{host}",
            hashlib.sha256(put).hexdigest(): "{image}",
            # Some ask for layers by the digest that they have uncompressed.
            **{_hex(diff): f"{{diff{number}}}" for number, diff in enumerate(_diffs(push, manifest))},
            **{_hex(blob["digest"]): f"{{{name}}}" for name, blob in described_blobs.items()},
        }
        self.manifests = {"image": pieces(_DATE.sub(_NO_DATE, self._rename(put.decode())))}

    def turns(self, exchanges: list[Exchange]) -> list[Turn]:
        """The exchanges in an order that does not depend on which of several connections was the fastest."""
        uploads = self._name_uploads(exchanges)
        for exchange in exchanges:
            self._name_token(exchange)
        return [self._turn(exchange) for exchange in self._ordered(exchanges, uploads)]

    def _name_uploads(self, exchanges: list[Exchange]) -> dict[str, str]:
        """Names for the uploads, after the blob that each is for, as the request that ends it says."""
        blob_of: dict[str, str] = {}
        for exchange in exchanges:
            opened = _UPLOAD.search(header(exchange.answered.headers, "Location") or "")
            mounted = _DIGEST.search(exchange.sent.target)
            if opened and mounted:
                blob_of.setdefault(opened[1], mounted[1])
            ended = _UPLOAD.search(exchange.sent.path)
            if ended and mounted:
                blob_of[ended[1]] = mounted[1]
        seen: Counter[str] = Counter()
        for upload, blob in blob_of.items():
            seen[blob] += 1
            again = f" {seen[blob]}" if seen[blob] > 1 else ""
            self._names[upload] = f"{{upload{again} of {self._names[blob].strip('{}')}}}"
        return blob_of

    def _name_token(self, exchange: Exchange) -> None:
        if exchange.sent.path == "/token" and exchange.answered.status == 200:
            token = json.loads(exchange.answered.body)["token"]
            granted = jwt.decode(token, options={"verify_signature": False})["granted"]
            words = [f"{name.partition('/')[2]}:{','.join(actions)}" for name, actions in granted.items()]
            self._names[token] = "{token " + " ".join(sorted(words)) + "}"

    def _turn(self, exchange: Exchange) -> Turn:
        sent, answered = exchange.sent, exchange.answered
        request = f"{sent.method} {self._rename(sent.target)}"
        says = {
            name: self._rename(value) if "X-Amz-" not in value else "{storage}"
            for name in ANSWER_HEADERS
            if (value := described(request, answered.status, name, header(answered.headers, name)))
        }
        answer = answer_body(request, answered.status, answered.body)
        if isinstance(answer, dict):
            answer = {name: self._field(name, value) for name, value in answer.items()}
        elif hashlib.sha256(answered.body).hexdigest() in self._names:
            answer = self._names[hashlib.sha256(answered.body).hexdigest()]
        return Turn(request, self._headers(sent), self._body(sent), answered.status, says, answer)

    def _field(self, name: str, value: Any) -> Any:
        return "{time}" if name == "issued_at" else self._rename(value) if isinstance(value, str) else value

    def _headers(self, sent: Sent) -> list[str]:
        kept = [
            f"{name}: {self._rename(value)}" for name, value in sent.headers if name.lower() not in _LEFT_OUT
        ]
        agent = header(sent.headers, "User-Agent") or ""
        # Sorted, because the order of docker's differs from run to run.
        return [f"User-Agent: {_MACHINE.sub('-', agent)}", *sorted(kept)]

    def _body(self, sent: Sent) -> str:
        if not sent.body:
            return ""
        name = self._names.get(hashlib.sha256(sent.body).hexdigest())
        return name or self._rename(sent.body.decode())

    def _rename(self, text: str) -> str:
        # The longest first: a host is a part of an origin.
        for value in sorted(self._names, key=len, reverse=True):
            text = text.replace(value, self._names[value])
        return text

    def _ordered(self, exchanges: list[Exchange], uploads: dict[str, str]) -> list[Exchange]:
        """What is about blobs sorted by blob, between one exchange that is about none and the next.

        What is about the same blob keeps its order, and no blob's upload depends on another's.
        """
        result: list[Exchange] = []
        group: list[tuple[str, int]] = []
        exchanges = _repeats_joined(exchanges)
        for number, exchange in enumerate(exchanges):
            blob = _blob(exchange, uploads)
            if blob is not None:
                group.append((self._names.get(blob, blob), number))
                continue
            result += [exchanges[place] for _, place in sorted(group)] + [exchange]
            group = []
        return result + [exchanges[place] for _, place in sorted(group)]


def _is_manifest(sent: Sent) -> bool:
    return sent.method == "PUT" and "/manifests/" in sent.path


def _repeats_joined(exchanges: list[Exchange]) -> list[Exchange]:
    """A token that was asked for again, as connections do that know nothing of each other, directly after the first:
    tokens that grant the same are as good as each other.
    """
    asked: dict[tuple[str, bytes], list[Exchange]] = {}
    for exchange in exchanges:
        if exchange.sent.path == "/token":
            asked.setdefault((exchange.sent.target, exchange.sent.body), []).append(exchange)
    result: list[Exchange] = []
    for exchange in exchanges:
        if exchange.sent.path == "/token":
            result += asked.pop((exchange.sent.target, exchange.sent.body), [])
        else:
            result.append(exchange)
    return result


def _diffs(push: list[Exchange], manifest: dict[str, Any]) -> list[str]:
    """The digests of the uncompressed layers, as the configuration of an image names them."""
    wanted = _hex(manifest["config"]["digest"])
    (config,) = {
        exchange.sent.body for exchange in push if hashlib.sha256(exchange.sent.body).hexdigest() == wanted
    }
    diffs: list[str] = json.loads(config).get("rootfs", {}).get("diff_ids", [])
    return diffs


def _hex(digest: str) -> str:
    return digest.partition(":")[2]


def _blob(exchange: Exchange, uploads: dict[str, str]) -> str | None:
    """The blob that an exchange is about."""
    if "/blobs/" not in exchange.sent.path:
        return None
    for text in (exchange.sent.path, header(exchange.answered.headers, "Location") or ""):
        if upload := _UPLOAD.search(text):
            return uploads.get(upload[1])
    found = _DIGEST.search(exchange.sent.target)
    return found[1] if found else None
