"""`python -m local`: the whole registry on this machine.

Environment: PORT (5000), S3_PORT (any free one), STATE (.local/state), SAVE_SECONDS (30), DOMAIN (none),
FRONT_DOOR (on), PULLS (s3), INGEST (off; `make run` turns it on), SECOND_STORE (second; empty for none). For
tests: S3_EVENTS, which disturbs events, TRAFFIC=1, which counts what enters the functions, and
DROP_CHECKSUM=1, which loses the checksum of an upload between CloudFront and S3.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from local import cloud
from local.disturbance import Disturbance
from local.emulators import ROOT
from local.intrinsics import TemplateError
from local.ports import PortTakenError
from local.processes import StartError
from local.state import StateInUseError

_DEFAULTS = {"PORT": "5000"}
_PORTS = range(65536)


def main() -> int:
    """Serve until a signal; the exit code is 0 after that, 1 when something did not work."""
    _forget_foreign_settings()
    try:
        cloud.run(_settings(), lambda line: print(line, flush=True))  # noqa: T201
    except KeyboardInterrupt:
        return 0
    except PortTakenError as error:
        return _failed(f"{error}; choose another with PORT= (and S3_PORT=)")
    except (OSError, StartError, StateInUseError, TemplateError, ValueError) as error:
        return _failed(str(error))
    return 0


def _settings() -> cloud.Settings:
    if os.environ.get("PULLS") == "edge" and os.environ.get("FRONT_DOOR") == "off":
        # As the template's rule says, which is not evaluated here.
        raise ValueError("PULLS=edge needs FRONT_DOOR=on")
    if os.environ.get("INGEST") == "on" and os.environ.get("FRONT_DOOR") == "off":
        raise ValueError("INGEST=on needs FRONT_DOOR=on")
    return cloud.Settings(
        root=ROOT,
        state=Path(os.environ.get("STATE") or ROOT / ".local" / "state").absolute(),
        port=_port("PORT") or 0,
        s3_port=_port("S3_PORT"),
        save_seconds=float(os.environ.get("SAVE_SECONDS") or "30"),
        domain=os.environ.get("DOMAIN") or "",
        front_door=os.environ.get("FRONT_DOOR") or "on",
        pulls=os.environ.get("PULLS") or "s3",
        ingest=os.environ.get("INGEST") or "off",
        second_store=os.environ.get("SECOND_STORE", "second"),
        drop_checksum=os.environ.get("DROP_CHECKSUM") == "1",
        s3_events=Disturbance.parse(os.environ.get("S3_EVENTS") or ""),
        traffic=os.environ.get("TRAFFIC") == "1",
    )


def _port(name: str) -> int | None:
    text = os.environ.get(name) or _DEFAULTS.get(name)
    if text is None:
        return None
    if not text.isdecimal() or int(text) not in _PORTS:
        raise ValueError(f"{name} is a port, a number up to {_PORTS[-1]}, not {text!r}")
    return int(text)


def _forget_foreign_settings() -> None:
    """Drop what the user has set for the real AWS, and proxies: this program talks to itself alone."""
    for name in list(os.environ):
        if name.startswith("AWS_") or name.lower().endswith("_proxy"):
            del os.environ[name]
    os.environ |= {"AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull}


def _failed(reason: str) -> int:
    print(f"moorage: {reason}", file=sys.stderr)  # noqa: T201
    return 1


if __name__ == "__main__":
    sys.exit(main())
