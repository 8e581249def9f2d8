"""Accounts of a running local cloud, made as its owner would: with ``moorage-admin``."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.clients.cloud import Account, Cloud

ADMIN = Path(sys.executable).with_name("moorage-admin")


def viewer(cloud: Cloud) -> Account:
    """A service account in no group but ``viewers``: it may see that images exist, and neither pull nor push them."""
    _admin(cloud, "serviceaccount", "create", cloud.org, "looker", "--group", "viewers")
    made = json.loads(_admin(cloud, "key", "create", cloud.org, "looker", "default"))
    return Account(made["username"], made["key"])


def rival(cloud: Cloud) -> Account:
    """The superuser of an organisation ``other``."""
    _admin(cloud, "organisation", "create", "other")
    _admin(cloud, "serviceaccount", "create", "other", "admin", "--group", "superusers")
    made = json.loads(_admin(cloud, "key", "create", "other", "admin", "default"))
    return Account(made["username"], made["key"])


def _admin(cloud: Cloud, *words: str) -> str:
    settings = json.loads((cloud.state / "admin-environment.json").read_text("utf-8"))
    finished = subprocess.run(
        [ADMIN, *words],
        env={**os.environ, **settings},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    if finished.returncode != 0:
        raise RuntimeError(f"moorage-admin {' '.join(words)}: {finished.stderr}")
    return finished.stdout
