"""The emulators of AWS: SeaweedFS is the S3, ministack everything else."""

from __future__ import annotations

import json
import os
import secrets
import signal
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from local import ports
from local.processes import Child, StartError, stop_all, stop_leftovers
from local.state import write_private

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from local.webhook import Webhook

ROOT = Path(__file__).resolve().parents[1]
REGION = "us-east-1"
ACCOUNT = "000000000000"

_ENVIRONMENT = ROOT / ".venv-emulators"
_READY_SECONDS = 60.0
_SAVE_SECONDS = 30.0
# After SIGTERM its filer waits 15 s for a stream that it holds to itself. Nothing is written meanwhile:
# volumes and index are written through at each request, so killing it then loses nothing.
_SEAWEEDFS_STOP_SECONDS = 2.0


@dataclass(frozen=True)
class Emulators:
    """Running emulators and how to reach them."""

    aws_endpoint_url: str
    s3_endpoint_url: str
    access_key: str
    secret_key: str
    region: str = REGION
    children: tuple[Child, ...] = ()

    def save(self) -> None:
        """Have ministack save its state now."""
        with _direct().open(f"{self.aws_endpoint_url}/_moorage/save", timeout=_SAVE_SECONDS):
            pass

    def ensure_running(self) -> None:
        """Check that both are alive.

        Raises:
            StartError: one has ended.
        """
        for child in self.children:
            child.ensure_running()

    @property
    def environment(self) -> dict[str, str]:
        """What an AWS SDK needs in its environment to talk to them."""
        return self.environment_with_s3(self.s3_endpoint_url)

    def environment_with_s3(self, s3_endpoint_url: str) -> dict[str, str]:
        """The same, with S3 reached through another address."""
        return {
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_REGION": self.region,
            "AWS_DEFAULT_REGION": self.region,
            "AWS_ENDPOINT_URL": self.aws_endpoint_url,
            "AWS_ENDPOINT_URL_S3": s3_endpoint_url,
            # An SDK puts the account before the host, which must be a name for that.
            "AWS_ENDPOINT_URL_CLOUDFRONT_KEYVALUESTORE": self.aws_endpoint_url.replace(
                ports.LOOPBACK, "localhost"
            ),
        }


@contextmanager
def running(
    folder: Path, *, save_seconds: float = 30.0, keep: bool = True, webhook: Webhook | None = None
) -> Iterator[Emulators]:
    """Both emulators with their data in this folder, ready to use; they are stopped on the way out.

    They save their state every `save_seconds`, and when they are stopped. With `keep=False` they are killed
    instead, which is quicker and leaves the folder worthless. The webhook is told what is stored.

    Raises:
        StartError: one of them is not installed, ended, or did not get ready.
    """
    with starting(folder, save_seconds=save_seconds, keep=keep, webhook=webhook) as await_ready:
        yield await_ready()


@contextmanager
def starting(
    folder: Path, *, save_seconds: float = 30.0, keep: bool = True, webhook: Webhook | None = None
) -> Iterator[Callable[[], Emulators]]:
    """Like `running`, for callers with something else to do until they wait for the emulators."""
    if not (_ENVIRONMENT / "bin" / "python").exists():
        raise StartError(f"{_ENVIRONMENT} is missing; `make run` installs it")
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    stop_leftovers(folder)
    access_key, secret_key = _keys(folder)
    aws_port, *free = ports.free(10)
    aws = f"http://{ports.LOOPBACK}:{aws_port}"
    s3 = f"http://{ports.LOOPBACK}:{free[0]}"
    children: list[Child] = []
    if webhook:
        webhook.configure(folder)

    def await_ready() -> Emulators:
        await_ready_at(children[1], f"{aws}/_ministack/health")
        await_ready_at(children[0], f"{s3}/healthz")
        # It answers before it has found its own data again, and until then what is there seems lost.
        volumes = len(list((folder / "seaweedfs").glob("*.dat")))
        master = f"http://{ports.LOOPBACK}:{free[1]}/dir/status"
        await_ready_at(children[0], master, lambda status: _volumes(status) >= volumes)
        return Emulators(aws, s3, access_key, secret_key, children=tuple(children))

    try:
        children.append(_seaweedfs(folder, free, access_key, secret_key))
        children.append(_ministack(folder, aws_port, save_seconds))
        yield await_ready
    finally:
        if not keep:
            for child in children:
                child.kill()
        stop_all(children)
        ports.give_back(aws_port, *free)
        _remove_sockets(free)


def _remove_sockets(seaweedfs_ports: Iterable[int]) -> None:
    """Remove the sockets that SeaweedFS puts beside its gRPC ports, in a folder that cannot be chosen."""
    for port in seaweedfs_ports:
        for left in Path("/tmp").glob(f"seaweedfs-*-grpc-{port}.sock"):  # noqa: S108
            left.unlink(missing_ok=True)


def _keys(folder: Path) -> tuple[str, str]:
    """The access key of this folder: any program of another user on this machine can reach the ports."""
    path = folder / "access-key.json"
    if not path.exists():
        write_private(path, json.dumps({"id": "moorage-local", "secret": secrets.token_urlsafe(30)}))
    key = json.loads(path.read_text("utf-8"))
    return key["id"], key["secret"]


def _seaweedfs(folder: Path, free: list[int], access_key: str, secret_key: str) -> Child:
    (folder / "seaweedfs").mkdir(exist_ok=True, mode=0o700)
    identity = {
        "name": "local",
        "credentials": [{"accessKey": access_key, "secretKey": secret_key}],
        "actions": ["Admin", "Read", "Write", "List", "Tagging"],
    }
    write_private(folder / "seaweedfs-s3.json", json.dumps({"identities": [identity]}))
    s3, master, volume, filer, s3_grpc, master_grpc, volume_grpc, filer_grpc, metrics = free
    # Paths are relative to the child's folder: commas, which a path may hold, would separate several folders,
    # and the path of a socket has at most 107 bytes.
    # Every port is named: by default each HTTP port also opens itself plus 10000, and two more beside.
    options = {
        "ip": ports.LOOPBACK,
        "ip.bind": ports.LOOPBACK,
        "dir": "seaweedfs",
        "filer": "true",
        "s3": "true",
        "s3.config": "seaweedfs-s3.json",
        "s3.port": s3,
        "s3.port.grpc": s3_grpc,
        "s3.port.iceberg": 0,
        "s3.port.lance": 0,
        "master.port": master,
        "master.port.grpc": master_grpc,
        "master.telemetry": "false",
        # Ports differ from start to start, so what was elected under the last ones means nothing.
        "master.resumeState": "false",
        "master.volumeSizeLimitMB": 1024,
        "volume.port": volume,
        "volume.port.grpc": volume_grpc,
        "volume.max": 0,
        "volume.preStopSeconds": 0,
        "filer.port": filer,
        "filer.port.grpc": filer_grpc,
        "filer.localSocket": "filer.sock",
        "s3.localSocket": "s3.sock",
        # What it counts itself: requests and bytes of each bucket.
        "metricsPort": metrics,
    }
    command: list[str | Path] = [_ENVIRONMENT / "bin" / "weed", "-logtostderr", "server"]
    command += [f"-{name}={value}" for name, value in options.items()]
    return Child(
        "seaweedfs",
        command,
        _inherited(),
        folder,
        stop_seconds=_SEAWEEDFS_STOP_SECONDS,
        orphaned=signal.SIGKILL,
    )


def ministack_settings(folder: Path, port: int) -> dict[str, str]:
    """What every ministack is told by its environment: where it listens, and that its data is in `folder`."""
    scratch = folder / "tmp"
    scratch.mkdir(exist_ok=True, mode=0o700)
    return {
        "BIND_HOST": ports.LOOPBACK,
        "GATEWAY_PORT": str(port),
        "MINISTACK_HOST": "localhost",
        "AWS_DEFAULT_REGION": REGION,
        # These two open ports on all interfaces, whatever BIND_HOST says.
        "IOT_MTLS_ENABLED": "0",
        "SFTP_ENABLED": "0",
        "LAMBDA_EXECUTOR": "local",
        "STATE_DIR": str(folder / "ministack"),
        "TMPDIR": str(scratch),
    }


def _ministack(folder: Path, port: int, save_seconds: float) -> Child:
    environment = (
        _inherited()
        | ministack_settings(folder, port)
        | {"PERSIST_STATE": "1", "MOORAGE_SAVE_SECONDS": str(save_seconds)}
    )
    launcher = ROOT / "local" / "ministack_launcher.py"
    return Child("ministack", [_ENVIRONMENT / "bin" / "python", "-I", launcher], environment, folder)


def _inherited() -> dict[str, str]:
    """The few variables that a child keeps: a stray AWS setting of the user must not reach it."""
    return {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TZ") if name in os.environ}


def _direct() -> urllib.request.OpenerDirector:
    """Opens addresses of this machine, whatever proxies are set."""
    return urllib.request.build_opener(urllib.request.ProxyHandler({}))


def await_ready_at(child: Child, url: str, is_ready: Callable[[bytes], bool] = lambda _: True) -> None:
    """Wait until a child answers at an address, and says what it has to.

    Raises:
        StartError: it ended, or did not get ready.
    """
    deadline = time.monotonic() + _READY_SECONDS
    while time.monotonic() < deadline:
        child.ensure_running()
        try:
            with _direct().open(url, timeout=2) as answer:
                if answer.status == 200 and is_ready(answer.read()):  # noqa: PLR2004
                    return
        except (urllib.error.URLError, OSError):
            pass
        time.sleep(0.05)
    raise StartError(f"{child.name} was not ready after {_READY_SECONDS:.0f} s; its output is in {child.log}")


def _volumes(status: bytes) -> int:
    """How many volumes SeaweedFS's master knows; -1 before it knows where to put any."""
    topology = json.loads(status)["Topology"]
    nodes = [
        node
        for center in topology.get("DataCenters") or ()
        for rack in center.get("Racks") or ()
        for node in rack.get("DataNodes") or ()
    ]
    return sum(node["Volumes"] for node in nodes) if nodes else -1
