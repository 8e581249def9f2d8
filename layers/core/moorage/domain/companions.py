"""Tags that name what belongs to other content by the digest of that: tools look for signatures so."""

from __future__ import annotations

import re

from moorage.domain.digests import Algorithm, Digest

_ENDINGS = ("", ".sig", ".att", ".sbom")
# As much of a digest as the tag of a long one has room for.
_ENCODED_LENGTH = 64

_COMPANION = re.compile(
    rf"(?:{'|'.join(Algorithm)})-[0-9a-f]{{{_ENCODED_LENGTH}}}(?:{'|'.join(map(re.escape, _ENDINGS))})",
    re.ASCII,
)


def fallback_tag(subject: Digest) -> str:
    """The tag under which clients of registries without a list of referrers keep one for ``subject``.

    https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#referrers-tag-schema
    """
    return f"{subject.algorithm}-{subject.encoded[:_ENCODED_LENGTH]}"


def companion_tags(digest: Digest) -> list[str]:
    """The tags under which tools look for what belongs to the content with this digest."""
    return [fallback_tag(digest) + ending for ending in _ENDINGS]


def is_companion_tag(tag: str) -> bool:
    """Whether a tag has the form of one under which tools look for what belongs to other content."""
    return _COMPANION.fullmatch(tag) is not None
