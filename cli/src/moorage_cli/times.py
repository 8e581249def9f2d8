"""Moments as text shows them: in local time, as the registry writes them, or by their age."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

_UNITS = (
    (timedelta(days=365), "y"),
    (timedelta(days=1), "d"),
    (timedelta(hours=1), "h"),
    (timedelta(minutes=1), "m"),
    (timedelta(seconds=1), "s"),
)


def shown(text: str, style: str, now: datetime | None = None) -> str:
    """An ISO 8601 moment in a style of ``session.TIMES``; what is no moment stays as it is."""
    if style == "iso" or not text:
        return text
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return text
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    if style == "age":
        return age((now or datetime.now(UTC)) - moment)
    try:
        return moment.astimezone().strftime("%Y-%m-%d %H:%M:%S")
    except (OverflowError, OSError):
        return text


def age(span: timedelta) -> str:
    """A span in its greatest whole unit, such as ``3d``; ``in 3d`` if it is still to come."""
    size = abs(span)
    for unit, letter in _UNITS:
        if size >= unit:
            return f"{'in ' if span < timedelta() else ''}{size // unit}{letter}"
    return "0s"
