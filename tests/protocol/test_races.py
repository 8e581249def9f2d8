"""What others do between two steps of a request, and what a request leaves behind."""

import json

from moorage.domain.errors import Unavailable
from moorage.domain.manifests import MAX_MANIFEST_SIZE
from tests.protocol.sample import (
    BLOB,
    DIGEST,
    IMAGE,
    IMAGE_DIGEST,
    NAME,
    image,
    push_blob,
    push_manifest,
    require_success,
    sha256,
)

LARGE = image(annotations={"large": "x" * 100_000})


def prepared(world):
    headers = world.all_of("demo/admin", NAME)
    push_blob(world, headers, BLOB)
    return headers


def test_a_tag_that_moves_while_it_is_pulled_is_found_where_it_has_moved_to(world):
    headers = prepared(world)
    push_manifest(world, headers, IMAGE, "v1")
    newer = image(annotations={"build": "2"})
    find_tag = world.table.find_tag
    asked: list[str] = []

    def moving(repository, tag):
        found = find_tag(repository, tag)
        if not asked:
            asked.append(tag)
            push_manifest(world, headers, newer, "v1")
            deleted = world.registry.delete(f"/v2/{NAME}/manifests/{IMAGE_DIGEST}", headers=headers)
            require_success(deleted, 202)
        return found

    world.table.find_tag = moving
    response = world.registry.get(f"/v2/{NAME}/manifests/v1", headers=headers)
    require_success(response, 200)
    assert response.content == newer


def test_a_manifest_that_is_deleted_while_it_is_pushed_is_there_in_the_end(world):
    headers = prepared(world)
    put_tags = world.table.put_tags
    deleted: list[bool] = []

    def interrupted(repository, tags, pushed, may_move):
        if not deleted:
            deleted.append(world.table.delete_manifest(repository, pushed.digest))
        return put_tags(repository, tags, pushed, may_move)

    world.table.put_tags = interrupted
    push_manifest(world, headers, IMAGE, "v1")
    assert deleted == [True]
    assert world.registry.get(f"/v2/{NAME}/manifests/v1", headers=headers).content == IMAGE


def test_pushing_a_large_manifest_again_stores_nothing_more(world):
    headers = prepared(world)
    for tag in ("v1", "v2", "v1"):
        push_manifest(world, headers, LARGE, tag)
    assert len(world.storage.list_keys("manifests/", 10)) == 1


def test_the_largest_referrer_fits_one_answer_of_a_function(world):
    headers = prepared(world)
    push_manifest(world, headers, IMAGE, "v1")
    subject = {
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "digest": IMAGE_DIGEST,
        "size": len(IMAGE),
    }
    document = {**json.loads(image(subject=subject)), "annotations": {}}
    room = MAX_MANIFEST_SIZE - 20 - len(json.dumps(document, separators=(",", ":")))
    # Each is of six digits: as many small ones as there is room for.
    document["annotations"] = {f"{number:06x}": "" for number in range(room // len('"000000":"",'))}
    content = json.dumps(document, separators=(",", ":")).encode()
    assert MAX_MANIFEST_SIZE - 50 < len(content) <= MAX_MANIFEST_SIZE
    push_manifest(world, headers, content)
    answer = world.registry.get(f"/v2/{NAME}/referrers/{IMAGE_DIGEST}", headers=headers)
    require_success(answer, 200)
    assert [item["digest"] for item in answer.json()["manifests"]] == [sha256(content)]
    # Base64 makes four bytes of three, and a function answers with at most 6 MiB.
    assert len(answer.content) * 4 // 3 < 6 * 1024 * 1024 - 10_000


def test_a_finished_upload_is_finished_although_its_chunks_cannot_be_removed(world, monkeypatch):
    headers = world.all_of("demo/admin", NAME)

    def down(keys):
        raise Unavailable("the store is down")

    location = world.registry.post(f"/v2/{NAME}/blobs/uploads/", headers=headers).headers["Location"]
    require_success(world.registry.patch(location, headers=headers, content=BLOB), 202)
    monkeypatch.setattr(world.storage, "delete", down)
    require_success(world.registry.put(location, params={"digest": DIGEST}, headers=headers), 201)
    other = world.registry.post(f"/v2/{NAME}/blobs/uploads/", headers=headers).headers["Location"]
    require_success(world.registry.patch(other, headers=headers, content=b"given up"), 202)
    require_success(world.registry.delete(other, headers=headers), 204)


def test_a_refused_first_push_leaves_no_repository(world):
    headers = world.all_of("demo/admin", NAME)
    refused = world.registry.post(
        f"/v2/{NAME}/blobs/uploads/", params={"digest": DIGEST}, headers=headers, content=b"other content"
    )
    assert refused.status_code == 400
    assert world.registry.get(f"/v2/{NAME}/tags/list", headers=headers).status_code == 404
