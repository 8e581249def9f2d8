"""Lists and queries of images: what they find, in which order, and for how much work."""

from __future__ import annotations

import base64
import json
import random
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any, cast

import pytest

from moorage.adapters.memory import MemoryTable
from moorage.adapters.sealing import AesSivSeal
from moorage.domain.errors import QueryInvalid
from moorage.domain.image_lists import Order, Place
from moorage.domain.images import ImageRecord
from moorage.domain.names import Repository
from moorage.domain.queries import Query
from moorage.domain.resources import Kind
from moorage.ports import ImagePage
from moorage.services.authorization import EFFORT_MAX
from moorage.services.cursors import Cursors
from moorage.services.image_lists import ALL, PAGE, ROWS_PER_CALL, ImageList, ImageLists
from tests.contract.samples import NOW, digest, point, push, pushed
from tests.protocol.management.world import Bootstrap

ORG = "demo"


class Watched(MemoryTable):
    """The table in memory, which notes what is read; its pages have at most ``largest`` rows, as if the rows
    were large.
    """

    def __init__(self, largest: int = 10**6) -> None:
        super().__init__()
        self.largest = largest
        self.reads: list[tuple[str, int]] = []

    def images_of(self, org: str, order: Order, after: Place | None, limit: int) -> ImagePage:
        page = super().images_of(org, order, after, min(limit, self.largest))
        self.reads.append(("organisation", len(page.images)))
        return page

    def images_of_repository(self, repository: Repository, **options: Any) -> ImagePage:
        options["limit"] = min(options["limit"], self.largest)
        page = super().images_of_repository(repository, **options)
        self.reads.append(("repository", len(page.images)))
        return page

    def find_image(self, repository: Repository, tag: str) -> ImageRecord | None:
        found = super().find_image(repository, tag)
        self.reads.append(("image", int(found is not None)))
        return found


@pytest.fixture
def table():
    """Three repositories of forty images, and one of another organisation."""
    table = Watched()
    choose = random.Random(5)
    for org, image in [(ORG, "app"), (ORG, "app-x"), (ORG, "lib/app"), ("acme", "app")]:
        repository = Repository(org, image)
        push(table, repository, "a")
        for number in range(40):
            time = NOW + timedelta(hours=choose.randrange(30))
            point(table, repository, f"v{number:02}", digest("a"), time, size=number)
    return table


CURSORS = Cursors(Bootstrap(), AesSivSeal(), lambda: NOW)


@pytest.fixture
def lists(table):
    return ImageLists(table, CURSORS)


def query(*terms: tuple[Any, ...], by: str | None = None, order: str = "asc", match: str = "all") -> Query:
    spec: dict[str, Any] = {
        "match": match,
        "terms": [{"property": name, "op": op, "value": value} for name, op, value in terms],
    }
    if by:
        spec["sort"] = {"by": by, "order": order}
    return Query.parse({"kind": "image", "spec": spec}, Kind.IMAGE)


def everything(record: ImageRecord) -> bool:
    return True


def all_of(
    lists: ImageLists, asked: Query, may_view: Callable[[ImageRecord], bool] = everything, limit: int = 7
) -> list[ImageRecord]:
    """Every image, by pages, none of which looks at more than it may."""
    visited: list[ImageRecord] = []
    cursor: str | None = None
    for _ in range(1000):
        page = lists.search(ORG, asked, may_view, cursor=cursor, limit=limit)
        assert len(page.images) <= limit
        assert page.evaluated <= ROWS_PER_CALL
        visited += page.images
        cursor = page.next
        if cursor is None:
            return visited
    raise AssertionError("the list never came to an end")


def names(images: Sequence[ImageRecord]) -> list[str]:
    return [image.name for image in images]


def test_all_images_of_the_organisation_are_listed_by_name(lists):
    images = all_of(lists, ALL)
    assert len(images) == 120
    assert names(images) == sorted(names(images))
    assert {image.repository.org for image in images} == {ORG}
    assert names(all_of(lists, ALL, limit=1000)) == names(images)
    first = lists.search(ORG, ALL, everything)
    assert len(first.images) == PAGE == first.evaluated


@pytest.mark.parametrize("by", ["name", "created", "lastModified"])
@pytest.mark.parametrize("order", ["asc", "desc"])
def test_images_are_sorted_each_once(lists, by, order):
    images = all_of(lists, query(by=by, order=order))
    key: Callable[[ImageRecord], Any] = {
        "name": lambda image: image.name,
        "created": lambda image: (image.created, image.name),
        "lastModified": lambda image: (image.last_modified, image.name),
    }[by]
    assert images == sorted(images, key=key, reverse=order == "desc")
    assert len({image.id for image in images}) == len(images) == 120


TERMS = {
    "repository": (("repository", "=", "app"),),
    "repository and size": (("repository", "=", "app"), ("size", ">=", 30)),
    "part of a repository": (("repository", "~", "app"), ("tag", "=", "v07")),
    "name": (("name", "=", "lib/app:v03"),),
    "name that is none": (("name", "=", "nothing"),),
    "repository and tag": (("repository", "=", "app-x"), ("tag", "=", "v39")),
    "tag": (("tag", "=", "v01"),),
    "no such repository": (("repository", "=", "absent"),),
    "repository that nobody can have": (("repository", "=", "A B"),),
    "repository of another organisation": (("repository", "=", "../acme/app"),),
    "two repositories": (("repository", "=", "app"), ("repository", "=", "app-x")),
    "name and another repository": (("name", "=", "app:v01"), ("repository", "=", "app-x")),
    "digest": (("digest", "=", str(digest("a"))),),
    "digest of nothing": (("digest", "=", str(digest("b"))),),
}


@pytest.mark.parametrize("match", ["all", "any", "none"])
@pytest.mark.parametrize("terms", TERMS)
@pytest.mark.parametrize("by", [None, "lastModified"])
def test_query_finds_what_its_terms_say_wherever_it_reads(lists, terms, match, by):
    holds: dict[str, Callable[[ImageRecord, Any], bool]] = {
        "repository=": lambda image, value: image.repository.image == value,
        "repository~": lambda image, value: value in image.repository.image,
        "size>=": lambda image, value: image.size >= value,
        "tag=": lambda image, value: image.tag == value,
        "name=": lambda image, value: image.name == value,
        "digest=": lambda image, value: str(image.digest) == value,
    }
    combine = {"all": all, "any": any, "none": lambda each: not any(each)}[match]
    expected = [
        image.name
        for image in all_of(lists, ALL)
        if combine([holds[name + op](image, value) for name, op, value in TERMS[terms]])
    ]
    assert sorted(names(all_of(lists, query(*TERMS[terms], match=match, by=by)))) == expected


@pytest.mark.parametrize(
    ("terms", "reads"),
    [
        ("repository", {"repository"}),
        ("repository and size", {"repository"}),
        ("name", {"image"}),
        ("repository and tag", {"image"}),
        ("name that is none", set()),
        ("repository that nobody can have", set()),
        ("tag", {"organisation"}),
    ],
)
def test_query_reads_as_little_as_it_names(lists, table, terms, reads):
    table.reads.clear()
    all_of(lists, query(*TERMS[terms]))
    assert {kind for kind, _ in table.reads} == reads
    assert {kind for kind, _ in table.reads if kind == "organisation"} == reads & {"organisation"}


def test_query_of_a_repository_in_falling_order_is_in_order(lists, table):
    table.reads.clear()
    images = all_of(lists, query(("repository", "=", "app"), by="name", order="desc"))
    assert [image.tag for image in images] == [f"v{number:02}" for number in range(39, -1, -1)]
    assert {kind for kind, _ in table.reads} == {"repository"}


def test_images_that_the_caller_may_not_view_are_left_out_everywhere(lists):
    def may_view(image: ImageRecord) -> bool:
        return image.tag.endswith("3")

    assert len(all_of(lists, ALL, may_view)) == 12
    assert len(all_of(lists, query(("repository", "=", "app")), may_view, limit=3)) == 4
    assert all_of(lists, query(("name", "=", "app:v01")), may_view) == []
    assert all_of(lists, ALL, lambda _: False) == []


def test_page_ends_without_a_cursor_when_nothing_comes_after_it(lists):
    for limit in (120, 121, 1000):
        assert lists.search(ORG, ALL, everything, limit=limit).next is None
    page = lists.search(ORG, ALL, everything, limit=119)
    last = lists.search(ORG, ALL, everything, cursor=page.next)
    assert (len(last.images), last.next) == (1, None)
    assert lists.search("nobody", ALL, everything) == ImageList([], None, 0)


@pytest.mark.parametrize("limit", [0, -5, 10**9])
def test_page_has_one_image_at_least_and_a_thousand_at_most(lists, limit):
    page = lists.search(ORG, ALL, everything, limit=limit)
    assert len(page.images) == (1 if limit < 1 else 120)


def test_cursor_of_another_query_is_refused(lists):
    asked = query(("size", ">", 3), by="created")
    cursor = lists.search(ORG, asked, everything, limit=1).next
    for other in (ALL, query(("size", ">", 4), by="created"), query(("size", ">", 3), by="lastModified")):
        with pytest.raises(QueryInvalid):
            lists.search(ORG, other, everything, cursor=cursor)
    with pytest.raises(QueryInvalid):
        lists.search("acme", asked, everything, cursor=cursor)
    with pytest.raises(QueryInvalid):
        lists.summary(ORG, everything, cursor=cursor)
    assert lists.search(ORG, asked, everything, cursor=cursor, limit=5).images


def test_cursor_leads_on_only_in_the_organisation_that_gave_it(lists):
    """Otherwise one organisation's list would tell, by what it leaves out, which names another one has."""
    cursor = lists.search("acme", ALL, everything, limit=1).next
    assert cursor is not None
    with pytest.raises(QueryInvalid):
        lists.search(ORG, ALL, everything, cursor=cursor)


def test_cursors_tell_nothing_of_where_they_lead(lists):
    """An image that the caller may not view was the last one looked at."""
    cursor = lists.search(ORG, ALL, everything, limit=3).next
    assert cursor is not None
    sealed = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
    for text in (b"app", b"v0", b"v02"):
        assert text not in sealed
    assert len(cursor) == len(lists.search(ORG, query(("tag", "~", "v1")), everything, limit=1).next)


# ------------------------------------------------------------------ bounds
@pytest.fixture(scope="module")
def crowd():
    """A repository of 2,500 images between two small ones."""
    table = Watched()
    for image, count in [("a", 3), ("many", 2_500), ("z", 4)]:
        repository = Repository(ORG, image)
        push(table, repository, "a")
        tags = [f"v{number:05}" for number in range(count)]
        table.put_tags(repository, tags, pushed(digest("a")), lambda _: None)
    return table


def test_page_ends_when_looking_has_become_much_work_and_the_list_goes_on(crowd):
    lists, worked = ImageLists(crowd, CURSORS), 0

    def may_view(image: ImageRecord) -> bool:
        nonlocal worked
        worked += EFFORT_MAX // 10
        return True

    page = lists.search(ORG, ALL, may_view, effort=lambda: worked)
    assert (len(page.images), page.next is None) == (10, False)
    worked = 0
    rest = lists.search(ORG, ALL, may_view, effort=lambda: worked, cursor=page.next)
    assert names(page.images)[-1] < names(rest.images)[0]
    worked = 0
    assert [
        each.repository.image for each in lists.summary(ORG, may_view, effort=lambda: worked).repositories
    ] == ["a"]
    # The query is work, too: two expressions are a five-hundredth of what one call may be.
    asked = query(("tag", "=~", "^x"), ("tag", "=~", "^y"))
    following = lists.search(ORG, asked, everything).next
    assert following is not None
    at = cast("list[str]", CURSORS.read(following, ORG, json.dumps(asked.to_json(), sort_keys=True)))
    assert at[:2] == ["many", "v00496"]


def test_query_that_finds_nothing_looks_at_a_bounded_number_of_rows_and_says_where_to_go_on(crowd):
    lists, asked = ImageLists(crowd, CURSORS), query(("size", ">", 10**9))
    cursor, evaluated = None, []
    while True:
        crowd.reads.clear()
        page = lists.search(ORG, asked, everything, cursor=cursor)
        assert page.images == []
        assert page.evaluated == sum(rows for _, rows in crowd.reads)
        assert len(crowd.reads) <= 2
        evaluated.append(page.evaluated)
        cursor = page.next
        if cursor is None:
            break
    assert evaluated == [1000, 1000, 507]


def test_page_that_is_filled_at_once_looks_at_no_more_than_it_shows(crowd):
    lists = ImageLists(crowd, CURSORS)
    page = lists.search(ORG, ALL, everything, limit=20)
    assert (len(page.images), page.evaluated) == (20, 20)
    again = lists.search(ORG, ALL, everything, cursor=page.next, limit=20)
    assert (len(again.images), again.evaluated) == (20, 20)


def test_rows_that_are_large_bound_the_requests(crowd):
    large, asked = Watched(largest=13), query(("tag", "~", "99"))
    large._tags = crowd._tags
    lists = ImageLists(large, CURSORS)
    found: list[ImageRecord] = []
    cursor: str | None = None
    while True:
        large.reads.clear()
        page = lists.search(ORG, asked, everything, cursor=cursor)
        assert len(large.reads) <= 10
        found += page.images
        cursor = page.next
        if cursor is None:
            break
    assert len(found) == sum("99" in f"v{number:05}" for number in range(2_500))


@pytest.mark.parametrize("largest", [1000, 13])
def test_summary_counts_every_repository_once_in_bounded_steps(crowd, largest):
    table = Watched(largest=largest)
    table._tags = crowd._tags
    lists = ImageLists(table, CURSORS)
    counted: list[tuple[str, int]] = []
    cursor: str | None = None
    calls = 0
    while True:
        table.reads.clear()
        page = lists.summary(ORG, everything, cursor=cursor)
        calls += 1
        assert page.evaluated <= ROWS_PER_CALL
        assert len(table.reads) <= 10
        counted += [(each.repository.image, each.tags) for each in page.repositories]
        cursor = page.next
        if cursor is None:
            break
    assert counted == [("a", 3), ("many", 2_500), ("z", 4)]
    assert calls == (3 if largest == 1000 else 20)


def test_summary_counts_what_the_caller_may_view(lists):
    def may_view(image: ImageRecord) -> bool:
        return image.repository.image != "app-x" and image.tag < "v10"

    summary = lists.summary(ORG, may_view)
    assert [(each.repository.image, each.tags) for each in summary.repositories] == [
        ("app", 10),
        ("lib/app", 10),
    ]
    assert summary.next is None
    assert lists.summary("nobody", everything).repositories == []


def test_summary_goes_on_though_the_repository_it_stopped_in_is_gone(crowd):
    table = Watched()
    table._tags = {repository: dict(tags) for repository, tags in crowd._tags.items()}
    lists = ImageLists(table, CURSORS)
    page = lists.summary(ORG, everything)
    assert [each.repository.image for each in page.repositories] == ["a"]
    del table._tags[Repository(ORG, "many")]
    rest = lists.summary(ORG, everything, cursor=page.next)
    # What was counted was there when it was counted.
    assert [(each.repository.image, each.tags) for each in rest.repositories] == [("many", 997), ("z", 4)]


def test_images_that_come_and_go_between_pages_are_not_shown_twice(lists, table):
    first = lists.search(ORG, ALL, everything, limit=60)
    for image in first.images[:30]:
        table.delete_image(image)
    point(table, Repository(ORG, "app"), "a-new-one", digest("a"), NOW)
    rest: list[ImageRecord] = []
    cursor = first.next
    while cursor:
        page = lists.search(ORG, ALL, everything, cursor=cursor, limit=13)
        rest, cursor = rest + list(page.images), page.next
    seen = Counter(image.name for image in [*first.images, *rest])
    assert set(seen.values()) == {1}
    assert len(seen) == 120
