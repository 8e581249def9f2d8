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

from moorage.ports import PublicKey, SecretState

if TYPE_CHECKING:
    from moorage.ports import Clock, KeyPairSource, SecretRecords, SecretWriter

SIGNING_KEY = "signing-key"
UPLOAD_KEY = "upload-key"
UPLOAD_KIDS = ("a", "b")

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

    def ensure(self) -> list[str]:
        """Make what does not exist yet and replace nothing; the names of what was made.

        Raises:
            Unavailable: a dependency failed; what was made stays, and a repetition makes the rest.

        """
        made = []
        if self.records.find_state(SIGNING_KEY) is None:
            self._make_signing_key()
            made.append(SIGNING_KEY)
        if self.records.find_state(UPLOAD_KEY) is None:
            self._make_upload_keys()
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
            self._rotate_upload_key(upload)
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
        for _ in UPLOAD_KIDS:
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

    def _make_upload_keys(self) -> None:
        """Both upload keys, so that a verifier finds two from the first day; the first is in use."""
        now = self.clock()
        versions = [self._write_upload_key(kid, now) for kid in UPLOAD_KIDS]
        self.records.record_state(UPLOAD_KEY, SecretState(UPLOAD_KIDS[0], versions[0], 0, now))

    def _rotate_upload_key(self, state: SecretState) -> None:
        """Renew the key that is not in use and turn to it; the other one stays for a lifetime more."""
        now = self.clock()
        generation = state.generation + 1
        kid = UPLOAD_KIDS[generation % len(UPLOAD_KIDS)]
        version = self._write_upload_key(kid, now)
        self.records.record_state(UPLOAD_KEY, SecretState(kid, version, generation, now))

    def _write_upload_key(self, kid: str, now: datetime) -> int:
        value = _encode(kid=kid, key=secrets.token_hex(_RANDOM_BYTES), created=_epoch(now))
        return self.writer.write_secret(f"{self.names.upload_key_prefix}/{kid}", value)

    def _make_bootstrap(self) -> None:
        # The prefix lets a secret scanner find the credential where it does not belong.
        credential = f"mrgboot_{secrets.token_urlsafe(_RANDOM_BYTES)}"
        version = self.writer.write_secret(self.names.bootstrap, credential)
        sha256 = hashlib.sha256(credential.encode()).hexdigest()
        self.records.record_bootstrap(sha256, version, self.clock())


def _encode(**fields: str | int) -> str:
    return json.dumps({"v": _FORMAT, **fields}, separators=(",", ":"))


def _epoch(moment: datetime) -> int:
    return int(moment.timestamp())
