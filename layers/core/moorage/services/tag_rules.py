"""Which tags may move: what an organisation says of its repositories, asked only when a tag would."""

from __future__ import annotations

from collections.abc import Callable

from moorage.domain.errors import NameUnknown, TagImmutable
from moorage.domain.immutable_tags import ImmutableTags
from moorage.domain.names import Repository
from moorage.domain.resources import Kind
from moorage.ports import Resources


class TagRules:
    """The rules of organisations about tags that stay where they are."""

    def __init__(self, resources: Resources) -> None:
        self._resources = resources

    def of(self, repository: Repository) -> Callable[[str], None]:
        """Refuses tags that must not move, by ``TagImmutable``. The rules are read when it is asked about the
        first tag, and hold for all that it is asked about; ``NameUnknown`` when the organisation is gone.
        """
        rules: ImmutableTags | None = None

        def refuse_immutable(tag: str) -> None:
            nonlocal rules
            rules = rules or self._read(repository.org)
            if rules.is_immutable(repository.image, tag):
                raise TagImmutable(
                    f"the tag {tag} is immutable in this repository and names another image already; "
                    "push under another tag, or delete this one first"
                )

        return refuse_immutable

    def _read(self, org: str) -> ImmutableTags:
        organisation = self._resources.find(Kind.ORG, org, org)
        if organisation is None:
            raise NameUnknown("there is no such repository")
        return ImmutableTags.parse(organisation.spec.get("immutableTags"))
