"""The checks that everything rests on, taken out one at a time: for each, named tests have to turn red.

The library is copied and one expression in the copy is changed; the tests then run against the copy, in a process of
their own. The control runs the same tests against an unchanged copy.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LIBRARY = ROOT / "layers/core/moorage"
TESTS_FAILED = 1


@dataclass(frozen=True)
class Mutation:
    """A check, the change that takes it out, and the tests that guard it."""

    check: str
    module: str
    original: str
    changed: str
    guards: tuple[str, ...]


MUTATIONS = (
    Mutation(
        check="signature",
        module="services/verification.py",
        original='"verify_exp": False,',
        changed='"verify_exp": False, "verify_signature": False,',
        guards=(
            "tests/unit/test_verification.py::test_only_es256_by_our_own_key_is_believed_whatever_the_header_says",
        ),
    ),
    Mutation(
        check="link row",
        module="services/settling.py",
        original="return self._blobs.find_link(repository, digest) or self.settle(repository, digest)",
        changed="""key = self._blobs.find_organisation_blob(repository.org, digest)
        stored = self._blobs.find_object(key) if key else None
        return stored and BlobLink(repository, digest, stored.key, stored.size, stored.created)""",
        guards=("tests/mutation/test_guards.py::test_a_blob_of_another_repository_is_absent_here",),
    ),
    Mutation(
        check="digest of a blob",
        module="domain/digests.py",
        original="return sha256.hexdigest() if asked.hexdigest() == self.encoded else None",
        changed="return sha256.hexdigest()",
        guards=(
            "tests/protocol/test_push_blobs.py::test_content_of_another_digest_is_refused_however_it_comes",
        ),
    ),
    Mutation(
        check="digest of a manifest",
        module="services/manifests.py",
        original="if not digest.matches(content):",
        changed="if False:",
        guards=("tests/protocol/test_push_manifests.py::test_another_digest_than_its_own_is_refused",),
    ),
    Mutation(
        check="checksum of a stored object",
        module="services/settling.py",
        original="sha256 = head.sha256 if head.sha256 == digest.encoded else None",
        changed="sha256 = head.sha256",
        guards=("tests/unit/test_linking.py::test_other_content_under_the_key_of_a_digest_is_never_linked",),
    ),
    Mutation(
        check="grant",
        module="web/authentication.py",
        original="if token.allows(repository, action):",
        changed="if True:",
        guards=("tests/mutation/test_guards.py::test_a_token_that_was_refused_does_nothing",),
    ),
)


def outcome(library: Path, tests: tuple[str, ...]) -> subprocess.CompletedProcess[str]:
    """The tests against a library, wherever the project's own is installed."""
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(library), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


@pytest.fixture
def library(tmp_path: Path) -> Path:
    shutil.copytree(LIBRARY, tmp_path / "moorage", ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.check)
def test_without_the_check_its_tests_turn_red(library: Path, mutation: Mutation) -> None:
    module = library / "moorage" / mutation.module
    source = module.read_text("utf-8")
    assert source.count(mutation.original) == 1, "the check has moved: name it anew"
    module.write_text(source.replace(mutation.original, mutation.changed), "utf-8")
    for guard in mutation.guards:
        finished = outcome(library, (guard,))
        assert finished.returncode == TESTS_FAILED, finished.stdout
        # FAILED, not ERROR: red by what it asserts, not because the copy could not be imported.
        assert f"FAILED {guard}" in finished.stdout


def test_with_all_checks_in_place_the_same_tests_are_green(library: Path) -> None:
    finished = outcome(library, tuple(guard for mutation in MUTATIONS for guard in mutation.guards))
    assert finished.returncode == 0, finished.stdout
