"""``moorage image copy`` and ``moorage job``: what is asked for, how the end is waited for, and what is said of it."""

from __future__ import annotations

import json
import re
import signal
from typing import Any

import pytest

from moorage_cli import retries
from tests.cli.stand_in import Answer, StandIn, listed, refusal
from tests.cli.terminal import Terminal

ID = "0123456789abcdef0123456789abcdef"
COPY = "/org/acme/image/app:v1/-copy"
JOB = f"/org/acme/job/{ID}"


def job(state: str, **fields: Any) -> dict[str, Any]:
    """A job of the stand-in, which copies ``app:v1`` from ``acme`` to ``prod``."""
    return {
        "kind": "job",
        "id": ID,
        "name": ID,
        "type": "copy",
        "state": state,
        "created": "2026-01-02T03:04:05.000Z",
        "lastModified": "2026-01-02T03:04:05.000Z",
        "expires": "2026-02-01T03:04:05.000Z",
        "source": {"org": "acme", "repository": "app", "tag": "v1", "digest": "sha256:" + "a" * 64},
        "destination": {"org": "prod", "repository": "app", "tag": "v1"},
        "progress": progress(0, 0),
        "copiedBytes": 0,
        "links": [{"rel": "self", "href": JOB}],
        **fields,
    }


def progress(done: int, total: int) -> dict[str, Any]:
    """So many of so many manifests, of a million bytes each."""
    return {
        "tags": {"done": int(0 < done == total), "total": 1},
        "manifests": {"done": done, "total": total},
        "bytes": {"done": done * 1_000_000, "total": total * 1_000_000},
    }


def accepted(state: str = "queued", **fields: Any) -> Answer:
    return Answer(job(state, **fields), 202, {"Location": JOB})


DONE = job("succeeded", progress=progress(3, 3), copiedBytes=17_000_000)


@pytest.fixture
def copying(stand_in: StandIn) -> StandIn:
    """A registry at which a copy is queued, then runs, then succeeds."""
    stand_in.on("POST", COPY, accepted())
    stand_in.on("GET", JOB, job("queued"), job("running", progress=progress(1, 3)), DONE)
    return stand_in


@pytest.mark.parametrize("flag", ["--to-org", "--dest-org"])
def test_copy_is_waited_for_and_its_address_printed(signed_in: Terminal, copying: StandIn, flag: str) -> None:
    outcome = signed_in.run("image", "copy", "app:v1", flag, "prod")
    assert (outcome.code, outcome.out) == (0, "prod/app:v1\n")
    assert "3 of 3 manifests, 3MB of 3MB" in outcome.err
    assert "17MB moved to another store" in outcome.err
    assert copying.asked[0].json == {"destinationOrg": "prod"}
    assert copying.paths() == [f"POST {COPY}", *[f"GET {JOB}"] * 3]


def test_waiting_writes_whole_lines_without_colours_into_a_pipe(
    signed_in: Terminal, copying: StandIn
) -> None:
    outcome = signed_in.run("image", "copy", "app:v1", "--to-org", "prod")
    assert all(line.startswith("moorage: ") for line in outcome.err.splitlines())
    assert "\x1b" not in outcome.err
    assert "\r" not in outcome.err


def test_source_organisation_may_be_another(signed_in: Terminal, stand_in: StandIn) -> None:
    stand_in.on("POST", "/org/demo/image/app:v1/-copy", accepted("succeeded"))
    assert signed_in.run("image", "copy", "app:v1", "--org", "demo", "--dest-org", "prod").code == 0


@pytest.mark.parametrize(
    ("arguments", "path", "body"),
    [
        (["app:v1", "--to-name", "new"], "app:v1", {"destinationName": "new"}),
        (["app:v1", "--to-name", "a/b:v2"], "app:v1", {"destinationName": "a/b", "destinationTag": "v2"}),
        (["app:v1", "--no-referrers"], "app:v1", {"referrers": False}),
        (["app:v1", "--replace-tag"], "app:v1", {"replaceTag": True}),
        (["app", "--all-tags"], "app", {"allTags": True}),
        (["app", "--tag-pattern", "v1.*"], "app", {"tagPattern": "v1.*"}),
        (["a/b@sha256:" + "a" * 64], "a/b@sha256:" + "a" * 64, {}),
        (["//image/app:v1"], "app:v1", {}),
        (["acme.HOST/app:v1"], "app:v1", {}),
    ],
)
def test_flags_say_what_is_asked_for(
    signed_in: Terminal, stand_in: StandIn, arguments: list[str], path: str, body: dict[str, Any]
) -> None:
    stand_in.on("POST", f"/org/acme/image/{path}/-copy", accepted("succeeded"))
    written = [each.replace("HOST", f"127.0.0.1:{stand_in.port}") for each in arguments]
    outcome = signed_in.run("image", "copy", *written, "--to-org", "prod")
    assert outcome.code == 0, outcome
    assert stand_in.asked[0].json == {"destinationOrg": "prod", **body}


def test_address_of_the_registry_names_the_image(signed_in: Terminal, copying: StandIn) -> None:
    reference = f"127.0.0.1:{copying.port}/acme/app:v1"
    assert signed_in.run("image", "copy", reference, "--to-org", "prod").code == 0


def test_copy_within_the_organisation_needs_no_destination(signed_in: Terminal, copying: StandIn) -> None:
    assert signed_in.run("image", "copy", "app:v1", "--to-name", "new:v1").code == 0
    assert copying.asked[0].json["destinationOrg"] == "acme"


def test_profile_names_the_destination(signed_in: Terminal, copying: StandIn) -> None:
    copying.on("GET", "/org/prod", {"kind": "org", "name": "prod"})
    login = ("profile", "login", "other", "--org", "prod", "--endpoint", copying.endpoint, "--key-stdin")
    without = {"MOORAGE_TOKEN": "", "MOORAGE_ORG": ""}
    signed_in.ok(*login, stdin=signed_in.environment["MOORAGE_TOKEN"], environment=without)
    assert signed_in.run("image", "copy", "app:v1", "--to-profile", "other").code == 0
    assert copying.asked[-4].json["destinationOrg"] == "prod"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["app:v1"], "same organisation"),
        (["app:v1", "--to-org", "acme"], "same organisation"),
        (["app:v1", "--to-name", "app:v1"], "source and destination are the same"),
        (["app", "--all-tags", "--tag-pattern", "v*", "--to-org", "prod"], "exclude each other"),
        (["app", "--all-tags", "--to-name", "new:v1", "--to-org", "prod"], "many tags keep their names"),
        (["app:v1", "--to-name", "new:", "--to-org", "prod"], "no name of an image"),
        (["app:v1", "--to-profile", "nobody"], "nobody"),
        (["other.example.com/acme/app:v1", "--to-org", "prod"], "is not at"),
        (["acme.example.com/app:v1", "--to-org", "prod"], "is not at"),
        (["../policy/x", "--to-org", "prod"], "cannot be a name"),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_is_asked(
    signed_in: Terminal, stand_in: StandIn, arguments: list[str], said: str
) -> None:
    outcome = signed_in.run("image", "copy", *arguments)
    assert said in outcome.err
    assert outcome.code in (2, 3)
    assert len(outcome.err.splitlines()) == 1
    assert stand_in.asked == []


def test_without_an_organisation_it_says_how_to_name_one(signed_in: Terminal) -> None:
    del signed_in.environment["MOORAGE_ORG"]
    outcome = signed_in.run("image", "copy", "app:v1", "--to-org", "prod")
    assert (outcome.code, outcome.out) == (2, "")
    assert "--org" in outcome.err


def test_failure_is_told_with_its_reason(signed_in: Terminal, stand_in: StandIn) -> None:
    stand_in.on("POST", COPY, accepted())
    stand_in.on("GET", JOB, job("failed", reason="the tag v1 names another image; request it again"))
    outcome = signed_in.run("image", "copy", "app:v1", "--to-org", "prod")
    assert (outcome.code, outcome.out) == (1, "")
    assert outcome.err.splitlines()[-1].endswith("the tag v1 names another image; request it again")


def test_cancellation_by_somebody_else_is_no_success(signed_in: Terminal, stand_in: StandIn) -> None:
    stand_in.on("POST", COPY, accepted())
    stand_in.on("GET", JOB, job("cancelled"))
    assert signed_in.run("image", "copy", "app:v1", "--to-org", "prod").code == 1


def test_without_waiting_the_job_is_printed(signed_in: Terminal, copying: StandIn) -> None:
    outcome = signed_in.run("image", "copy", "app:v1", "--to-org", "prod", "--no-wait", "-o", "names")
    assert (outcome.code, outcome.out) == (0, f"{JOB}\n")
    assert copying.paths() == [f"POST {COPY}"]


def test_json_is_the_job_as_it_ended(signed_in: Terminal, copying: StandIn) -> None:
    assert json.loads(signed_in.ok("image", "copy", "app:v1", "--to-org", "prod", "-o", "json")) == DONE


def test_names_is_the_link_of_the_copy(signed_in: Terminal, copying: StandIn) -> None:
    out = signed_in.ok("image", "copy", "app:v1", "--to-org", "prod", "-o", "names")
    assert out == "/org/prod/image/app:v1\n"


def test_retries_of_one_call_have_one_key_and_two_calls_have_two(
    signed_in: Terminal, stand_in: StandIn
) -> None:
    busy = refusal(503, "Unavailable", "try again")
    stand_in.on("POST", COPY, busy, accepted("succeeded"))
    for _ in range(2):
        signed_in.ok("image", "copy", "app:v1", "--to-org", "prod")
    keys = [each.headers["Idempotency-Key"] for each in stand_in.asked]
    assert keys[0] == keys[1] != keys[2]
    assert all(re.fullmatch(r"[!-~]{1,128}", key) for key in keys)


def test_key_of_a_request_may_be_given(signed_in: Terminal, copying: StandIn) -> None:
    signed_in.ok("image", "copy", "app:v1", "--to-org", "prod", "--idempotency-key", "build-7")
    assert copying.asked[0].headers["Idempotency-Key"] == "build-7"


def test_interrupted_waiting_says_that_the_copy_goes_on(
    signed_in: Terminal, copying: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(_: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(retries, "pause", interrupt)
    outcome = signed_in.run("image", "copy", "app:v1", "--to-org", "prod")
    assert (outcome.code, outcome.out) == (130, "")
    assert f"moorage job get {JOB}" in outcome.err


def test_refusal_is_told_as_the_registry_says_it(signed_in: Terminal, stand_in: StandIn) -> None:
    stand_in.on("POST", COPY, refusal(403, "Denied", "that takes the permission pull on the image"))
    outcome = signed_in.run("image", "copy", "app:v1", "--to-org", "prod")
    assert outcome.code == 4
    assert "permission pull" in outcome.err


def test_jobs_are_listed_as_far_as_they_may_be_seen(signed_in: Terminal, stand_in: StandIn) -> None:
    hidden = job("failed", source=None, reason="no")
    many = {"org": "acme", "repository": "app", "tagPattern": "v*"}
    pinned = {"org": "acme", "repository": "app", "digest": "sha256:" + "a" * 64}
    shown = [hidden, job("running", source=many, progress=progress(1, 3)), job("queued", source=pinned)]
    stand_in.on("GET", "/org/acme/job", listed("job", shown))
    lines = signed_in.ok("job", "get").splitlines()
    assert lines[0].split() == ["ID", "STATE", "SOURCE", "DESTINATION", "PROGRESS", "CREATED", "REASON"]
    assert "acme/app" not in lines[1]
    assert "prod/app:v1" in lines[1]
    assert "acme/app:v*" in lines[2]
    assert "1/3 manifests" in lines[2]
    assert "acme/app@sha256:aaaaaaaaaaaaaaaa " in lines[3]


def test_jobs_of_one_state_are_asked_for(signed_in: Terminal, stand_in: StandIn) -> None:
    stand_in.on("GET", "/org/acme/job", listed("job", []))
    signed_in.ok("job", "get", "--state", "failed")
    assert stand_in.asked[0].query == {"state": ["failed"], "limit": ["50"]}


def test_unknown_state_is_refused(signed_in: Terminal, stand_in: StandIn) -> None:
    assert signed_in.run("job", "get", "--state", "odd").code == 2
    assert stand_in.asked == []


def test_one_job_is_named_by_id_or_link(signed_in: Terminal, stand_in: StandIn) -> None:
    stand_in.on("GET", JOB, DONE)
    for reference in (ID, JOB, f"//job/{ID}"):
        assert json.loads(signed_in.ok("job", "get", reference, "-o", "json")) == DONE


def test_job_is_waited_for(signed_in: Terminal, stand_in: StandIn) -> None:
    stand_in.on("GET", JOB, job("running"), job("running"), DONE)
    assert "succeeded" in signed_in.ok("job", "wait", ID)
    assert len(stand_in.asked) == 3


def test_several_jobs_are_cancelled_though_one_has_ended(signed_in: Terminal, stand_in: StandIn) -> None:
    other = "f" * 32
    stand_in.on("POST", f"{JOB}/-cancel", refusal(409, "Conflict", "the job has succeeded"))
    stand_in.on("POST", f"/org/acme/job/{other}/-cancel", job("cancelled"))
    outcome = signed_in.run("job", "cancel", ID, other)
    assert (outcome.code, outcome.out) == (5, "")
    assert "the job has succeeded" in outcome.err
    assert len(stand_in.asked) == 2


def test_copy_through_the_real_api_makes_a_job_that_can_be_seen_and_cancelled(
    real: Terminal, management: Any
) -> None:
    management.push("demo/app", "v1")
    policy = ("policy", "create", "copies", "--target-kind", "image", "--all")
    real.ok(*policy, "--org", "other", environment={"MOORAGE_TOKEN": management.world.keys["other/admin"]})
    link = "/org/demo/serviceaccount/admin"
    binding = ("policy", "add-binding", "copies", "--permission", "create", "--serviceaccount", link)
    real.ok(*binding, "--org", "other", environment={"MOORAGE_TOKEN": management.world.keys["other/admin"]})
    made = json.loads(real.ok("image", "copy", "app:v1", "--to-org", "other", "--no-wait", "-o", "json"))
    assert made["state"] == "queued"
    assert made["destination"] == {"org": "other", "repository": "app", "tag": "v1"}
    real.ok("job", "cancel", made["id"])
    assert json.loads(real.ok("job", "get", made["id"], "-o", "json"))["state"] == "cancelled"
    assert made["id"] in real.ok("job", "get", "--state", "cancelled")


@pytest.mark.parametrize("link", ["http://elsewhere.example/job", "//elsewhere/job", "/org/other/job/1"])
def test_job_is_asked_for_where_it_is_whatever_its_link_says(
    signed_in: Terminal, copying: StandIn, link: str
) -> None:
    begun = accepted("queued")
    begun.body["links"] = [{"rel": "self", "href": link}]
    copying.on("POST", COPY, begun)
    assert signed_in.run("image", "copy", "app:v1", "--to-org", "prod").code == 0
    assert set(copying.paths()[1:]) == {f"GET {JOB}"}


@pytest.mark.parametrize("identity", [None, 7, "", "../policy", "a/b", "a?b", "-query"])
def test_answer_without_the_id_of_a_job_is_no_job(
    signed_in: Terminal, copying: StandIn, identity: object
) -> None:
    begun = accepted("queued")
    begun.body["id"] = identity
    copying.on("POST", COPY, begun)
    outcome = signed_in.run("image", "copy", "app:v1", "--to-org", "prod")
    assert (outcome.code, len(copying.asked)) == (6, 1)
    assert "answers without a job" in outcome.err


def test_jobs_are_listed_under_another_name_too(signed_in: Terminal, stand_in: StandIn) -> None:
    stand_in.on("GET", "/org/acme/job", listed("job", [job("failed")]))
    assert signed_in.ok("job", "list", "--state", "failed") == signed_in.ok("job", "get", "--state", "failed")
    assert "list " not in signed_in.ok("job", "--help")


@pytest.mark.parametrize("place", [None, 7, [], {}, {"org": "acme"}])
def test_job_of_another_shape_is_shown_as_far_as_it_is_known(
    signed_in: Terminal, stand_in: StandIn, place: object
) -> None:
    odd = job("queued", source=place, destination=place, links=[7])
    stand_in.on("GET", "/org/acme/job", listed("job", [odd]))
    assert ID in signed_in.ok("job", "get")


def test_profile_of_another_registry_names_no_destination(signed_in: Terminal, copying: StandIn) -> None:
    copying.on("GET", "/org/prod", {"kind": "org", "name": "prod"})
    login = ("profile", "login", "other", "--org", "prod", "--endpoint", copying.endpoint, "--key-stdin")
    without = {"MOORAGE_TOKEN": "", "MOORAGE_ORG": ""}
    signed_in.ok(*login, stdin=signed_in.environment["MOORAGE_TOKEN"], environment=without)
    copying.asked.clear()
    elsewhere = {"MOORAGE_ENDPOINT": "https://elsewhere.example"}
    for more in ((), ("--to-org", "prod")):
        words = ("image", "copy", "app:v1", "--to-profile", "other", *more)
        outcome = signed_in.run(*words, environment=elsewhere)
        assert outcome.code == 2
        assert (
            f"'other' is for {copying.endpoint}, and copies stay at https://elsewhere.example" in outcome.err
        )
    assert copying.asked == []


def test_flag_of_those_who_have_copies_to_clean_up_changes_nothing(
    signed_in: Terminal, copying: StandIn
) -> None:
    signed_in.ok("image", "copy", "app:v1", "--to-org", "prod", "--cleanup")
    assert copying.asked[0].json == {"destinationOrg": "prod"}


@pytest.mark.parametrize(
    ("answer", "code"),
    [(Answer(b"<html>"), 6), (refusal(401, "CredentialsInvalid", "the token has expired"), 4)],
)
def test_waiting_that_breaks_off_says_that_the_copy_goes_on(
    signed_in: Terminal, copying: StandIn, answer: Answer, code: int
) -> None:
    copying.on("GET", JOB, answer)
    outcome = signed_in.run("image", "copy", "app:v1", "--to-org", "prod")
    assert outcome.code == code
    assert f"the job goes on; see it with 'moorage job get {JOB}'" in outcome.err


def test_signal_that_ends_waiting_leaves_the_copy(
    signed_in: Terminal, copying: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retries, "pause", lambda _: signal.raise_signal(signal.SIGTERM))
    outcome = signed_in.run("image", "copy", "app:v1", "--to-org", "prod")
    assert outcome.code == 143
    assert f"the job goes on; see it with 'moorage job get {JOB}'" in outcome.err


def test_failed_job_does_not_go_on(signed_in: Terminal, copying: StandIn) -> None:
    copying.on("GET", JOB, job("failed", reason="no"))
    assert "goes on" not in signed_in.run("image", "copy", "app:v1", "--to-org", "prod").err
