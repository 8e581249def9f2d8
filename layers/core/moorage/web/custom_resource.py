"""The face that CloudFormation sees of a custom resource: whatever happens, it gets an answer.

Without one a deployment hangs until its time limit. The answer goes to a presigned S3 URL that comes with
the event. See https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/crpg-ref-responses.html
"""

from __future__ import annotations

import json
import time
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from moorage.domain.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from aws_lambda_powertools import Logger

_ATTEMPTS = 4
_PAUSE_SECONDS = 6
_TIMEOUT_SECONDS = 5
_SCHEMES = ("https://", "http://")


class CustomResource:
    """Answers Create, Update and Delete events of a resource that ``ensure`` makes and nothing removes."""

    def __init__(self, ensure: Callable[[], list[str]], logger: Logger) -> None:
        self._ensure = ensure
        self._logger = logger

    def handle(self, event: Mapping[str, Any]) -> None:
        """Do what the event asks for and report the outcome.

        Raises:
            OSError: the answer could not be delivered; a repetition of the event tries again.

        """
        answer = {
            "Status": "SUCCESS",
            "PhysicalResourceId": event.get("PhysicalResourceId") or _physical_id(event),
            "StackId": event["StackId"],
            "RequestId": event["RequestId"],
            "LogicalResourceId": event["LogicalResourceId"],
        }
        try:
            self._act(event.get("RequestType"))
        except Exception as error:
            # A deployment must not hang on an error of any kind. Its kind is all that goes into the answer,
            # which everybody sees who may look at the stack.
            kind = type(error).__name__
            self._logger.exception("custom resource failed", error=kind)
            answer |= {"Status": "FAILED", "Reason": f"{kind}; the log of the function says more"}
        deliver(event["ResponseURL"], answer)

    def _act(self, request: object) -> None:
        if request in ("Create", "Update"):
            self._logger.info("custom resource", request=request, made=self._made())
        elif request == "Delete":
            # The table outlives the stack, and so does what opens it. A failed update also ends with a
            # Delete of what it had made anew: that must not take the keys of a running registry away.
            self._logger.info("custom resource", request=request, made=[])
        else:
            raise ValueError("unknown request type")

    def _made(self) -> list[str]:
        """What had to be made; tried for a while, because a right that the deployment has just given takes
        some seconds to hold, and one refusal would roll back all of it.
        """
        for _ in range(_ATTEMPTS):
            try:
                return self._ensure()
            except Unavailable as failure:
                self._logger.warning("custom resource tried again", error=type(failure).__name__)
                time.sleep(_PAUSE_SECONDS)
        return self._ensure()


def _physical_id(event: Mapping[str, Any]) -> str:
    """The same for the whole life of the resource: a new one would make CloudFormation delete the old."""
    return f"{event['LogicalResourceId']}-{event['StackId'].rsplit('/', 1)[-1]}"


def deliver(url: str, answer: Mapping[str, str]) -> None:
    """Put ``answer`` to the presigned ``url``, trying again for a few seconds.

    Raises:
        OSError: it could not be delivered.
        ValueError: this is no HTTP address.

    """
    if not url.startswith(_SCHEMES):
        raise ValueError("the answer can only be delivered over HTTP")
    # The signature covers an empty content type.
    request = Request(  # noqa: S310 - the scheme was checked
        url, data=json.dumps(answer).encode(), method="PUT", headers={"Content-Type": ""}
    )
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            with urlopen(request, timeout=_TIMEOUT_SECONDS):  # noqa: S310 - likewise
                return
        except HTTPError as error:
            refused = error.code < HTTPStatus.INTERNAL_SERVER_ERROR
            error.close()
            if refused or attempt == _ATTEMPTS:
                # Without the URL, which is a credential.
                raise OSError(f"CloudFormation refused the answer with {error.code}") from None
        except (URLError, TimeoutError):
            if attempt == _ATTEMPTS:
                raise OSError("CloudFormation could not be reached") from None
        time.sleep(2 ** (attempt - 1) / 2)
