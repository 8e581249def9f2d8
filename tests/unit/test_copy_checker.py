"""The checker sees each thing that can be wrong."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from moorage.adapters import keys
from moorage.adapters.dynamodb.manifests import _referrer_row
from moorage.adapters.dynamodb.rows import Row, from_item, row
from moorage.adapters.dynamodb.tags import _pointing
from moorage.domain.blobs import ObjectState
from moorage.domain.digests import Digest
from moorage.domain.images import Pushed
from moorage.domain.names import Repository
from moorage.ports import Referrer
from tests.copy_checker import Contents, problems
from tests.protocol.world import SECOND
from tests.unit.copy_world import FAR, NEAR, SOURCE, CopyWorld

LAYER = Digest.of(b"layer of amd64" * 9)


def key_of(world: CopyWorld) -> str:
    link = world.table.find_link(FAR, LAYER)
    assert link is not None
    return link.key


def condemn(world: CopyWorld) -> None:
    stored = world.table.find_object(key_of(world))
    assert stored is not None
    world.table.replace_object(replace(stored, state=ObjectState.CONDEMNED))


def move_link(world: CopyWorld) -> None:
    link = world.table.find_link(FAR, LAYER)
    assert link is not None
    world.table._links[FAR, LAYER] = replace(link, store="default")


def other_manifest(world: CopyWorld) -> None:
    digest = world.tag(FAR) or LAYER
    world.table._manifests[FAR, digest] = replace(world.table._manifests[FAR, digest], body=b"{}")


def overtaken(world: CopyWorld) -> None:
    """Store a blob once more, as by a copy that came too late to be linked."""
    stored = world.table.find_object(key_of(world))
    assert stored is not None
    world.stores[SECOND].put("copy/x", b"layer of amd64" * 9)
    world.table.add_object(replace(stored, key="copy/x"))


def referrer_at(world: CopyWorld, repository: Repository = FAR) -> tuple[keys.Key, Referrer]:
    return next(
        (key, each)
        for key, each in world.table._referrers.items()
        if key.pk.startswith(f"REFERRERS#{repository}#")
    )


def lose_referrer(world: CopyWorld) -> None:
    del world.table._referrers[referrer_at(world)[0]]


def misplace_referrer(world: CopyWorld) -> None:
    """Put it where nobody finds it who asks for its type."""
    key, each = referrer_at(world)
    world.table._referrers[keys.referrer(FAR, each.subject, "other", each.digest)] = each
    del world.table._referrers[key]


def move_referrer(world: CopyWorld) -> None:
    """Let it say that its manifest refers to something else."""
    _, each = referrer_at(world)
    other = replace(each, subject=LAYER)
    place = keys.referrer(FAR, LAYER, other.artifact_type, other.digest)
    world.table._referrers[place] = other


def refer_from_nowhere(world: CopyWorld) -> None:
    """Leave the row of a manifest that is deleted."""
    key, each = referrer_at(world)
    assert world.table.delete_manifest(FAR, each.digest)
    world.table._referrers[key] = each


WRONG: dict[str, tuple[Callable[[Checked], object], str]] = {
    "REF": (lambda w: w.table._references.clear(), "has no REF"),
    "object row": (lambda w: w.table._objects.pop(key_of(w)), "has no object row"),
    "condemned": (condemn, "leads to an object that is condemned"),
    "store": (move_link, "says another store or size"),
    "object": (lambda w: w.stores[SECOND].delete([key_of(w)]), "has no object"),
    "content": (lambda w: w.stores[SECOND].put(key_of(w), b"layer of AMD64" * 9), "is not sha256:"),
    "length": (lambda w: w.stores[SECOND].put(key_of(w), b"x"), "has 1 bytes, and its row says"),
    "link": (lambda w: w.table.remove_link(FAR, LAYER), "names the blob"),
    "child": (
        lambda w: w.table._manifests.pop((FAR, w.descriptor_digest("amd64"))),
        "which is not there",
    ),
    "manifest": (other_manifest, "has no content, or other content"),
    "tag": (lambda w: w.table._manifests.pop((FAR, w.tag(FAR) or LAYER)), ":v1 names"),
    "use": (lambda w: w.table._uses.clear(), "uses sha256:"),
    "referrer": (lose_referrer, "without a row that says so"),
    "place of a referrer": (misplace_referrer, "without a row that says so"),
    "misplaced referrer": (misplace_referrer, "which it does not"),
    "subject": (move_referrer, f"refers to {LAYER}, which it does not"),
    "left referrer": (refer_from_nowhere, "which it does not"),
    "repository": (lambda w: w.table._repositories.pop(FAR), "repository that does not exist"),
    "left REF": (lambda w: w.table.add_reference("copy/x", FAR, LAYER), "which it does not"),
    "left object": (lambda w: w.stores[SECOND].put("copy/x", b""), "is recorded nowhere"),
    "left row": (overtaken, "copy/x is live, and no REF leads to it"),
}
LEFT = ["left REF", "left object", "left row"]


class Checked(CopyWorld):
    def descriptor_digest(self, name: str) -> Digest:
        """The manifest of one of the platforms at the destination."""
        used = Digest.of(f"layer of {name}".encode() * 9)
        return next(user for where, each, user in self.table._uses if (where, each) == (FAR, used))


def copied() -> Checked:
    world = Checked()
    world.whole_image()
    world.copy(to=FAR)
    return world


@pytest.mark.parametrize("wrong", WRONG)
def test_each_thing_that_can_be_wrong_is_seen(wrong: str) -> None:
    world = copied()
    assert world.problems() == []
    spoil, says = WRONG[wrong]
    spoil(world)
    assert any(says in problem for problem in world.problems()), world.problems()


@pytest.mark.parametrize("left", LEFT)
def test_what_is_only_left_over_is_wrong_only_if_nobody_has_died(left: str) -> None:
    world = copied()
    WRONG[left][0](world)
    assert len(world.problems()) == 1
    assert world.problems(undisturbed=False) == []


def test_a_condemned_row_without_a_ref_is_not_left_over() -> None:
    world = copied()
    overtaken(world)
    stored = world.table.find_object("copy/x")
    assert stored is not None
    world.table.replace_object(replace(stored, state=ObjectState.CONDEMNED))
    assert world.problems() == []


# ------------------------------------------------------------------ rows beside manifests
def rows_of(world: CopyWorld) -> list[Row]:
    """Those of all tags and referrers, as they are written to DynamoDB."""
    found = []
    for key, referrer in world.table._referrers.items():
        found.append(_referrer_row(Repository.parse(key.pk.split("#")[1]), referrer))
    for tags in world.table._tags.values():
        for tag in tags.values():
            pushed = Pushed(tag.digest, tag.media_type, tag.size, tag.pushed_by, tag.pushed, tag.platforms)
            writes = _pointing(tag.repository, tag.tag, pushed, None)
            found += [from_item(write.target["Item"]) for write in writes if write.kind == "Put"]
    return found


def in_rows(world: CopyWorld, rows: list[Row]) -> Contents:
    """The contents of a world, if its tags and referrers were these rows."""
    read = Contents.of_rows(rows)
    return replace(
        Contents.of_memory(world.table),
        tags=read.tags,
        referrers=read.referrers,
        digest_tags=read.digest_tags,
    )


def digest_tag(world: CopyWorld, digest: Digest | None = None) -> Row:
    """The row of a tag of an image beside its manifest, or beside another one."""
    beside = digest or world.tag(FAR) or LAYER
    there = {"tag": "v1", "digest": str(beside)}
    return row(keys.digest_tag(FAR, beside, "v1"), "digest-tag", there)


def test_the_rows_of_a_table_are_read_as_those_in_memory() -> None:
    world = copied()
    world.copy(to=NEAR)
    read, held = Contents.of_rows(rows_of(world)), Contents.of_memory(world.table)
    assert (read.referrers, read.tags) == (held.referrers, held.tags)
    assert {name for name, _ in read.tags} == {SOURCE, NEAR, FAR}
    assert held.digest_tags is None
    assert read.digest_tags == {(name, digest, tag) for (name, tag), digest in held.tags.items()}
    assert problems(in_rows(world, rows_of(world)), world.stores) == []


def test_a_tag_without_its_row_beside_the_manifest_is_seen() -> None:
    world = copied()
    rows = rows_of(world)
    rows.remove(digest_tag(world))
    assert problems(in_rows(world, rows), world.stores) == [
        f"the tag {FAR}:v1 has no row beside {world.tag(FAR)}"
    ]


def test_a_row_that_a_tag_has_left_beside_another_manifest_is_seen() -> None:
    world = copied()
    other = world.descriptor_digest("amd64")
    rows = [*rows_of(world), digest_tag(world, other)]
    assert problems(in_rows(world, rows), world.stores) == [
        f"a row beside {other} in {FAR} says that v1 names it, which it does not"
    ]


def test_a_row_of_a_tag_that_is_gone_is_seen() -> None:
    world = copied()
    digest, rows = world.tag(FAR), rows_of(world)
    world.table.delete_tag(FAR, "v1")
    contents = replace(in_rows(world, rows), tags=Contents.of_memory(world.table).tags)
    assert problems(contents, world.stores) == [
        f"a row beside {digest} in {FAR} says that v1 names it, which it does not"
    ]
