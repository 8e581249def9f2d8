"""Jobs: made with their items or not at all, in one worker's hands at a time, ended once."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial

import pytest

from moorage.adapters import keys
from moorage.domain.errors import Conflict, Throttled, Unavailable, WriteConflict
from moorage.domain.jobs import (
    JOB_LIFETIME,
    LEASE,
    MAX_ITEMS,
    OVERDUE,
    CopyItem,
    JobState,
    Progress,
)
from tests.contract.counting import counted
from tests.contract.job_samples import SECOND, TINY, item, job, longest_items, request, within
from tests.contract.samples import APP, NOW, OTHER_ORG, digest
from tests.contract.threads import together

HALF = Progress(position=1, manifests=2, manifests_total=5, size=10**12, size_total=10**13, copied=7)


def made(table, number=1, items=None, **changes):
    """A job that is stored."""
    return table.create_job(job(number, **changes), [item()] if items is None else items, None)


def taken(table, lease="worker-a", now=NOW, **changes):
    return table.take_job(made(table, **changes), lease, now)


def listed(table, org, now=NOW, limit=2):
    """Ids of all jobs in the list of an organisation."""
    after: str | None = None
    found: list[str] = []
    while True:
        page = table.jobs_of(org, after, limit, now)
        assert len(page.jobs) <= limit
        found += [each.id for each in page.jobs]
        after = page.next
        if after is None:
            return found


# ------------------------------------------------------------------ made and found
@pytest.mark.parametrize(
    "stored",
    [
        job(),
        job(selection=str(digest("a")), digest=digest("a")),
        job(selection="v1", referrers=False, replace=True, destination_tag="v2", digest=digest("a")),
        job(selection="v*", items=3),
        job(
            state=JobState.RUNNING,
            started=NOW,
            progress=HALF,
            rounds=3,
            lease="a worker",
            leased_until=NOW + LEASE,
            moving=True,
            in_doubt=2,
            copying=("copy/a", "copy/b"),
        ),
        job(state=JobState.FAILED, finished=NOW, reason="the tag v1 moved \N{ANCHOR}\n" * 50),
    ],
    ids=["queued", "of a digest", "of a tag", "of many", "running", "failed"],
)
def test_a_job_is_found_as_it_was_made(table, stored):
    assert table.find_job(stored.id, NOW) is None
    assert table.create_job(stored, [item()], None) == stored
    assert table.find_job(stored.id, NOW) == stored


@pytest.mark.parametrize("job_id", ["", "a" * 33, "A" * 32, "é" * 32, "#" * 32, "\0", "\ud800"], ids=ascii)
def test_a_job_of_an_odd_id_is_none(table, job_id):
    made(table)
    assert table.find_job(job_id, NOW) is None
    assert table.cancel_job(job_id, NOW) is None


def test_a_job_made_twice_is_there_once(table):
    """The network may repeat the write when its answer was lost."""
    for _ in range(2):
        assert made(table) == job()
    assert table.find_job(job().id, NOW) == job()
    assert listed(table, "demo") == [job().id]


def test_a_job_of_an_id_that_is_taken_is_refused(table):
    made(table)
    with pytest.raises(WriteConflict):
        made(table, selection="v2")
    assert table.find_job(job().id, NOW) == job()


def test_a_job_that_has_gone_on_is_not_made_again(table):
    going = taken(table)
    with pytest.raises(WriteConflict):
        made(table)
    assert table.find_job(job().id, NOW) == going


def test_a_job_whose_time_is_over_is_absent(table):
    made(table)
    end = NOW + JOB_LIFETIME
    assert table.find_job(job().id, end - TINY) == job()
    assert table.find_job(job().id, end) is None
    assert table.take_job(job(), "worker", end) is None
    assert table.cancel_job(job().id, end) is None
    assert table.find_job(job().id, NOW) == job()


# ------------------------------------------------------------------ items
@pytest.mark.parametrize(
    "items",
    [
        [item()],
        [CopyItem(digest("a"), None)],
        [CopyItem(digest("a"), "new", source_tag="old", replaces=digest("b"))],
        longest_items(keys.ITEMS_OF_A_ROW),
        longest_items(keys.ITEMS_OF_A_ROW + 1),
        [item(f"v{number}") for number in range(MAX_ITEMS)],
    ],
    ids=["one", "without a tag", "that replaces", "a row", "a row and one", "as many as there may be"],
)
def test_items_come_in_their_order(table, items):
    stored = table.create_job(job(items=len(items)), items, None)
    found: list[CopyItem] = []
    while part := table.copy_items(stored, len(found)):
        found += part
    assert found == items
    assert list(table.copy_items(stored, len(items) - 1)) == items[-1:]


def test_items_from_the_middle_of_a_row_are_those_behind_it(table):
    items = [item(f"v{number}") for number in range(600)]
    stored = table.create_job(job(items=600), items, None)
    for position in (1, 249, 250, 251, 599):
        part = table.copy_items(stored, position)
        assert part
        assert list(part) == items[position : position + len(part)]
    assert list(table.copy_items(stored, 600)) == []
    assert list(table.copy_items(stored, 10**6)) == []


def test_items_belong_to_one_job(table):
    made(table, 1)
    assert list(table.copy_items(job(2), 0)) == []


def test_the_largest_job_takes_few_requests(dynamo_table):
    items = [item(f"v{number}") for number in range(MAX_ITEMS)]
    with counted(dynamo_table._table.client()) as sent:
        stored = dynamo_table.create_job(job(items=MAX_ITEMS), items, request())
    assert sent == ["BatchWriteItem", "BatchWriteItem", "TransactWriteItems"]
    with counted(dynamo_table._table.client()) as sent:
        dynamo_table.copy_items(stored, MAX_ITEMS - 1)
        dynamo_table.copy_items(stored, MAX_ITEMS)
    assert sent == ["GetItem"]


def test_nobody_finds_a_job_before_its_items(dynamo_table, monkeypatch):
    table = dynamo_table._table

    def crash(*_args, **_options):
        raise Unavailable("the process has ended")

    monkeypatch.setattr(table, "transact", crash)
    with pytest.raises(Unavailable):
        dynamo_table.create_job(job(), [item()], request())
    monkeypatch.undo()
    assert list(dynamo_table.copy_items(job(), 0)) == [item()]
    assert dynamo_table.find_job(job().id, NOW) is None
    assert dynamo_table.find_request(request(), NOW) is None
    assert listed(dynamo_table, "demo") == []
    # The next attempt has another id.
    assert dynamo_table.create_job(job(2), [item()], request()) == job(2)


def test_items_that_cannot_be_written_make_no_job(dynamo_table, monkeypatch):
    def refuse(*_args):
        raise Throttled("too much")

    monkeypatch.setattr(dynamo_table._table, "put_all", refuse)
    with pytest.raises(Throttled):
        made(dynamo_table)
    assert dynamo_table.find_job(job().id, NOW) is None


# ------------------------------------------------------------------ requests that come again
def test_the_same_request_finds_the_job_that_it_made(table):
    assert table.find_request(request(), NOW) is None
    first = table.create_job(job(1), [item()], request())
    assert table.create_job(job(2), [item()], request()) == first
    assert table.find_request(request(), NOW) == first
    assert table.find_job(job(2).id, NOW) is None
    assert listed(table, "demo") == [first.id]


def test_a_request_that_comes_again_finds_the_job_as_it_is_now(table):
    table.create_job(job(), [item()], request())
    going = table.take_job(job(), "worker", NOW)
    assert table.create_job(job(2), [item()], request()) == going
    table.end_job(going, JobState.SUCCEEDED, NOW)
    assert table.create_job(job(2), [item()], request()).state is JobState.SUCCEEDED


def test_a_request_whose_answer_was_lost_is_made_once(table):
    for _ in range(2):
        assert table.create_job(job(), [item()], request()) == job()
    assert listed(table, "demo") == [job().id]


def test_the_same_key_for_another_request_is_a_conflict(table):
    table.create_job(job(1), [item()], request())
    with pytest.raises(Conflict):
        table.create_job(job(2), [item("v2")], request(asked="v2"))
    with pytest.raises(Conflict):
        table.find_request(request(asked="v2"), NOW)
    assert table.find_job(job(2).id, NOW) is None


def test_a_job_older_than_those_whom_a_request_concerns_is_not_its(table):
    """One of them was removed, and made anew under the same name."""
    first = table.create_job(job(1), [item()], request())
    anew = replace(request(asked="something else"), since=NOW + SECOND)
    assert table.find_request(anew, NOW + SECOND) is None
    second = table.create_job(job(2, created=NOW + 2 * SECOND), [item()], anew)
    assert second.id != first.id
    assert table.find_request(anew, NOW + 2 * SECOND) == second
    assert table.create_job(job(3, created=NOW + 3 * SECOND), [item()], anew) == second


@pytest.mark.parametrize("key", ["a", "x" * 128, "#", "/org/demo", "!~", " é\0\N{ANCHOR}"], ids=ascii)
def test_keys_belong_to_principals(table, key):
    first = table.create_job(job(1), [item()], request(key))
    other = request(key, principal="/org/acme/user/somebody@example.com")
    assert table.find_request(other, NOW) is None
    assert table.create_job(job(2), [item()], other) == job(2)
    assert table.find_request(request(key), NOW) == first
    assert table.find_request(request(key + "x"), NOW) is None


def test_a_key_is_free_again_when_the_time_of_its_job_is_over(table):
    table.create_job(job(1), [item()], request())
    later = NOW + JOB_LIFETIME
    with pytest.raises(Conflict):
        table.create_job(job(2, later - TINY), [item()], request(asked="v2"))
    assert table.find_request(request(asked="v2"), later) is None
    second = table.create_job(job(2, later), [item()], request(asked="v2"))
    assert second == job(2, later)
    assert table.find_request(request(asked="v2"), later) == second


def test_of_requests_made_at_once_one_makes_the_job(table):
    for attempt in range(5):
        key = f"key {attempt}"
        results = together(
            *[
                partial(table.create_job, job(100 * attempt + number), [item()], request(key))
                for number in range(8)
            ]
        )
        answered = {each.id for each in results if not isinstance(each, WriteConflict)}
        assert len(answered) == 1
        assert table.find_request(request(key), NOW).id in answered
    assert len(listed(table, "demo")) == 5


def test_of_different_requests_made_at_once_with_one_key_one_is_made(table):
    results = together(
        *[partial(table.create_job, job(each), [item()], request(asked=each)) for each in range(8)]
    )
    assert [type(each) for each in results if isinstance(each, Conflict)] == [Conflict] * 7
    assert len(listed(table, "demo")) == 1


def test_the_key_of_a_caller_stands_in_no_row(dynamo_table, rows):
    dynamo_table.create_job(job(), [item()], request("a-key-of-the-caller"))
    assert "a-key-of-the-caller" not in repr(rows())


# ------------------------------------------------------------------ lists
def test_jobs_are_listed_at_both_organisations_the_newest_first(table):
    ages = {1: 5, 2: 9, 3: 1, 4: 7, 5: 3}
    for number, minutes in ages.items():
        made(table, number, created=NOW - timedelta(minutes=minutes))
    expected = [job(number).id for number in (3, 5, 1, 4, 2)]
    for org in ("demo", "acme"):
        for limit in (1, 2, 5, 100):
            assert listed(table, org, limit=limit) == expected
    assert listed(table, "other") == []


def test_jobs_of_one_instant_are_each_listed_once(table):
    for number in range(7):
        made(table, number)
    assert sorted(listed(table, "demo", limit=3)) == sorted(job(number).id for number in range(7))


def test_a_job_within_an_organisation_is_listed_once(table):
    made(table, destination=within("demo"))
    assert listed(table, "demo") == [job().id]


def test_a_list_shows_jobs_as_they_are_now(table):
    going = table.save_progress(taken(table), HALF, NOW + SECOND)
    assert table.jobs_of("demo", None, 10, NOW).jobs == [going]


def test_jobs_whose_time_is_over_are_not_listed(table):
    for number in range(6):
        made(table, number, created=NOW + timedelta(minutes=number))
    over = NOW + JOB_LIFETIME + timedelta(minutes=2)
    assert listed(table, "demo", over) == [job(number).id for number in (5, 4, 3)]
    assert listed(table, "demo", over, limit=10) == [job(number).id for number in (5, 4, 3)]
    # Behind them there are only older ones.
    assert table.jobs_of("demo", None, 4, over).next is None
    assert listed(table, "demo", over + timedelta(days=1)) == []


def test_a_list_goes_on_though_jobs_come_and_go(table):
    for number in range(1, 5):
        made(table, number, created=NOW - timedelta(minutes=number))
    page = table.jobs_of("demo", None, 2, NOW)
    made(table, 9, created=NOW)
    rest = table.jobs_of("demo", page.next, 10, NOW)
    assert [each.id for each in (*page.jobs, *rest.jobs)] == [job(number).id for number in range(1, 5)]


def test_a_job_that_dynamodb_removed_first_is_passed_over(dynamo_table):
    for number in (1, 2):
        made(dynamo_table, number)
    client, name = dynamo_table._table.client(), dynamo_table._table._name
    key = keys.job(job(2).id)
    client.call("DeleteItem", {"TableName": name, "Key": {"pk": {"S": key.pk}, "sk": {"S": key.sk}}})
    assert listed(dynamo_table, "demo", limit=1) == [job(1).id]


def test_a_page_takes_two_requests(dynamo_table):
    for number in range(5):
        made(dynamo_table, number)
    with counted(dynamo_table._table.client()) as sent:
        dynamo_table.jobs_of("demo", None, 5, NOW)
    assert sent == ["Query", "BatchGetItem"]


# ------------------------------------------------------------------ workers
def test_a_worker_takes_a_job_for_a_while(table):
    expected = replace(
        job(),
        state=JobState.RUNNING,
        started=NOW + SECOND,
        modified=NOW + SECOND,
        rounds=1,
        lease="worker-a",
        leased_until=NOW + SECOND + LEASE,
    )
    assert taken(table, now=NOW + SECOND) == expected
    assert table.find_job(job().id, NOW) == expected


def test_a_job_that_another_worker_has_is_not_taken(table):
    going = taken(table)
    assert table.take_job(job(), "worker-b", NOW + LEASE - TINY) is None
    assert table.find_job(job().id, NOW) == going


def test_a_job_of_a_worker_that_is_gone_is_taken_as_it_was_left(table):
    """What the next worker has in its hands may be older."""
    left = table.save_progress(taken(table), HALF, NOW + SECOND, moving=True, copying=("copy/a",))
    over = NOW + SECOND + LEASE
    assert table.take_job(job(), "worker-b", over) == replace(
        left,
        modified=over,
        rounds=2,
        lease="worker-b",
        leased_until=over + LEASE,
        moving=False,
    )


def test_a_job_taken_twice_with_one_lease_is_taken_once(table):
    """The network may repeat the write when its answer was lost."""
    first = taken(table)
    assert table.take_job(job(), "worker-a", NOW) == first
    assert table.find_job(job().id, NOW).rounds == 1


def test_a_job_is_taken_by_one_of_many_workers(table):
    for number in range(5):
        made(table, number)
        results = together(
            *[partial(table.take_job, job(number), f"worker-{each}", NOW) for each in range(10)]
        )
        (winner,) = [each for each in results if each is not None]
        assert table.find_job(winner.id, NOW) == winner
        assert winner.rounds == 1


def test_a_job_that_is_not_there_is_not_taken(table):
    assert table.take_job(job(), "worker", NOW) is None
    assert table.find_job(job().id, NOW) is None


def test_a_report_is_found_and_keeps_the_job(table):
    going = taken(table)
    reported = table.save_progress(going, HALF, NOW + SECOND, moving=True, copying=("copy/a", "copy/b"))
    assert reported == replace(
        going,
        progress=HALF,
        modified=NOW + SECOND,
        leased_until=NOW + SECOND + LEASE,
        moving=True,
        copying=("copy/a", "copy/b"),
    )
    assert table.find_job(job().id, NOW) == reported
    assert table.take_job(job(), "worker-b", NOW + LEASE) is None
    again = table.save_progress(reported, HALF, NOW + 2 * SECOND)
    assert (again.moving, again.copying) == (False, ())
    assert table.find_job(job().id, NOW) == again


def test_a_report_sent_twice_is_one(table):
    going = taken(table)
    first, second = (table.save_progress(going, HALF, NOW + SECOND) for _ in range(2))
    assert first == second == table.find_job(job().id, NOW)


def test_a_job_that_is_given_back_goes_on(table):
    going = table.save_progress(taken(table), HALF, NOW, moving=True)
    assert table.release_job(going, NOW + SECOND) is True
    left = table.find_job(job().id, NOW)
    assert left == replace(going, modified=NOW + SECOND, lease=None, leased_until=None, moving=False)
    again = table.take_job(left, "worker-b", NOW + SECOND)
    assert (again.progress, again.rounds, again.started) == (HALF, 2, NOW)


@pytest.mark.parametrize("state", [JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED])
def test_a_job_ends_once(table, state):
    going = table.save_progress(taken(table), HALF, NOW, copying=("copy/a",))
    assert table.end_job(going, state, NOW + SECOND, "for a reason") is True
    ended = replace(
        going,
        state=state,
        modified=NOW + SECOND,
        finished=NOW + SECOND,
        reason="for a reason",
        lease=None,
        leased_until=None,
    )
    assert table.find_job(job().id, NOW) == ended
    assert table.end_job(going, JobState.FAILED, NOW + 2 * SECOND, "again") is False
    assert table.release_job(going, NOW + 2 * SECOND) is False
    assert table.save_progress(going, Progress(), NOW + 2 * SECOND) is None
    assert table.take_job(going, "worker-b", NOW + LEASE * 2) is None
    assert table.find_job(job().id, NOW) == ended


def test_an_end_or_a_return_whose_answer_was_lost_is_one(dynamo_table):
    """The network may repeat the write when its answer was lost."""
    going = taken(dynamo_table)
    assert [dynamo_table.release_job(going, NOW + SECOND) for _ in range(2)] == [True, True]
    again = dynamo_table.take_job(going, "worker-b", NOW + SECOND)
    assert [dynamo_table.end_job(again, JobState.FAILED, NOW, "why") for _ in range(2)] == [True, True]
    assert dynamo_table.end_job(again, JobState.SUCCEEDED, NOW) is False
    assert dynamo_table.release_job(again, NOW) is False


def a_worker_that_lost_its_job(table):
    late = taken(table)
    table.take_job(job(), "worker-b", NOW + LEASE)
    return late


def a_worker_that_gave_it_back(table):
    late = taken(table)
    assert table.release_job(late, NOW + SECOND)
    return late


def somebody_who_never_had_it(table):
    return made(table)


def somebody_with_a_forged_lease(table):
    taken(table)
    return replace(job(), state=JobState.RUNNING, lease="worker-x")


def a_worker_whose_job_ended_with_its_lease(table):
    return made(table, state=JobState.CANCELLED, lease="worker-a", leased_until=NOW + LEASE)


@pytest.mark.parametrize(
    "worker",
    [
        a_worker_that_lost_its_job,
        a_worker_whose_job_ended_with_its_lease,
        a_worker_that_gave_it_back,
        somebody_who_never_had_it,
        somebody_with_a_forged_lease,
    ],
)
def test_only_the_worker_that_has_a_job_writes(table, worker):
    late = worker(table)
    standing = table.find_job(job().id, NOW)
    now = NOW + LEASE + SECOND
    assert table.save_progress(late, HALF, now) is None
    assert table.release_job(late, now) is False
    assert table.end_job(late, JobState.SUCCEEDED, now) is False
    assert table.find_job(job().id, NOW) == standing


def test_a_worker_that_was_slow_may_go_on_if_nobody_else_came(table):
    going = taken(table)
    assert table.save_progress(going, HALF, NOW + 3 * LEASE) is not None


def test_a_job_that_is_reported_and_taken_over_at_once_has_one_worker(table):
    for number in range(10):
        going = taken(table, number=number)
        over = NOW + LEASE
        reported, other = together(
            partial(table.save_progress, going, HALF, over), partial(table.take_job, going, "worker-b", over)
        )
        assert (reported is None) != (other is None)
        assert table.find_job(going.id, NOW) == (reported or other)


# ------------------------------------------------------------------ cancelled
def test_a_queued_job_is_cancelled(table):
    made(table)
    cancelled = replace(job(), state=JobState.CANCELLED, modified=NOW + SECOND, finished=NOW + SECOND)
    assert table.cancel_job(job().id, NOW + SECOND) == cancelled
    assert table.find_job(job().id, NOW) == cancelled
    assert table.take_job(job(), "worker", NOW + SECOND) is None


def test_a_cancelled_job_keeps_what_its_worker_left_behind(table):
    going = table.save_progress(taken(table), HALF, NOW, copying=("copy/a",))
    cancelled = table.cancel_job(going.id, NOW + SECOND)
    assert cancelled == replace(
        going,
        state=JobState.CANCELLED,
        modified=NOW + SECOND,
        finished=NOW + SECOND,
        lease=None,
        leased_until=None,
    )
    assert table.find_job(going.id, NOW) == cancelled
    assert table.save_progress(going, HALF, NOW + SECOND, moving=True) is None
    assert table.end_job(going, JobState.SUCCEEDED, NOW + SECOND) is False


def test_a_job_cancelled_twice_was_cancelled_when_it_was(table):
    made(table)
    first = table.cancel_job(job().id, NOW + SECOND)
    assert table.cancel_job(job().id, NOW + 2 * SECOND) == first


@pytest.mark.parametrize("state", [JobState.SUCCEEDED, JobState.FAILED])
def test_a_job_that_has_ended_is_not_cancelled(table, state):
    table.end_job(taken(table), state, NOW)
    standing = table.find_job(job().id, NOW)
    with pytest.raises(Conflict):
        table.cancel_job(job().id, NOW)
    assert table.find_job(job().id, NOW) == standing


def test_a_job_is_not_cancelled_while_its_tags_move(table):
    moving = table.save_progress(taken(table), HALF, NOW, moving=True)
    for now in (NOW, NOW + LEASE - TINY):
        with pytest.raises(WriteConflict):
            table.cancel_job(moving.id, now)
    assert table.find_job(moving.id, NOW) == moving
    moved = table.save_progress(moving, HALF, NOW + SECOND)
    assert table.cancel_job(moved.id, NOW + SECOND).state is JobState.CANCELLED


def test_a_job_whose_worker_died_while_it_moved_tags_is_cancelled_when_its_time_is_over(table):
    moving = table.save_progress(taken(table), HALF, NOW, moving=True)
    assert table.cancel_job(moving.id, NOW + LEASE).state is JobState.CANCELLED
    assert table.find_job(moving.id, NOW).moving is False


def test_a_job_of_which_nobody_knows_whether_its_tags_have_moved_is_not_cancelled(table):
    doubtful = table.save_progress(taken(table), HALF, NOW, moving=True, in_doubt=2)
    assert doubtful.in_doubt == 2
    with pytest.raises(WriteConflict):
        table.cancel_job(doubtful.id, NOW + LEASE)
    # Neither who takes it nor who gives it back knows.
    again = table.take_job(doubtful, "worker-b", NOW + LEASE)
    assert (again.moving, again.in_doubt) == (False, 2)
    assert table.release_job(again, NOW + LEASE)
    assert table.find_job(doubtful.id, NOW).in_doubt == 2
    with pytest.raises(WriteConflict):
        table.cancel_job(doubtful.id, NOW + LEASE)
    known = table.take_job(again, "worker-c", NOW + LEASE)
    known = table.save_progress(known, HALF, NOW + LEASE)
    assert (known.in_doubt, table.find_job(doubtful.id, NOW)) == (None, known)
    assert table.cancel_job(doubtful.id, NOW + LEASE).state is JobState.CANCELLED


def test_nothing_is_in_doubt_of_a_job_that_has_ended(table):
    doubtful = table.save_progress(taken(table), HALF, NOW, moving=True, in_doubt=2)
    assert table.end_job(doubtful, JobState.FAILED, NOW, "for a reason")
    assert table.find_job(doubtful.id, NOW).in_doubt is None


def test_a_job_whose_tags_have_all_moved_is_not_cancelled_though_its_worker_died(table):
    standing = table.save_progress(taken(table), replace(HALF, position=2), NOW)
    for now in (NOW, NOW + 2 * LEASE):
        with pytest.raises(Conflict) as refused:
            table.cancel_job(standing.id, now)
        assert not isinstance(refused.value, WriteConflict)
    assert table.find_job(standing.id, NOW) == standing


def test_where_a_worker_was_copying_to_stays_known(table):
    going = table.save_progress(taken(table), HALF, NOW, copying=("copy/a",), copying_in="second")
    assert table.find_job(going.id, NOW) == going
    again = table.save_progress(going, HALF, NOW + SECOND)
    assert again.copying_in == table.find_job(going.id, NOW).copying_in == "second"


def test_work_that_breaks_off_is_counted(table):
    going = taken(table)
    for count in (1, 2):
        assert table.release_job(going, NOW, broken=True)
        going = table.take_job(going, f"worker-{count}", NOW)
        assert going.breakdowns == count
    assert table.release_job(going, NOW)
    assert table.find_job(going.id, NOW).breakdowns == 2


def test_a_job_that_is_not_there_is_not_cancelled(table):
    assert table.cancel_job(job().id, NOW) is None
    assert table.find_job(job().id, NOW) is None


def test_a_job_is_cancelled_or_moves_its_tags_never_both(table):
    for number in range(10):
        going = taken(table, number=number)
        moving, cancelled = together(
            partial(table.save_progress, going, HALF, NOW, moving=True),
            partial(table.cancel_job, going.id, NOW),
        )
        assert (moving is None) != isinstance(cancelled, WriteConflict)
        state = JobState.CANCELLED if moving is None else JobState.RUNNING
        assert table.find_job(going.id, NOW).state is state


def test_a_job_is_cancelled_or_succeeds_never_both(table):
    for number in range(10):
        going = taken(table, number=number)
        succeeded, cancelled = together(
            partial(table.end_job, going, JobState.SUCCEEDED, NOW), partial(table.cancel_job, going.id, NOW)
        )
        assert succeeded == isinstance(cancelled, Conflict)
        state = JobState.SUCCEEDED if succeeded else JobState.CANCELLED
        assert table.find_job(going.id, NOW).state is state


# ------------------------------------------------------------------ those that nobody goes on with
def test_open_jobs_that_nothing_was_heard_of_are_found_the_oldest_first(table):
    for number, minutes in {1: 15, 2: 19, 3: 11, 4: 17, 5: 10, 6: 9}.items():
        made(table, number, created=NOW - timedelta(minutes=minutes))
    assert table.overdue_jobs(NOW, 10) == [job(number).id for number in (2, 4, 1, 3)]
    assert table.overdue_jobs(NOW, 2) == [job(number).id for number in (2, 4)]
    assert table.overdue_jobs(NOW - timedelta(days=1), 10) == []


@pytest.mark.parametrize("microseconds", [0, 1, 999_999])
def test_a_job_is_overdue_after_its_last_microsecond(table, microseconds):
    made(table, created=NOW.replace(microsecond=microseconds))
    due = NOW.replace(microsecond=microseconds) + OVERDUE
    assert table.overdue_jobs(due - TINY, 10) == []
    assert table.overdue_jobs(due, 10) == []
    assert table.overdue_jobs(due + TINY, 10) == [job().id]


WRITES = {
    "taken": lambda table, going, now: table.take_job(going, "worker-b", now),
    "reported": lambda table, going, now: table.save_progress(going, HALF, now),
    "given back": lambda table, going, now: table.release_job(going, now),
}


@pytest.mark.parametrize("written", WRITES)
def test_a_job_that_goes_on_is_not_overdue(table, written):
    going, now = taken(table), NOW + timedelta(minutes=5)
    assert WRITES[written](table, going, now)
    assert table.overdue_jobs(NOW + OVERDUE + SECOND, 10) == []
    assert table.overdue_jobs(now + OVERDUE + SECOND, 10) == [job().id]


ENDS = {
    "succeeded": lambda table, going: table.end_job(going, JobState.SUCCEEDED, NOW),
    "failed": lambda table, going: table.end_job(going, JobState.FAILED, NOW, "why"),
    "cancelled": lambda table, going: table.cancel_job(going.id, NOW),
}


@pytest.mark.parametrize("end", ENDS)
def test_a_job_that_has_ended_is_never_overdue(table, end):
    assert ENDS[end](table, taken(table))
    assert table.overdue_jobs(NOW + timedelta(days=20), 10) == []


def test_overdue_jobs_of_one_shard_are_limited_and_all_come_in_turn(table):
    for number in range(25):
        made(table, 16 * number, created=NOW + timedelta(seconds=number))
    late, seen = NOW + timedelta(days=1), []
    while found := table.overdue_jobs(late, 10):
        assert len(found) <= 10
        for job_id in found:
            assert table.cancel_job(job_id, late)
            seen.append(job_id)
    assert seen == [job(16 * number).id for number in range(25)]


def test_ids_of_jobs_spread_over_sixteen_shards():
    assert len({keys.job_due(job(number).id, NOW).gsi1pk for number in range(256)}) == 16


# ------------------------------------------------------------------ rows
def test_all_rows_of_a_job_are_removed_in_time_and_not_before(dynamo_table, rows):
    dynamo_table.create_job(job(items=300), [item(f"v{number}") for number in range(300)], request())
    found = rows()
    assert sorted(row["type"] for row in found) == [
        "job",
        "job-items",
        "job-items",
        "job-request",
        "listed-job",
        "listed-job",
    ]
    end = NOW + JOB_LIFETIME
    for row in found:
        assert end <= datetime.fromtimestamp(row["ttl"], NOW.tzinfo) < end + timedelta(minutes=1)


def test_organisations_with_names_alike_have_lists_of_their_own(table):
    made(table, source=APP, destination=OTHER_ORG)
    for org in ("dem", "demo2", "acm", "acme-2", ""):
        assert listed(table, org) == []
