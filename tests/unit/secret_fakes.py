"""In-memory stand-ins for what the ``secrets`` service writes to, which can fail at any chosen write."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime

from moorage.domain.errors import Unavailable
from moorage.ports import PublicKey, SecretState


@dataclass
class Writes:
    """Counts writes to all fakes together; ``dies_before`` names the one that a run does not survive."""

    count: int = 0
    dies_before: int | None = None
    log: list[str] = field(default_factory=list)

    def happen(self, what: str) -> None:
        if self.count == self.dies_before:
            raise Unavailable("the run died here")
        self.count += 1
        self.log.append(what)

    @contextmanager
    def dying_before(self, number: int) -> Iterator[None]:
        self.dies_before = self.count + number
        try:
            yield
        finally:
            self.dies_before = None


class MemorySecretWriter:
    """Keeps every version of every secret."""

    def __init__(self, writes: Writes) -> None:
        self.versions: dict[str, list[str]] = {}
        self._writes = writes

    def write_secret(self, name: str, value: str) -> int:
        self._writes.happen(f"secret {name}")
        self.versions.setdefault(name, []).append(value)
        return len(self.versions[name])

    def latest(self, name: str) -> str:
        return self.versions[name][-1]


class MemorySecretRecords:
    """The rows, as Python values."""

    def __init__(self, writes: Writes) -> None:
        self.states: dict[str, SecretState] = {}
        self.published: dict[str, tuple[PublicKey, datetime]] = {}
        self.bootstrap: tuple[str, int] | None = None
        self._writes = writes

    def find_state(self, secret: str) -> SecretState | None:
        return self.states.get(secret)

    def record_state(self, secret: str, state: SecretState) -> bool:
        self._writes.happen(f"state {secret}")
        standing = self.states.get(secret)
        if standing is not None and standing.generation >= state.generation:
            return standing == state
        self.states[secret] = state
        return True

    def publish_verification_key(self, key: PublicKey, created: datetime) -> None:
        self._writes.happen("public key")
        self.published.setdefault(key.kid, (key, created))

    def retire_verification_keys(self, *, published_before: datetime, except_kid: str, at: datetime) -> int:
        self._writes.happen("retirement")
        ending = [
            (key, created)
            for key, created in self.published.values()
            if key.kid != except_kid
            and created <= published_before
            and (key.not_after is None or key.not_after > at)
        ]
        for key, created in ending:
            self.published[key.kid] = replace(key, not_after=at), created
        return len(ending)

    def find_bootstrap(self) -> str | None:
        return self.bootstrap[0] if self.bootstrap else None

    def record_bootstrap(self, sha256: str, generation: int, created: datetime) -> bool:
        self._writes.happen("bootstrap")
        if self.bootstrap is not None and self.bootstrap[1] >= generation:
            return self.bootstrap == (sha256, generation)
        self.bootstrap = sha256, generation
        return True


class MemoryEdgeKeys:
    """The port ``EdgeKeys``. Nothing looks at the values, but the test."""

    def __init__(self, writes: Writes) -> None:
        self.keys: dict[str, str] = {}
        self._writes = writes

    def kids(self) -> Collection[str]:
        return list(self.keys)

    def publish(self, kid: str, key: str) -> None:
        self._writes.happen(f"publish {kid}")
        self.keys[kid] = key

    def withdraw(self, kids: Collection[str]) -> None:
        self._writes.happen(f"withdraw {' '.join(sorted(kids))}")
        for kid in kids:
            self.keys.pop(kid, None)
