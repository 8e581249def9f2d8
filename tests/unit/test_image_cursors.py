"""Places in lists of images: in which order they are, and what a cursor holds of one."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage.domain.image_lists import ImageSort, Place, instant, parts_of, place_at, place_of
from moorage.domain.names import Repository
from tests.contract.samples import image

NOW = datetime(2026, 3, 4, 5, 6, 7, 891234, tzinfo=UTC)
APP = Repository("demo", "team/app")
PLACES = [Place(APP, "v1"), Place(APP, "v1", NOW), Place(APP, "T_" * 64, NOW.replace(microsecond=0))]


@pytest.mark.parametrize("place", PLACES)
def test_place_is_made_anew_from_its_parts_in_the_organisation_that_is_asked_for(place):
    assert place_at("demo", *parts_of(place)) == place
    assert place_at("acme", *parts_of(place)).repository == Repository("acme", "team/app")
    assert "demo" not in parts_of(place)


@given(st.datetimes(timezones=st.just(UTC)), st.datetimes(timezones=st.just(timezone(timedelta(hours=5)))))
def test_order_of_instants_as_texts_is_that_of_the_times(one, other):
    if min(one, other) < datetime(1, 1, 2, tzinfo=UTC):
        return
    assert (instant(one) < instant(other)) == (one < other)
    assert len(instant(one)) == len(instant(other))


def test_place_of_a_record_is_by_what_the_list_is_sorted_by():
    record = image("v1", created=NOW, last_modified=NOW + timedelta(1))
    assert place_of(record, ImageSort.NAME) == Place(APP, "v1")
    assert place_of(record, ImageSort.CREATED) == Place(APP, "v1", NOW)
    assert place_of(record, ImageSort.LAST_MODIFIED) == Place(APP, "v1", NOW + timedelta(1))
