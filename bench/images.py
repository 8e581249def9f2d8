"""CPU time, AWS calls and evaluated rows of lists and queries of images, for few images and for many."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from bench.context import Context
from bench.figures import Figure, alternating, ratio
from bench.functions import ENVIRONMENT, Handler, event, load, world
from bench.partitions import Cost, Partition, PartitionedServices, uncollected
from moorage.adapters import keys
from moorage.adapters.dynamodb import connect_table
from moorage.adapters.dynamodb.image_rows import new_image
from moorage.adapters.dynamodb.rows import Row, to_item
from moorage.adapters.dynamodb.secret_records import connect_secret_records
from moorage.domain.digests import Algorithm, Digest
from moorage.domain.images import Pushed
from moorage.domain.names import Repository
from moorage.domain.principals import SUPERUSERS
from moorage.domain.queries import Query
from moorage.domain.resources import Kind
from moorage.services.accounts import AccountAdministration
from moorage.services.image_lists import PAGE, PAGE_MAX
from moorage.web.management.queries import pack

PART = "lists of images"
SIZES = (1_000, 100_000)
ROUNDS = 11
BATCH = 3
BY_METADATA = "query by metadata, 1 image in 1,000"

_WARMING = 2
_TAGS_OF_A_REPOSITORY = 100
_RARE = 1_000
_BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
# Prime, so that neither time is in the order of names, nor both in the same.
_CREATED, _CHANGED = 7_919, 104_729
_REPOSITORY = "team-5/service-5"
_QUERIES: Mapping[str, Mapping[str, Any]] = {
    "list by name": {},
    "list by creation": {"sort": {"by": "created", "order": "desc"}},
    "list by last change": {"sort": {"by": "lastModified", "order": "desc"}},
    "query by repository, 100 images": {
        "terms": [{"property": "repository", "op": "=", "value": _REPOSITORY}]
    },
    BY_METADATA: {"terms": [{"tag": "release", "op": "=", "value": "candidate"}]},
}


@dataclass(frozen=True)
class _Shown:
    """A page: the names on it, where the next one is, and what it has cost."""

    names: Sequence[str]
    following: str | None
    cost: Cost


def measure(
    note: Callable[[str], None], sizes: Sequence[int] = SIZES, rounds: int = ROUNDS, batch: int = BATCH
) -> list[Figure]:
    """For the first, a middle and the last page of each list of the largest organisation one figure, whose
    bound is what was asked of AWS, and its ratio to the same page of the smallest.
    """
    services = PartitionedServices()
    with world(services):
        made = {size: _Lists(services, size, note) for size in sizes}
        pages = {(size, name): page for size, lists in made.items() for name, page in lists.pages(note)}
        costs = {key: made[key[0]].show(page).cost for key, page in pages.items()}
        contestants = {
            _name(name, size): _batches(made[size], page, batch) for (size, name), page in pages.items()
        }
        for contestant in contestants.values():
            for _ in range(_WARMING):
                contestant()
        with uncollected():
            runs = alternating(contestants, rounds, note)
    few, many = sizes[0], sizes[-1]
    figures = []
    for name in [name for size, name in pages if size == many]:
        bound = f"{_bound(costs[many, name])}; of {few:,}: {_bound(costs[few, name])}"
        figures.append(Figure(PART, _name(name, many), "ms", runs[_name(name, many)], bound))
        one, other = runs[_name(name, many)], runs[_name(name, few)]
        figures.append(ratio(PART, f"{name} of {many:,} images / of {few:,}", one, other, "1 is flat"))
    return figures


def _name(page: str, size: int) -> str:
    return f"{page} of {size:,} images"


def _bound(cost: Cost) -> str:
    return f"{cost.calls} calls, {cost.evaluated:,} rows evaluated"


def _batches(lists: _Lists, page: str, batch: int) -> Callable[[], float]:
    def run() -> float:
        started = time.process_time()
        for _ in range(batch):
            lists.answer(page)
        return (time.process_time() - started) / batch * 1000

    return run


class _Lists:
    """An organisation with so many images, and the pages of its lists."""

    def __init__(self, services: PartitionedServices, size: int, note: Callable[[str], None]) -> None:
        note(f"making an organisation with {size:,} images")
        self._services = services
        self._size = size
        self._org = f"with-{size}"
        services.recording = True
        table = connect_table(ENVIRONMENT["TABLE_NAME"])
        # Of it the key is made under which cursors are sealed.
        connect_secret_records(ENVIRONMENT["TABLE_NAME"]).record_bootstrap("0" * 64, 1, datetime.now(UTC))
        administration = AccountAdministration(table, lambda: datetime.now(UTC))
        administration.create_organisation(self._org)
        account = administration.create_service_account(self._org, "lister", groups=[SUPERUSERS])
        self._authorization = f"Bearer {administration.add_key(account, 'bench').secret}"
        self._handler: Handler = load("management")
        services.partitions |= _partitions(self._org, size)
        # Thereby the use of the key is noted, and the key for cursors is read, which is held for minutes.
        self.answer(f"/org/{self._org}/image?limit=1")
        services.recording = False

    def pages(self, note: Callable[[str], None]) -> Iterator[tuple[str, str]]:
        """The addresses of the first, a middle and the last page of each list, found by going through it."""
        for name, spec in _QUERIES.items():
            note(f"{name} of {self._size:,} images")
            begin = f"/org/{self._org}/image"
            if spec:
                packed = pack(Query.parse({"kind": "image", "spec": spec}, Kind.IMAGE))
                begin = f"{begin}/-query?{urlencode({'q': packed})}"
            found = self._by_calls(begin) if name == BY_METADATA else self._by_images(begin)
            for place, page in found.items():
                yield f"{name}, {place} page", page
            self._services.forget()

    def _by_images(self, begin: str) -> dict[str, str]:
        """Pages that begin with the first image, with that in the middle if there are more than two pages,
        and with the last 50.
        """
        names, pages = self._through(begin)
        number = len(names)
        if number not in (self._size, _TAGS_OF_A_REPOSITORY) or len(set(names)) != number:
            raise RuntimeError(f"{number} images, {len(set(names))} of them different, of {self._size}")
        made = {"first": begin}
        for place, images in ("middle", number // 2), ("last", number - PAGE):
            if place == "last" or images < number - PAGE:
                made[place] = self._after(pages[images // PAGE_MAX], images % PAGE_MAX)
        return made

    def _through(self, page: str | None) -> tuple[list[str], list[str]]:
        """The names of all images of a list, in its order, and the page after each thousand."""
        names: list[str] = []
        pages: list[str] = []
        while page is not None:
            pages.append(page)
            shown = self.show(_limited(page, PAGE_MAX))
            names += shown.names
            page = shown.following
            self._services.forget()
        return names, pages

    def _after(self, page: str, images: int) -> str:
        """The page that begins so many images, fewer than a thousand, after ``page`` does."""
        if images:
            page = self.show(_limited(page, images)).following or ""
        return _limited(page, PAGE)

    def _by_calls(self, begin: str) -> dict[str, str]:
        """The first, the middle and the last of the calls that find all, of those that look at rows."""
        pages, found, page = [], 0, begin
        while True:
            shown = self.show(page)
            found += len(shown.names)
            if shown.cost.evaluated:
                pages.append(page)
            if shown.following is None:
                break
            page = shown.following
            self._services.forget()
        if found != self._size // _RARE:
            raise RuntimeError(f"{found} images are found of {self._size // _RARE}")
        return {"first": begin, "middle": pages[len(pages) // 2], "last": pages[-1]}

    def show(self, page: str) -> _Shown:
        """A page, and what it costs."""
        answer, cost = self._services.counted(lambda: self.answer(page))
        following = next((each["href"] for each in answer["links"] if each["rel"] == "next"), None)
        return _Shown([each["name"] for each in answer["items"]], following, cost)

    def answer(self, page: str) -> Any:
        """What is at an address.

        Raises:
            RuntimeError: nothing.
        """
        address = urlsplit(page)
        asking = event("GET", address.path, self._authorization)
        asking["rawQueryString"] = address.query
        given = self._handler(asking, Context())
        if given["statusCode"] != 200:  # noqa: PLR2004
            raise RuntimeError(f"{page}: {given}")
        return json.loads(given["body"])


def _limited(page: str, images: int) -> str:
    address = urlsplit(page)
    asked = {name: value for name, (value,) in parse_qs(address.query).items()} | {"limit": str(images)}
    return f"{address.path}?{urlencode(asked)}"


def _partitions(org: str, size: int) -> dict[tuple[str, str], Partition]:
    """The indexes with an organisation's images, and the repository that is asked for."""
    orders: dict[str, list[tuple[str, str]]] = {index.attribute: [] for index in keys.IMAGE_INDEXES.values()}
    repository = Repository(org, _REPOSITORY)
    one: list[tuple[str, str]] = []
    for number in range(size):
        row = _row(org, number, size)
        text = json.dumps(to_item(row), separators=(",", ":"))
        for attribute, rows in orders.items():
            rows.append((row[attribute], text))
        if row["pk"] == keys.contents(repository).pk:
            one.append((row["sk"], text))
    made = {("", keys.contents(repository).pk): Partition("sk", ("pk", "sk"), one)}
    for index in keys.IMAGE_INDEXES.values():
        parts = ("pk", "sk", "gsi2pk", index.attribute)
        made[index.name, keys.images(org)] = Partition(index.attribute, parts, orders[index.attribute])
    return made


def _row(org: str, number: int, size: int) -> Row:
    """An image as it is stored after a push and an edit of its metadata."""
    service = number // _TAGS_OF_A_REPOSITORY
    repository = Repository(org, f"team-{service % 50}/service-{service}")
    tag = f"1.{number % _TAGS_OF_A_REPOSITORY}.0"
    pushed = Pushed(
        Digest.of(b"%d" % number, Algorithm.SHA256),
        "application/vnd.oci.image.index.v1+json",
        31_357_624 + number,
        f"/org/{org}/serviceaccount/continuous-integration",
        _BEGAN + timedelta(minutes=number * _CREATED % size),
        ("linux/amd64", "linux/arm64"),
    )
    changed = _BEGAN + timedelta(days=365, minutes=number * _CHANGED % size)
    release = "candidate" if number % _RARE == _RARE // 2 else "nightly"
    return {
        **new_image(repository, tag, pushed),
        "version": 2,
        "tags": json.dumps({"release": release, "branch": "main", "build": number}),
        "last_modified": changed.isoformat(),
        **keys.image_by_change(repository, tag, changed),
    }
