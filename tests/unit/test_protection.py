"""What protected images are made of is kept, at whatever depth, for a bounded amount of work."""

from __future__ import annotations

import pytest

from moorage.adapters.memory import MemoryTable
from moorage.domain.errors import ResourceProtected
from moorage.domain.names import Repository
from moorage.services.protection import USERS_MAX, Protection
from tests.contract.samples import NOW, digest, manifest, point, put_manifest
from tests.unit.faults import Faults

APP, OTHER = Repository("demo", "app"), Repository("demo", "other")


class Shelf:
    """An index ``top`` over an index ``middle`` over an image over a layer, with a tag on each manifest."""

    def __init__(self) -> None:
        self.table, self.faults = MemoryTable(), Faults()
        for repository in (APP, OTHER):
            for user, used in (("image", "layer"), ("middle", "image"), ("top", "middle")):
                self.put(user, used, repository=repository)
                point(self.table, repository, user, digest(user), NOW)
        wrapped = self.faults.wrap(self.table)
        self.protection = Protection(wrapped, wrapped)

    def put(self, name: str, *used: str, repository: Repository = APP) -> None:
        uses = [digest(each) for each in used]
        put_manifest(self.table, repository, manifest(name), uses=uses, referrer=None)

    def protect(self, tag: str, repository: Repository = APP) -> None:
        record = self.table.find_image(repository, tag)
        assert record is not None
        self.table.replace_metadata(record, {"protected": True}, NOW)

    def refuses(self, name: str) -> bool:
        self.faults.calls.clear()
        try:
            self.protection.refuse_part(APP, digest(name))
        except ResourceProtected:
            return True
        return False


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


@pytest.mark.parametrize("tag", ["image", "middle", "top"])
def test_what_stands_below_a_protected_image_is_kept(shelf: Shelf, tag: str) -> None:
    shelf.protect(tag)
    chain = ["layer", "image", "middle", "top"]
    assert [name for name in chain if shelf.refuses(name)] == chain[: chain.index(tag)]


def test_nothing_is_kept_by_images_that_are_not_protected_or_are_elsewhere(shelf: Shelf) -> None:
    shelf.protect("top", OTHER)
    assert not any(shelf.refuses(name) for name in ("layer", "image", "middle", "top", "absent"))


def test_a_tag_that_has_moved_on_keeps_nothing_of_what_it_named(shelf: Shelf) -> None:
    shelf.put("new")
    point(shelf.table, APP, "top", digest("new"), NOW)
    shelf.protect("top")
    assert not shelf.refuses("layer")


def test_a_manifest_that_is_gone_keeps_nothing(shelf: Shelf) -> None:
    shelf.put("gone", "layer")
    shelf.table.delete_manifest(APP, digest("gone"))
    shelf.table._uses.add((APP, digest("layer"), digest("gone")))
    assert not shelf.refuses("layer")


def test_manifests_that_name_one_another_in_a_circle_are_looked_at_once(shelf: Shelf) -> None:
    shelf.put("image", "layer", "top")
    assert not shelf.refuses("layer")
    assert shelf.faults.calls.count("users_of") == 4


@pytest.mark.parametrize(("users", "refused"), [(USERS_MAX, False), (USERS_MAX + 1, True)])
def test_what_too_many_use_is_kept_because_nobody_knows(shelf: Shelf, users: int, refused: bool) -> None:
    for number in range(users):
        shelf.put(f"user-{number}", "base")
    assert shelf.refuses("base") == refused
    assert shelf.faults.calls.count("users_of") <= USERS_MAX + 1
