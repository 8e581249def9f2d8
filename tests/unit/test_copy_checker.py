"""The checker sees each thing that can be wrong."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from moorage.domain.blobs import ObjectState
from moorage.domain.digests import Digest
from tests.protocol.world import SECOND
from tests.unit.copy_world import FAR, CopyWorld

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
    "use": (lambda w: w.table._uses.clear(), "without a row that says so"),
    "repository": (lambda w: w.table._repositories.pop(FAR), "repository that does not exist"),
    "left REF": (lambda w: w.table.add_reference("copy/x", FAR, LAYER), "which it does not"),
    "left object": (lambda w: w.stores[SECOND].put("copy/x", b""), "is recorded nowhere"),
}


class Checked(CopyWorld):
    def descriptor_digest(self, name: str) -> Digest:
        """The manifest of one of the platforms at the destination."""
        used = Digest.of(f"layer of {name}".encode() * 9)
        return next(user for where, each, user in self.table._uses if (where, each) == (FAR, used))


@pytest.mark.parametrize("wrong", WRONG)
def test_each_thing_that_can_be_wrong_is_seen(wrong: str) -> None:
    world = Checked()
    world.whole_image()
    world.copy(to=FAR)
    assert world.problems() == []
    spoil, says = WRONG[wrong]
    spoil(world)
    assert any(says in problem for problem in world.problems()), world.problems()
