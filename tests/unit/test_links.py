"""Links: one spelling per resource, whatever was sent; what could be taken for another is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage.domain.errors import InvalidInput
from moorage.domain.links import LINK_MAX, ImageReference, parse_link, parse_principal, parse_target
from moorage.domain.names import Repository
from moorage.domain.resources import Kind

HEX = "a" * 64
USER_ID = "0f8fad5b-d9cb-469f-a165-70867728950e"


@pytest.mark.parametrize(
    ("sent", "full", "kind"),
    [
        ("//user/jane@example.com", "/org/acme/user/jane@example.com", Kind.USER),
        ("/org/other/user/jane@example.com", "/org/other/user/jane@example.com", Kind.USER),
        ("//user/Jane.Doe+ci@EXAMPLE.com", "/org/acme/user/jane.doe+ci@example.com", Kind.USER),
        ("//user/jane%40example.com", "/org/acme/user/jane@example.com", Kind.USER),
        (f"//user/{USER_ID}", f"/org/acme/user/{USER_ID}", Kind.USER),
        ("//group/ops", "/org/acme/group/ops", Kind.GROUP),
        ("//serviceaccount/ci-1", "/org/acme/serviceaccount/ci-1", Kind.SERVICE_ACCOUNT),
        ("//gvc/apps/identity/web", "/org/acme/gvc/apps/identity/web", Kind.IDENTITY),
        ("/org/acme/gvc/apps/identity/web", "/org/acme/gvc/apps/identity/web", Kind.IDENTITY),
        ("//gvc/apps", "/org/acme/gvc/apps", Kind.GVC),
        ("//policy/p1", "/org/acme/policy/p1", Kind.POLICY),
        ("//quota/q1", "/org/acme/quota/q1", Kind.QUOTA),
        ("//auditctx/main", "/org/acme/auditctx/main", Kind.AUDIT_CONTEXT),
        ("/org/acme", "/org/acme", Kind.ORG),
        ("//image/app:v1", "/org/acme/image/app:v1", Kind.IMAGE),
        ("//image/app:V1", "/org/acme/image/app:V1", Kind.IMAGE),
        ("//image/app", "/org/acme/image/app:latest", Kind.IMAGE),
        ("//image/a/b/c:v1", "/org/acme/image/a/b/c:v1", Kind.IMAGE),
        ("//image/a%2Fb:v1", "/org/acme/image/a/b:v1", Kind.IMAGE),
        (f"//image/app@sha256:{HEX}", f"/org/acme/image/app@sha256:{HEX}", Kind.IMAGE),
        (f"/org/acme/image/a/b:v1@sha256:{HEX}", f"/org/acme/image/a/b:v1@sha256:{HEX}", Kind.IMAGE),
    ],
)
def test_a_link_has_one_full_form(sent: str, full: str, kind: Kind) -> None:
    link = parse_link(sent, "acme")
    assert str(link) == full
    assert link.kind is kind
    # The full form means the same wherever it is read.
    assert parse_link(full, "elsewhere") == link
    assert link.is_user_id == (sent == f"//user/{USER_ID}")


MALFORMED = [
    "",
    "/",
    "//",
    "///",
    "image/app:v1",
    "org/acme/group/ops",
    "/org",
    "/org/",
    "/org//group/ops",
    "/org/Acme/group/ops",
    "/org/acme/",
    "/org/acme/group",
    "/org/acme/group/",
    "/org/acme/group/ops/",
    "/org/acme/group/ops/x",
    "//group/ops/../x",
    "//group/..",
    "//group/*",
    "//group/Ops",
    "//group/\u043eps",  # a Cyrillic o
    "//group/ops\u200b",
    "//group/o\u0301ps",
    "//group/ops\n",
    "//group/ops\0",
    "//group/ops?x=1",
    "//group/ops#x",
    "//group/%6fps%2fx",
    "//group/ops%00",
    "//group/%256fps",
    "//group/%ff",
    "//group/ops%",
    "//groups/ops",
    "//Group/ops",
    "//GROUP/ops",
    "//org/acme",
    "//identity/web",
    "//gvc/apps/identity",
    "//gvc/apps/identity/",
    "//gvc/apps/identity/web/x",
    "//gvc/apps/workload/web",
    "//gvc/apps%2Fidentity%2Fweb",
    "//gvc/a/b/identity/web",
    "//gvc//identity/web",
    "//user/jane",
    "//user/@example.com",
    "//user/jane@",
    "//user/jane@localhost",
    "//user/jane@exa mple.com",
    "//user/jane@example..com",
    "//user/.jane@example.com",
    "//user/j/ne@example.com",
    "//user/j%2Fne@example.com",
    "//user/jan\u0435@example.com",
    "//user/jane@ex\u00e4mple.com",
    "//user/\u212aate@example.com",  # the Kelvin sign, whose lower case is k
    '//user/"jane"@example.com',
    "//user/jane@example.com@example.com",
    f"//user/{USER_ID.upper()}",
    f"//user/{'a' * 65}@example.com",
    f"//user/a@{'b' * 63}.{'c' * 63}.{'d' * 63}.{'e' * 63}.com",
    "//image/",
    "//image/:v1",
    "//image/App:v1",
    "//image/app:",
    "//image/app:v1:v2",
    "//image/localhost:5000/app:v1",
    "//image/app:v1/x",
    "//image/app@",
    "//image/app@v1",
    f"//image/app@sha256:{'A' * 64}",
    f"//image/app@sha256:{HEX[1:]}",
    f"//image/app:v1@sha256:{HEX}@sha256:{HEX}",
    "//image/app:\u0661",
    "//image//app:v1",
    "//image/-query",
    f"//image/{'a' * 129}:v1",
    f"//group/{'a' * 65}",
    f"//group/{'a' * LINK_MAX}",
]


@pytest.mark.parametrize("sent", MALFORMED)
def test_what_is_no_link_is_refused_with_what_was_sent(sent: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_link(sent, "acme")
    assert ascii(sent[:60])[1:-1] in caught.value.message
    assert len(caught.value.message) < 600
    assert caught.value.message.isprintable()


@pytest.mark.parametrize("sent", [None, 1, True, ["//group/ops"], {"link": "//group/ops"}, b"//group/ops"])
def test_what_is_no_string_is_refused(sent: object) -> None:
    with pytest.raises(InvalidInput, match="a link is a string"):
        parse_link(sent, "acme")


@pytest.mark.parametrize(
    ("sent", "form"),
    [
        ("//identity/web", "//gvc/GVC/identity/NAME"),
        ("//user/jane", "//user/EMAIL"),
        ("//image/App", "//image/NAME:TAG"),
        ("//group/Ops", "//group/NAME"),
    ],
)
def test_the_message_shows_the_right_form(sent: str, form: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_link(sent, "acme")
    assert form in caught.value.message


@pytest.mark.parametrize("sent", ["//image/app:v1", "//policy/p1", "//gvc/apps", "/org/acme", "//quota/q1"])
def test_only_principals_are_principals(sent: str) -> None:
    with pytest.raises(InvalidInput, match="names no principal"):
        parse_principal(sent, "acme")


def test_a_principal_may_be_of_another_organisation_and_a_target_may_not() -> None:
    assert str(parse_principal("/org/other/group/ops", "acme")) == "/org/other/group/ops"
    assert str(parse_target(Kind.GROUP, "//group/ops", "acme")) == "/org/acme/group/ops"
    with pytest.raises(InvalidInput, match="leads out of the organisation acme"):
        parse_target(Kind.GROUP, "/org/other/group/ops", "acme")
    with pytest.raises(InvalidInput, match="kind group, not image"):
        parse_target(Kind.IMAGE, "//group/ops", "acme")
    with pytest.raises(InvalidInput, match="kind image, not org"):
        parse_target(Kind.ORG, "//image/app", "acme")


@given(
    st.from_regex(r"[a-z0-9]{1,5}(/[a-z0-9]{1,5}){0,2}", fullmatch=True),
    st.none() | st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,9}", fullmatch=True),
    st.booleans(),
)
def test_an_image_reference_is_read_as_it_is_written(image: str, tag: str | None, pinned: bool) -> None:
    text = f"{image}{f':{tag}' if tag else ''}{f'@sha256:{HEX}' if pinned else ''}"
    reference = ImageReference.parse("acme", text)
    assert reference.repository == Repository("acme", image)
    assert reference.tag == (tag or (None if pinned else "latest"))
    assert reference.name == (text if tag or pinned else f"{text}:latest")
    assert ImageReference.parse("acme", reference.name) == reference
    assert reference.link == f"/org/acme/image/{reference.name}"


@given(
    st.text("/orgimaeusp:@%2Fcav.- \u043e\u0130", max_size=40),
    st.sampled_from(["//", "/org/acme/", "//image/", "//user/", ""]),
)
def test_no_text_is_two_resources(text: str, begin: str) -> None:
    try:
        link = parse_link(begin + text, "acme")
    except InvalidInput:
        return
    assert parse_link(str(link), "other") == link
    assert str(link).isascii()
    assert "%" not in str(link)
