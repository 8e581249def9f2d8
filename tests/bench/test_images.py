"""Lists are measured as what they are said to be, page by page, and every page costs the same."""

import pytest

from bench import images
from bench.functions import world
from bench.partitions import Partition, PartitionedServices

SIZES = (1_000, 2_000)
LISTS = ("list by name", "list by creation", "list by last change")


@pytest.fixture(scope="module")
def figures():
    return {figure.name: figure for figure in images.measure(lambda _: None, SIZES, rounds=1, batch=1)}


@pytest.mark.parametrize("name", LISTS)
@pytest.mark.parametrize("place", ["first", "middle", "last"])
def test_a_page_of_a_list_looks_at_what_it_shows(figures, name, place):
    figure = figures[f"{name}, {place} page of 2,000 images"]
    assert figure.bound == "3 calls, 50 rows evaluated; of 1,000: 3 calls, 50 rows evaluated"
    assert figures[f"{name}, {place} page of 2,000 images / of 1,000"].median > 0


@pytest.mark.parametrize("place", ["first", "last"])
def test_a_query_by_repository_looks_at_that_repository(figures, place):
    figure = figures[f"query by repository, 100 images, {place} page of 2,000 images"]
    assert figure.bound == "3 calls, 50 rows evaluated; of 1,000: 3 calls, 50 rows evaluated"


@pytest.mark.parametrize("place", ["first", "middle", "last"])
def test_a_query_by_metadata_looks_at_a_thousand_rows_per_call(figures, place):
    figure = figures[f"{images.BY_METADATA}, {place} page of 2,000 images"]
    assert figure.bound.startswith("4 calls, 1,000 rows evaluated; of 1,000: 4 calls, 1,000 rows")


def test_pages_are_where_they_are_said_to_be():
    services = PartitionedServices()
    with world(services):
        lists = images._Lists(services, 1_000, lambda _: None)
        pages = dict(lists.pages(lambda _: None))
        whole, _ = lists._through("/org/with-1000/image")
        assert whole == sorted(whole)
        assert lists.show(pages["list by name, first page"]).names == whole[:50]
        assert lists.show(pages["list by name, middle page"]).names == whole[500:550]
        assert lists.show(pages["list by name, last page"]).names == whole[950:]
        created = [each["created"] for each in lists.answer(pages["list by creation, first page"])["items"]]
        assert created == sorted(created, reverse=True)
        assert "query by repository, 100 images, middle page" not in pages
        by_metadata = lists.answer(pages[f"{images.BY_METADATA}, first page"])["items"]
        assert [each["tags"]["release"] for each in by_metadata] == ["candidate"]


def test_a_list_that_lacks_images_is_no_figure(monkeypatch):
    complete = Partition.__init__

    def lacking(self, order, keys, items):
        complete(self, order, keys, items[1:])

    monkeypatch.setattr(Partition, "__init__", lacking)
    services = PartitionedServices()
    with world(services):
        lists = images._Lists(services, 1_000, lambda _: None)
        with pytest.raises(RuntimeError, match="999 images"):
            list(lists.pages(lambda _: None))


def test_what_is_refused_is_no_figure():
    services = PartitionedServices()
    with world(services):
        lists = images._Lists(services, 1_000, lambda _: None)
        with pytest.raises(RuntimeError, match="404"):
            lists.answer("/org/with-1000/nothing")
