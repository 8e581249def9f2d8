"""CPU time and AWS calls of a token, for organisations with few policies and with many."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping, Sequence
from urllib.parse import quote

import jwt

from bench import organisation
from bench.context import Context
from bench.figures import Figure, alternating, ratio
from bench.functions import ENVIRONMENT, Handler, Request, event, load, world
from bench.organisation import Asking, Organisation
from bench.partitions import Cost, PartitionedServices, uncollected
from bench.warm import batches
from moorage.adapters.dynamodb import connect_table

PART = "token by policies"
SIZES = (10, 1_000, 5_000)
ROUNDS = 11
BATCH = 10
_WARMING = 3
_FLAT = (
    organisation.SUPERUSER,
    organisation.ACCOUNT,
    organisation.REFUSED,
    organisation.MEMBER,
    organisation.USER,
    organisation.IDENTITY,
    organisation.PULLING,
)


def measure(
    note: Callable[[str], None], sizes: Sequence[int] = SIZES, rounds: int = ROUNDS, batch: int = BATCH
) -> list[Figure]:
    """For each principal one figure per size, whose bound is what was asked of AWS, and the ratio of the
    largest to the smallest; then who is named by so many policies that it shows.
    """
    services = PartitionedServices()
    with world(services):
        requests = _requests(services, sizes, note)
        costs = {name: services.counted(request.send)[1] for name, request in requests.items()}
        contestants = {name: batches(request, batch) for name, request in requests.items()}
        for contestant in contestants.values():
            for _ in range(_WARMING):
                contestant()
        with uncollected():
            runs = alternating(contestants, rounds, note)
    return _figures(runs, costs, sizes)


def _requests(
    services: PartitionedServices, sizes: Sequence[int], note: Callable[[str], None]
) -> dict[str, Request]:
    """The requests by the names of their figures, all to organisations in one table."""
    services.recording = True
    table, handler = connect_table(ENVIRONMENT["TABLE_NAME"]), load("token")
    made = {}
    for size in sizes:
        note(f"making an organisation with {size:,} policies")
        asking = Organisation(table, f"with-{size}").fill(size)
        if size == sizes[-1]:
            asking |= Organisation(table, "shared").fill_shared(size)
        for who, each in asking.items():
            made[_name(who, size)] = _checked(handler, who, each)
    services.recording = False
    return made


def _checked(handler: Handler, who: str, asking: Asking) -> Request:
    """A request, after it has been granted what it should be; thereby the use of its key is noted."""
    credentials = base64.b64encode(f"{asking.user}:{asking.secret}".encode()).decode()
    made = event("GET", "/token", f"Basic {credentials}")
    scope = quote(f"repository:{asking.repository}:{','.join(asking.actions)}", safe="")
    made["rawQueryString"] = f"service=registry.example.com&scope={scope}"
    answer = handler(made, Context())
    if answer["statusCode"] != 200:  # noqa: PLR2004
        raise RuntimeError(f"{who}: {answer}")
    token = json.loads(answer["body"])["token"]
    granted = jwt.decode(token, options={"verify_signature": False})["granted"]
    if granted != ({asking.repository: sorted(asking.granted)} if asking.granted else {}):
        raise RuntimeError(f"{who} is granted {granted}")
    return Request(who, "token", handler, made, 200)


def _figures(
    runs: Mapping[str, tuple[float, ...]], costs: Mapping[str, Cost], sizes: Sequence[int]
) -> list[Figure]:
    figures = []
    for who in _FLAT:
        names = [_name(who, size) for size in sizes]
        figures += [Figure(PART, name, "ms", runs[name], _bound(costs[name])) for name in names]
        few, many = names[0], names[-1]
        most = f"{who}: {sizes[-1]:,} policies / {sizes[0]:,}"
        figures.append(ratio(PART, most, runs[many], runs[few], "1 is flat"))
    for who in (organisation.NAMED, organisation.SHARED):
        name = _name(who, sizes[-1])
        bound = (
            f"{_bound(costs[name])}; every policy that names it or a group of it is read before the refusal"
        )
        figures.append(Figure(PART, name, "ms", runs[name], bound))
    return figures


def _name(who: str, policies: int) -> str:
    return f"{who}: {policies:,} policies"


def _bound(cost: Cost) -> str:
    return f"{cost.calls} calls that find {cost.rows:,} rows, and 1 signature"
