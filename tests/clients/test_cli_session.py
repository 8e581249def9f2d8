"""The recorded session of the command with all that it types, a pull by skopeo through the credential helper among it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.clients.cloud import Cloud
from tests.docs.test_cli_session import told, variables
from tests.docs.transcript import replay

pytestmark = pytest.mark.timeout(420)


def test_session_prints_what_the_page_says(registry_cloud: Cloud, tmp_path: Path) -> None:
    transcript = told("session", registry_cloud.state, tmp_path)
    (tmp_path / "run").mkdir()
    settings = {**variables(), "XDG_RUNTIME_DIR": str(tmp_path / "run")}
    typed = replay(transcript, tmp_path, clients=True, **settings)
    assert len(typed) == len(list(transcript.typed()))
    assert any(each.needs_clients for each in typed)
