"""Making and rotating the keys and the bootstrap credential.

Whoever runs this can write secrets and not read them, so every step must be safe to repeat without
knowing what is stored. Three rules make it so:

* what verifies is written before what signs: a signature that can be made can always be verified;
* the table says what exists, and is written last: a run that died is simply done again;
* of two runs at once the one that wrote the secret later wins, which the store's version tells.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from moorage.ports import SIGNING_KEY, UPLOAD_KEY, UPLOAD_SLOTS, PublicKey, SecretState

if TYPE_CHECKING:
    from collections.abc import Callable

    from moorage.ports import Clock, EdgeKeys, KeyPairSource, SecretRecords, SecretWriter


# A token function signs with the key it read up to five minutes ago, and a token lives for five more.
RETIREMENT = timedelta(days=1)
# A key that was published so recently may belong to a run that has not finished.
UNSETTLED = timedelta(hours=1)
_RANDOM_BYTES = 32
# NOTE: the wire format of both secrets. Readers refuse another value of "v"; fields may be added, and a
# change of meaning needs a new value that every reader knows before the first writer uses it.
_FORMAT = 1


@dataclass(frozen=True, slots=True)
class SecretNames:
    """Where the secrets are stored."""

    signing_key: str
    upload_key_prefix: str
    bootstrap: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Secrets:
    """The use cases of the ``secrets`` function: ``ensure`` at a deployment, ``rotate`` on a schedule.

    A key is replaced when it is ``lifetime`` old.
    """

    writer: SecretWriter
    records: SecretRecords
    names: SecretNames
    new_key_pair: KeyPairSource
    clock: Clock
    lifetime: timedelta
    edge: EdgeKeys | None = None
    """Where the front door finds the upload keys; None where there is no front door."""
    propagate: Callable[[], None] = lambda: None
    """Waits until the front door knows everywhere what was just published."""

    def ensure(self) -> list[str]:
        """Make what does not exist yet and replace nothing; the names of what was made.

        Raises:
            Unavailable: a dependency failed; what was made stays, and a repetition makes the rest.

        """
        made = []
        if self.records.find_state(SIGNING_KEY) is None:
            self._make_signing_key()
            made.append(SIGNING_KEY)
        if self._ensure_upload_keys():
            made.append(UPLOAD_KEY)
        if self.records.find_bootstrap() is None:
            self._make_bootstrap()
            made.append("bootstrap")
        return made

    def rotate(self) -> list[str]:
        """Replace the keys that have reached their age; the names of those that were replaced.

        A key that was never made is left to ``ensure``: a schedule that fires during the first deployment
        must not race it.

        Raises:
            Unavailable: a dependency failed; the next run tries again.

        """
        rotated = []
        signing = self.records.find_state(SIGNING_KEY)
        if signing is not None and self._is_due(signing):
            self._end_other_signing_keys(self._make_signing_key(), grace=RETIREMENT, unsettled=UNSETTLED)
            rotated.append(SIGNING_KEY)
        upload = self.records.find_state(UPLOAD_KEY)
        if upload is not None and self._is_due(upload):
            self._rotate_upload_key(upload, propagate=True)
            rotated.append(UPLOAD_KEY)
        return rotated

    def replace(self) -> list[str]:
        """Replace all keys whatever their age and end the old ones now, because somebody may know them; the
        names of those that were replaced.

        Until every environment has read the new signing key, some tokens are refused that were just issued.

        Raises:
            Unavailable: a dependency failed; a repetition replaces the keys once more.

        """
        self._end_other_signing_keys(self._make_signing_key(), grace=timedelta(0), unsettled=timedelta(0))
        replaced = [SIGNING_KEY]
        for _ in UPLOAD_SLOTS:
            upload = self.records.find_state(UPLOAD_KEY)
            if upload is not None:
                self._rotate_upload_key(upload)
                replaced = [SIGNING_KEY, UPLOAD_KEY]
        return replaced

    def _is_due(self, state: SecretState) -> bool:
        return self.clock() - state.created >= self.lifetime

    def _make_signing_key(self) -> SecretState | None:
        """A new signing key in use; None when another run made a later one meanwhile."""
        pair = self.new_key_pair()
        now = self.clock()
        self.records.publish_verification_key(PublicKey(pair.kid, pair.public_pem, None), now)
        version = self.writer.write_secret(
            self.names.signing_key,
            _encode(kid=pair.kid, private_pem=pair.private_pem, created=_epoch(now)),
        )
        state = SecretState(pair.kid, version, version, now)
        return state if self.records.record_state(SIGNING_KEY, state) else None

    def _end_other_signing_keys(
        self, current: SecretState | None, *, grace: timedelta, unsettled: timedelta
    ) -> None:
        """Let the published keys end after ``grace``, but for one in use and those of unfinished runs."""
        # A run whose key did not come into use ends none: the one that overtook it does.
        if current is not None:
            self.records.retire_verification_keys(
                published_before=current.created - unsettled,
                except_kid=current.kid,
                at=current.created + grace,
            )

    def _ensure_upload_keys(self) -> bool:
        """Make the upload keys, or renew one if the front door is new and knows none; whether it was
        necessary.
        """
        state = self.records.find_state(UPLOAD_KEY)
        if state is None:
            self._make_upload_keys()
            return True
        if self.edge is None or upload_kid(state) in self.edge.kids():
            return False
        self._rotate_upload_key(state)
        return True

    def _make_upload_keys(self) -> None:
        """Both upload keys, so that a verifier finds two from the first day; the first is in use."""
        now = self.clock()
        first, _ = [self._write_upload_key(slot, now) for slot in UPLOAD_SLOTS]
        self.records.record_state(UPLOAD_KEY, SecretState(UPLOAD_SLOTS[0], first, 0, now))

    def _rotate_upload_key(self, state: SecretState, *, propagate: bool = False) -> None:
        """Renew the key that is not in use and turn to it; the other one stays for a lifetime more."""
        now = self.clock()
        generation = state.generation + 1
        slot = UPLOAD_SLOTS[generation % len(UPLOAD_SLOTS)]
        renewed = SecretState(slot, self._write_upload_key(slot, now), generation, now)
        if propagate and self.edge is not None:
            self.propagate()
        # Of two runs at once, the one whose key came into use removes what the other has published.
        if self.records.record_state(UPLOAD_KEY, renewed) and self.edge is not None:
            kid = upload_kid(renewed)
            others = [each for each in self.edge.kids() if each[:1] == slot and each != kid]
            # Asked after they were listed: the key of a run that came later may be among them.
            now_in_use = self.records.find_state(UPLOAD_KEY)
            if now_in_use is not None and now_in_use.generation == generation:
                self.edge.withdraw(others)

    def _write_upload_key(self, slot: str, now: datetime) -> int:
        """Store a new key and let the front door know it; its version. Nobody signs with it yet."""
        key = secrets.token_hex(_RANDOM_BYTES)
        value = _encode(kid=slot, key=key, created=_epoch(now))
        version = self.writer.write_secret(f"{self.names.upload_key_prefix}/{slot}", value)
        if self.edge is not None:
            self.edge.publish(f"{slot}{version}", key)
        return version

    def _make_bootstrap(self) -> None:
        # The prefix lets a secret scanner find the credential where it does not belong.
        credential = f"mrgboot_{secrets.token_urlsafe(_RANDOM_BYTES)}"
        version = self.writer.write_secret(self.names.bootstrap, credential)
        sha256 = hashlib.sha256(credential.encode()).hexdigest()
        self.records.record_bootstrap(sha256, version, self.clock())


def upload_kid(state: SecretState) -> str:
    """The id under which an upload key signs: its slot and its version, so that no two keys share one."""
    return f"{state.kid}{state.version}"


def _encode(**fields: str | int) -> str:
    return json.dumps({"v": _FORMAT, **fields}, separators=(",", ":"))


def _epoch(moment: datetime) -> int:
    return int(moment.timestamp())
