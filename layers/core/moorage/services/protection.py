"""Images that are protected keep what they are made of: the manifests that they name, and the blobs."""

from __future__ import annotations

from moorage.domain.digests import Digest
from moorage.domain.errors import ResourceProtected
from moorage.domain.images import refuse_protected
from moorage.domain.names import Repository
from moorage.ports import Images, Manifests

USERS_MAX = 200
"""Manifests that are looked at, up from what is deleted."""


class Protection:
    """Finds the protected images that a manifest or a blob is a part of."""

    def __init__(self, manifests: Manifests, images: Images) -> None:
        self._manifests = manifests
        self._images = images

    def refuse_part(self, repository: Repository, digest: Digest) -> None:
        """Refuse to delete what an image that is protected is made of, at whatever depth. The own tags of a
        manifest are not looked at; whoever deletes it removes them, and looks at them then.

        Raises:
            ResourceProtected: a tag that is protected names a manifest that uses it; or over 200 manifests
                use it, so that this is not known.
        """
        seen, waiting = {digest}, [digest]
        while waiting:
            used = waiting.pop()
            for user in self._users(repository, used):
                if user in seen:
                    continue
                seen.add(user)
                if len(seen) > USERS_MAX + 1:
                    raise ResourceProtected(
                        f"over {USERS_MAX} manifests use it, and one of them may be protected from deletion; "
                        "delete those first that are not needed"
                    )
                self._refuse_tagged(repository, user)
                waiting.append(user)

    def _users(self, repository: Repository, digest: Digest) -> list[Digest]:
        """The manifests that use a digest and are there. Of more than are looked at, not all."""
        recorded = self._manifests.users_of(repository, digest)
        present: list[Digest] = []
        for start in range(0, len(recorded), USERS_MAX):
            wanted = recorded[start : start + USERS_MAX]
            present += self._manifests.find_manifests(repository, wanted)
            if len(present) > USERS_MAX:
                break
        return present

    def _refuse_tagged(self, repository: Repository, digest: Digest) -> None:
        tags = self._manifests.tags_of(repository, digest)
        for record in self._images.find_images([(repository, tag) for tag in tags]):
            if record.digest == digest:
                refuse_protected(repository, record.tag, record.tags)
