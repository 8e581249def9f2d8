"""A queue of SQS."""

from __future__ import annotations

from collections.abc import Callable

from moorage.adapters import access
from moorage.adapters.aws import Patience, lazy, translated
from moorage.adapters.json_service import JsonService

_PATIENCE = Patience()


class SqsQueue:
    """The port ``Queue``."""

    def __init__(self, service: Callable[[], JsonService], url: str) -> None:
        self._service = service
        self._url = url

    def hand_back(self, receipt: str, seconds: int) -> None:
        """Change for how long nobody sees the message.

        Raises:
            Unavailable: SQS failed or refused.
        """
        request = {"QueueUrl": self._url, "ReceiptHandle": receipt, "VisibilityTimeout": seconds}
        with translated("ChangeMessageVisibility"):
            self._service().call("ChangeMessageVisibility", request)


def connect_queue(url: str) -> SqsQueue:
    """The queue of that URL; no request is sent before it is used."""
    return SqsQueue(lazy(_create), url)


def _create() -> JsonService:
    return JsonService(
        access.find("sqs", _PATIENCE),
        _PATIENCE,
        api="AmazonSQS",
        version="1.0",
        silent={"ChangeMessageVisibility"},
    )
