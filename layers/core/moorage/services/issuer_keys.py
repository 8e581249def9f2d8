"""The keys of issuers, kept for a while so that not every token asks for them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from moorage.domain.errors import Unavailable
from moorage.domain.jwks import PublicJwk
from moorage.ports import Clock
from moorage.ports.issuers import Issuers

_ISSUERS_HELD = 64
_HELD_DEFAULT, _HELD_MIN, _HELD_MAX = timedelta(minutes=15), timedelta(minutes=5), timedelta(minutes=60)
# Anybody can invent key ids and name an issuer that fails: neither may become a request per token.
_RELOAD_PAUSE = timedelta(seconds=60)
_FAILURE_HELD = timedelta(seconds=30)


@dataclass(slots=True)
class _Held:
    """What is known of an issuer: its keys until a time, and how the last attempt to fetch them failed."""

    keys: tuple[PublicJwk, ...] = ()
    expires: datetime | None = None
    reload_after: datetime | None = None
    failure: str | None = None

    def fresh(self, now: datetime) -> bool:
        return self.expires is not None and now < self.expires

    def may_reload(self, now: datetime) -> bool:
        return self.reload_after is None or now >= self.reload_after


class KeptIssuerKeys:
    """The keys of at most 64 issuers, each kept for as long as it says itself, within 5 to 60 minutes.

    After that they are fetched anew or there are none: keys that an issuer may have withdrawn verify nothing.
    """

    def __init__(self, issuers: Issuers, clock: Clock) -> None:
        self._issuers = issuers
        self._clock = clock
        self._held: dict[str, _Held] = {}

    def keys(self, issuer: str, kid: str | None) -> tuple[PublicJwk, ...]:
        """The keys of ``issuer``; fetched anew if ``kid`` is not among them, at most once a minute.

        Raises:
            Unavailable: they cannot be fetched, or could not a moment ago.
        """
        now = self._clock()
        held = self._place(issuer)
        if held.fresh(now) and (kid is None or any(key.kid == kid for key in held.keys)):
            return held.keys
        # Keys that are not fresh may always be fetched anew, unless that has failed just now.
        if held.may_reload(now):
            self._reload(issuer, held, now)
        elif held.failure is not None:
            # With keys that are fresh too: the one that is missing may be among those that could not be
            # fetched.
            raise Unavailable(held.failure)
        return held.keys

    def _place(self, issuer: str) -> _Held:
        """What is held of ``issuer``, which thereby is the last that is given up for another."""
        held = self._held.pop(issuer, None) or _Held()
        while len(self._held) >= _ISSUERS_HELD:
            del self._held[next(iter(self._held))]
        self._held[issuer] = held
        return held

    def _reload(self, issuer: str, held: _Held, now: datetime) -> None:
        try:
            fetched = self._issuers.fetch_keys(issuer)
        except Unavailable as error:
            held.failure = error.message
            held.reload_after = now + (_RELOAD_PAUSE if held.fresh(now) else _FAILURE_HELD)
            raise
        life = fetched.max_age if fetched.max_age is not None else _HELD_DEFAULT
        held.keys, held.failure = fetched.keys, None
        held.expires = now + min(max(life, _HELD_MIN), _HELD_MAX)
        held.reload_after = now + _RELOAD_PAUSE
