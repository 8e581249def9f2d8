"""Queues of messages that are handed back when they could not be processed."""

from __future__ import annotations

from typing import Protocol


class Queue(Protocol):
    """A queue, as its consumer needs it."""

    def hand_back(self, receipt: str, seconds: int) -> None:
        """Let a message that was received be received again after so many seconds, and not before."""
