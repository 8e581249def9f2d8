"""Every client with a layer of 700 MB and some with one of 3 GB: how long it takes, and how much memory each of our
processes has had at most.
"""

from __future__ import annotations

import shutil
import subprocess

import pytest

from tests.clients import cloud, command, memory
from tests.clients.carrying import carry
from tests.clients.cloud import ROOT
from tests.clients.command import Outcome
from tests.clients.folders import named_for_clients
from tests.clients.matrix import CLIENTS

RESULTS = ROOT / "results" / "clients-nightly"
TABLE = RESULTS / "summary.md"
SIZES = {"700 MB": (5_000_000, 700_000_000), "3 GB": (5_000_000, 3_000_000_000)}
# helm takes no chart of more than 100 MiB.
CASES = [
    *((client, "700 MB") for client in CLIENTS if client != "helm"),
    *((client, "3 GB") for client in ("skopeo", "docker", "ctr")),
]
PROCESSES = (
    "local cloud",
    "RegistryFunction",
    "TokenFunction",
    "UploadFinalizerFunction",
    "ingest",
    "SeaweedFS",
    "ministack",
)
_MIB = 1024 * 1024
# What an environment of it has for all its uploads together.
INGEST_BYTES = 200 * _MIB

pytestmark = [pytest.mark.nightly, pytest.mark.timeout(3600)]


@pytest.fixture(scope="module", autouse=True)
def table() -> None:
    """An empty table."""
    shutil.rmtree(RESULTS, ignore_errors=True)
    RESULTS.mkdir(parents=True)
    machine = subprocess.run(["nproc"], capture_output=True, text=True, check=True).stdout.strip()
    heads = ["client", "layer", "push, s", "pull, s", *(f"{name}, MiB" for name in PROCESSES)]
    TABLE.write_text(
        f"Seconds of a push and a pull, and peaks of memory, on {machine} cores.\n\n"
        f"| {' | '.join(heads)} |\n| --- | --- |{' ---: |' * (len(heads) - 2)}\n",
        "utf-8",
    )


@pytest.mark.parametrize(("client", "size"), CASES)
def test_layer_goes_past_the_functions_and_comes_back(
    client: str, size: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "FINISHED_WITHIN", 1800.0)
    outcomes: list[Outcome] = []
    try:
        # A cloud for each, so that the peaks are its own.
        with named_for_clients() as folder, cloud.running(folder) as running:
            carried = carry(client, running, SIZES[size], RESULTS, outcomes, repository=client)
            peaks = memory.peaks(running.pid)
    finally:
        with (RESULTS / f"{client}.log").open("a", encoding="utf-8") as log:
            log.writelines([f"== {size}\n", *map(str, outcomes), "\n"])
    seconds = [f"{outcome.seconds:.1f}" for outcome in outcomes]
    taken = [f"{peaks[name] / _MIB:.0f}" if name in peaks else "—" for name in PROCESSES]
    cells = [client, size, *seconds, *taken]
    line = f"| {' | '.join(cells)} |\n"
    with TABLE.open("a", encoding="utf-8") as written:
        written.write(line)
    with capsys.disabled():
        print(f"\n{line}", end="")
    assert carried.entered == 0
    assert peaks["ingest"] < INGEST_BYTES
