"""What a client and the registry said to each other once, and the same conversation held again without the client.

A transcript holds no secret and nothing that differs from run to run. In their places stand names in braces: the hex
of digests as ``{config}`` or ``{layer0}``, tokens by what they grant, uploads by the blob that they are for. Of blobs
it keeps the lengths: any content will do, because everything that names a blob is written anew with its digest.
"""

from __future__ import annotations

import base64
import hashlib
import json
import random
import re
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from moorage.domain.manifests import OCI_MANIFEST

if TYPE_CHECKING:
    from httpx2 import Response

    from tests.protocol.world import World

FOLDER = Path(__file__).with_name("golden")
ORIGIN, HOST = "https://registry.example", "registry.example"
TAG = "1.0.0"
ANSWER_HEADERS = (
    "Accept-Ranges",
    "Allow",
    "Cache-Control",
    "Content-Length",
    "Content-Type",
    "Docker-Content-Digest",
    "Docker-Distribution-API-Version",
    "Docker-Upload-UUID",
    "ETag",
    "Link",
    "Location",
    "OCI-Filters-Applied",
    "OCI-Subject",
    "OCI-Tag",
    "Range",
    "Retry-After",
    "WWW-Authenticate",
)
_PLACEHOLDER = re.compile(r"\{([a-z][a-z0-9 :,/.*-]*)\}")
# What may stand in a place whose value only the answer tells.
_LEARNT = {"storage": r"https?://.+", "time": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"}
_ANY = r'[^/?&",;{}\s]+'


@dataclass(frozen=True)
class Turn:
    """A request and its answer. Bodies are the name of a blob or a manifest in braces, or a text."""

    request: str
    headers: list[str]
    body: str
    status: int
    says: dict[str, str]
    answer: Any


@dataclass(frozen=True)
class Transcript:
    """A push or a pull: the ``client`` with its version, the lengths of the ``blobs``, the texts of the ``manifests``
    in pieces, whether they are ``given`` before the first turn, and the turns.
    """

    client: str
    repository: str
    given: bool
    blobs: dict[str, int]
    manifests: dict[str, list[str]]
    turns: list[Turn] = field(default_factory=list)

    def write(self, file: Path) -> None:
        file.write_text(json.dumps(asdict(self), indent=1, ensure_ascii=False) + "\n", "utf-8")

    @classmethod
    def read(cls, file: Path) -> Transcript:
        facts = json.loads(file.read_text("utf-8"))
        turns = [Turn(**turn) for turn in facts.pop("turns")]
        return cls(**facts, turns=turns)


def pieces(text: str) -> list[str]:
    """A manifest cut where a reader of a diff likes it."""
    return re.findall(r"[^,]*,|[^,]+", text)


class Replay:
    """One transcript, told to a registry in memory."""

    def __init__(self, transcript: Transcript, world: World) -> None:
        self._transcript = transcript
        self._world = world
        self._contents = {
            name: random.Random(name).randbytes(size) for name, size in transcript.blobs.items()
        }
        password = world.keys["demo/admin"]
        login = base64.b64encode(f"<token>:{password}".encode()).decode()
        self._values = {"host": HOST, "origin": ORIGIN, "password": password, "login": login}
        self._values |= {name: _hex(content) for name, content in self._contents.items()}
        # Some clients ask for layers by the digests that they have uncompressed.
        self._values |= {f"diff{number}": _hex(b"%d" % number) for number in range(len(transcript.blobs))}
        for name, text in transcript.manifests.items():
            content = self._resolve("".join(text)).encode()
            self._contents[name] = content
            self._values[name] = _hex(content)

    def give(self) -> None:
        """Put what the first turn finds there into the registry."""
        name = self._transcript.repository
        headers = self._world.all_of("demo/admin", name)
        for blob in self._transcript.blobs:
            path = f"/v2/{name}/blobs/uploads/?digest=sha256:{self._values[blob]}"
            response = self._world.registry.post(path, headers=headers, content=self._contents[blob])
            assert response.status_code == 201, response.text
        for manifest in self._transcript.manifests:
            path, content = f"/v2/{name}/manifests/{TAG}", self._contents[manifest]
            kind = {"Content-Type": json.loads(content).get("mediaType", OCI_MANIFEST)}
            response = self._world.registry.put(path, headers={**headers, **kind}, content=content)
            assert response.status_code == 201, response.text

    def tell(self, turn: Turn) -> None:
        """Send the request of a turn, and hold the answer against the recorded one."""
        method, _, target = turn.request.partition(" ")
        client = self._world.tokens if target.startswith("/token") else self._world.registry
        response = client.request(
            method,
            ORIGIN + self._resolve(target),
            headers=[self._header(line) for line in turn.headers if not line.startswith("Transfer-")],
            content=self._body(turn.body),
        )
        assert response.status_code == turn.status, (turn.request, response.status_code, response.text)
        for name in ANSWER_HEADERS:
            said = described(turn.request, response.status_code, name, response.headers.get(name))
            self._hold(f"{turn.request}: {name}", turn.says.get(name), said)
        self._hold_body(turn, response)

    def _hold_body(self, turn: Turn, response: Response) -> None:
        if isinstance(turn.answer, dict):
            said = answer_body(turn.request, response.status_code, response.content)
            assert isinstance(said, dict), (turn.request, said)
            assert set(said) == set(turn.answer), turn.request
            # Tokens that grant the same are as good as each other; this one is the newest.
            self._values.pop(str(turn.answer.get("token", "")).strip("{}"), None)
            for name, value in turn.answer.items():
                self._hold(f"{turn.request}: {name}", str(value), str(said[name]))
        else:
            assert response.content == self._body(turn.answer), turn.request

    def _hold(self, where: str, recorded: str | None, said: str | None) -> None:
        if recorded is None or said is None:
            assert recorded == said, where
            return
        unbound: list[str] = []

        def place(found: re.Match[str]) -> str:
            name = found[1]
            if name in self._values:
                return re.escape(self._values[name])
            if name in _LEARNT:
                return _LEARNT[name]
            unbound.append(name)
            return f"({_ANY})" if unbound.count(name) == 1 else f"\\{unbound.index(name) + 1}"

        parts = _PLACEHOLDER.split(recorded)
        literal = [re.escape(part) for part in parts[::2]]
        named = [place(found) for found in _PLACEHOLDER.finditer(recorded)]
        pattern = "".join(a + b for a, b in zip(literal, [*named, ""], strict=True))
        match = re.fullmatch(pattern, said)
        assert match, f"{where}\nrecorded {recorded}\nsaid     {said}"
        self._values.update(zip(dict.fromkeys(unbound), match.groups(), strict=True))

    def _header(self, line: str) -> tuple[str, str]:
        name, _, value = line.partition(": ")
        return name, self._resolve(value)

    def _body(self, body: str) -> bytes:
        found = _PLACEHOLDER.fullmatch(body)
        return self._contents[found[1]] if found else self._resolve(body).encode()

    def _resolve(self, text: str) -> str:
        return _PLACEHOLDER.sub(lambda found: self._values[found[1]], text)


def described(request: str, status: int, name: str, value: str | None) -> str | None:
    """A header of an answer as far as it is held against another: not the length of words and tokens, nor the type
    that the gateway gives to an empty body.
    """
    reads = request.startswith(("GET /v2/", "HEAD /v2/"))
    if name == "Content-Length" and not (reads and status < 300):
        return None
    if name == "Content-Type" and not reads and status < 300:
        return None
    return value


def answer_body(request: str, status: int, content: bytes) -> Any:
    """Of an error its code, of an answer with a token its fields, else the text."""
    if not content:
        return ""
    if status >= 400:
        return {"code": json.loads(content)["errors"][0]["code"]}
    if " /token" in request:
        return json.loads(content)
    return content.decode()


def _hex(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
