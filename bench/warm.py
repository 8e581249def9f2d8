"""CPU time of a warm request, through the real handlers, with only the network replaced."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import botocore.session

from bench.figures import Figure, alternating
from bench.functions import ENVIRONMENT, Request, requests
from bench.stand_in import ENDPOINT

PART = "CPU per warm request"
ROUNDS = 21
BATCH = 25
WARMING = 40
CEILING = "botocore GetItem alone"
_READS = {
    "manifest HEAD by tag": "2 strong reads",
    "manifest HEAD by digest": "1 strong read",
    "manifest GET by tag": "2 strong reads",
    "manifest GET by digest": "1 strong read",
    "blob HEAD": "1 strong read",
    "blob GET": "1 strong read and 1 presigned URL",
    "upload POST": "1 strong read and 1 write",
    "token GET": "2 strong reads and 1 signature",
}


def measure(note: Callable[[str], None], rounds: int = ROUNDS, batch: int = BATCH) -> list[Figure]:
    """One figure per request, and one for what a read costs through botocore's own client."""
    with requests() as made:
        contestants = {request.name: batches(request, batch) for request in made}
        contestants[CEILING] = _botocore_reads(batch)
        for contestant in contestants.values():
            for _ in range(-(-WARMING // batch)):
                contestant()
        runs = alternating(contestants, rounds, note)
    return [
        Figure(PART, name, "ms", each, _READS.get(name, "what one read costs with the AWS SDK's own client"))
        for name, each in runs.items()
    ]


def batches(request: Request, batch: int) -> Callable[[], float]:
    """Sends the request ``batch`` times; the CPU time of one, in milliseconds."""

    def run() -> float:
        started = time.process_time()
        for _ in range(batch):
            request.send()
        return (time.process_time() - started) / batch * 1000

    return run


def _botocore_reads(batch: int) -> Callable[[], float]:
    region = ENVIRONMENT["AWS_REGION"]
    session = botocore.session.Session()
    client: Any = session.create_client("dynamodb", region_name=region, endpoint_url=ENDPOINT)
    key = {"pk": {"S": "REPO#demo/hello"}, "sk": {"S": "TAG#v1"}}

    def run() -> float:
        started = time.process_time()
        for _ in range(batch):
            client.get_item(TableName=ENVIRONMENT["TABLE_NAME"], Key=key, ConsistentRead=True)
        return (time.process_time() - started) / batch * 1000

    return run
