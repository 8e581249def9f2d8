"""How events are disturbed on purpose: the real S3 delays, repeats and reorders them, and may lose one.

What becomes of an event depends on the seed, its key and how often that key was heard of, and on nothing
else: objects that are stored side by side meet the same fate in whichever order they are told.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

_WINDOW_SECONDS = 1.0
"""Events of this time change places when they are reordered."""


@dataclass(frozen=True)
class Disturbance:
    """What happens to events on their way; nothing by default."""

    delay: float = 0.0
    """Seconds that each event waits."""
    duplicate: float = 0.0
    """The share of events that come twice."""
    reorder: bool = False
    """Whether events overtake each other."""
    drop: float = 0.0
    """The share of events that are lost."""
    seed: int = 0

    @classmethod
    def parse(cls, text: str) -> Disturbance:
        """What a text like `delay=2,duplicate=0.5,reorder,drop=0.1,seed=7` says.

        Raises:
            ValueError: it says something else.
        """
        settings: dict[str, float | bool | int] = {}
        for part in filter(None, text.split(",")):
            name, equals, value = part.partition("=")
            if name in settings:
                raise ValueError(f"S3_EVENTS says {name} twice")
            settings[name] = _value(name, value, given=bool(equals))
        return cls(**settings)  # type: ignore[arg-type]

    def plan(self, key: str, occurrence: int) -> list[float]:
        """The seconds after which an event is sent: once, more than once, or not at all."""
        # Text is hashed by its bytes here, not by Python's hash, which differs between processes.
        chance = random.Random(f"{self.seed} {occurrence} {key}")  # noqa: S311 - nothing secret
        dropped, repeated = chance.random() < self.drop, chance.random() < self.duplicate
        copies = 0 if dropped else 2 if repeated else 1
        return [
            self.delay + (chance.uniform(0, _WINDOW_SECONDS) if self.reorder else 0.0) for _ in range(copies)
        ]


def _value(name: str, value: str, *, given: bool) -> float | bool | int:
    try:
        match name:
            case "reorder" if not given:
                return True
            case "seed" if value.isdecimal():
                return int(value)
            case "delay" if 0 <= float(value) <= 3600:  # noqa: PLR2004 - an hour, which rules out infinity
                return float(value)
            case "duplicate" | "drop" if 0 <= float(value) <= 1:
                return float(value)
    except ValueError:
        pass
    raise ValueError(
        f"S3_EVENTS cannot hold {name}={value}: it is made of delay=SECONDS, duplicate=SHARE, reorder, "
        "drop=SHARE and seed=NUMBER"
    )
