"""What a push costs by ``moorage image push``, by skopeo and by docker: time, processors, requests."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench.cloud import Cloud
from bench.figures import Figure, alternating, ratio
from tests.clients import docker, image, recorder

PART = "push of a 1 GB image by the command"
ROUNDS = 3
LAYERS = 8
_LAYER_BYTES = 125_000_000
# Requests do not depend on how long layers are, as long as none comes in parts.
_COUNTED_BYTES = 1_000_000
_REPOSITORY = "pushed"

COMMAND: tuple[str, ...] = (str(Path(sys.executable).with_name("moorage")), "image", "push")

CLIENTS = ("moorage image push", "skopeo copy", "docker push")
MOORAGE, SKOPEO, DOCKER = CLIENTS
_BOUNDS = {
    MOORAGE: "SeaweedFS and one relaying process, on two processors",
    SKOPEO: "SeaweedFS, one relaying process, ingest and skopeo's SHA-256",
    DOCKER: "docker's gzip and SHA-256, and beside it SeaweedFS, one relaying process and ingest",
}
_OWN = {
    MOORAGE: "Python's start; the system moves the bytes",
    SKOPEO: "SHA-256 of each byte",
    DOCKER: "with the daemon's: gzip and SHA-256 of each byte",
}
_ASKED = {
    MOORAGE: "two for each blob; a token, whether the image is there, the manifest",
    SKOPEO: "those of the protocol; of each blob in several repositories, whether it is there",
    DOCKER: "those of the protocol",
}


@dataclass(frozen=True, slots=True)
class Spent:
    """What a program took: seconds on the clock, and of processors, in its own code and the system's."""

    wall: float
    cpu: float


def measure(
    cloud: Cloud,
    folder: Path,
    note: Callable[[str], None],
    rounds: int = ROUNDS,
    layer_bytes: int = _LAYER_BYTES,
) -> list[Figure]:
    """Pushes of layers of noise, others each time; nothing of them is left when the next begins."""
    with (
        tempfile.TemporaryDirectory(dir=folder) as home,
        docker.engine(Path(home), folder / "docker.log") as engine,
    ):
        pushes = Pushes(cloud, folder, engine, layer_bytes)
        note("counting requests")
        requests = {client: pushes.requests(client) for client in CLIENTS}
        runs = alternating(pushes.contestants(), rounds, note)
    return figures(runs, pushes.cpu, requests)


def figures(
    runs: Mapping[str, Sequence[float]], cpu: Mapping[str, Sequence[float]], requests: Mapping[str, int]
) -> list[Figure]:
    """The runs, and the ratios to which the command is held."""
    made = [Figure(PART, client, "s", tuple(runs[client]), _BOUNDS[client]) for client in CLIENTS]
    made += [
        Figure(PART, f"{client}: CPU of the client", "s", tuple(cpu[client]), _OWN[client])
        for client in CLIENTS
    ]
    made += [
        Figure(PART, f"{client}: requests of the client", "", (float(requests[client]),), _ASKED[client])
        for client in CLIENTS
    ]
    for other in (SKOPEO, DOCKER):
        name = f"{MOORAGE} / {other}"
        made.append(ratio(PART, name, runs[MOORAGE], runs[other], "1 is as fast"))
        made.append(ratio(PART, f"{name}: CPU", cpu[MOORAGE], cpu[other], "1 is as much"))
    return made


@dataclass
class Pushes:
    """The contestants; ``cpu`` is what is measured beside."""

    cloud: Cloud
    folder: Path
    engine: docker.Engine
    layer_bytes: int
    cpu: dict[str, list[float]] = field(default_factory=lambda: {client: [] for client in CLIENTS})

    def contestants(self) -> dict[str, Callable[[], float]]:
        """By name; each makes an image, times its push, and clears the disk."""
        return {client: lambda client=client: self._run(client) for client in CLIENTS}  # type: ignore[misc]

    def requests(self, client: str) -> int:
        """How many requests a push of an image that is new takes: at the front door, and at the store."""
        before = self._stored()
        with recorder.between(self.cloud.endpoint) as between, between.noting() as noted:
            self._push(client, between.host, _COUNTED_BYTES)
        return len(noted) + self._stored() - before

    def _run(self, client: str) -> float:
        host = self.cloud.endpoint.removeprefix("http://")
        spent = self._push(client, host, self.layer_bytes)
        self.cpu[client].append(spent.cpu)
        return spent.wall

    def _push(self, client: str, host: str, layer_bytes: int) -> Spent:
        push = {MOORAGE: self._by_moorage, SKOPEO: self._by_skopeo, DOCKER: self._by_docker}[client]
        with tempfile.TemporaryDirectory(dir=self.folder) as name:
            try:
                made = image.build(Path(name), secrets.token_hex(8), [layer_bytes] * LAYERS)
                return push(made, Path(name), host)
            finally:
                self.cloud.drop_objects()

    def _by_moorage(self, made: image.Image, folder: Path, host: str) -> Spent:
        environment = {
            "MOORAGE_HOME": str(folder / "home"),
            "MOORAGE_ENDPOINT": f"http://{host}",
            "MOORAGE_ORG": "demo",
            "MOORAGE_TOKEN": self.cloud.password,
        }
        words = (*COMMAND, f"oci:{made.layout}", f"{_REPOSITORY}:{image.TAG}")
        os.sync()
        return spent(words, {**os.environ, **environment})

    def _by_skopeo(self, made: image.Image, folder: Path, host: str) -> Spent:
        self._log_in(folder / "auth.json", host)
        words = ("skopeo", "--insecure-policy", "copy", "--quiet", "--dest-tls-verify=false")
        target = f"docker://{host}/demo/{_REPOSITORY}:{image.TAG}"
        os.sync()
        return spent(
            (*words, "--dest-authfile", str(folder / "auth.json"), f"oci:{made.layout}:{image.TAG}", target)
        )

    def _by_docker(self, made: image.Image, _: Path, host: str) -> Spent:
        reference = f"{host}/demo/{_REPOSITORY}:{image.TAG}"
        self._log_in(self.engine.config / "config.json", host)
        archive = made.docker_archive
        name = self.engine.must("load", "--quiet", "--input", archive).output.removeprefix("Loaded image: ")
        archive.unlink()
        self.engine.must("tag", name, reference)
        os.sync()
        daemon = int(self.engine.socket.with_name("pid").read_text("ascii"))
        before = cpu_of_tree(daemon)
        words = (docker.CLIENT, "--host", f"unix://{self.engine.socket}", "--config", str(self.engine.config))
        try:
            client = spent((*words, "push", "--quiet", reference))
            return Spent(client.wall, client.cpu + cpu_of_tree(daemon) - before)
        finally:
            self.engine.must("rmi", name, reference)

    def _log_in(self, file: Path, host: str) -> None:
        # Written, because logging in would ask the registry as well.
        file.write_text(json.dumps({"auths": {host: {"auth": self.cloud.basic}}}), "utf-8")

    def _stored(self) -> int:
        """How many presigned PUTs of this way the store was sent until now."""
        journal = self.cloud.state / "traffic" / "S3.jsonl"
        if not journal.exists():
            return 0
        asked = map(json.loads, journal.read_text("utf-8").splitlines())
        return sum(each["method"] == "PUT" and "/presigned/" in each["path"] for each in asked)


def spent(words: Sequence[str], environment: Mapping[str, str] | None = None) -> Spent:
    """What a program takes, with the processes that it starts and waits for.

    Raises:
        RuntimeError: it fails.
    """
    with tempfile.TemporaryFile() as output:
        started = time.perf_counter()
        process = subprocess.Popen(
            words, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
        )
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            output.seek(0)
            raise RuntimeError(f"{words[0]}: {process.returncode} {output.read()[-1000:]!r}")
    return Spent(wall, usage.ru_utime + usage.ru_stime)


def cpu_of_tree(pid: int) -> float:
    """Seconds of processors that a process and its descendants have taken, those that have ended as well."""
    parents: dict[int, int] = {}
    ticks: dict[int, int] = {}
    for each in Path("/proc").glob("[0-9]*/stat"):
        try:
            # The name may have spaces, and ends with the last parenthesis.
            fields = each.read_text("utf-8", "replace").rpartition(")")[2].split()
        except OSError:
            continue
        parents[int(each.parent.name)] = int(fields[1])
        ticks[int(each.parent.name)] = sum(map(int, fields[11:15]))
    wanted, found = {pid}, {pid}
    while found:
        found = {child for child, parent in parents.items() if parent in found} - wanted
        wanted |= found
    return sum(ticks.get(each, 0) for each in wanted) / os.sysconf("SC_CLK_TCK")
