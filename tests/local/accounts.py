"""Organisations of a running local cloud beside the first, made with `moorage-admin`."""

import json
import os
import subprocess
import sys
from pathlib import Path

ADMIN = Path(sys.executable).with_name("moorage-admin")


def superuser(cloud, org, store="default"):
    """The login of somebody who may do everything in an organisation that is new, and lives in this store."""
    admin(cloud, "organisation", "create", org, "--store", store)
    admin(cloud, "serviceaccount", "create", org, "admin", "--group", "superusers")
    made = admin(cloud, "key", "create", org, "admin", "default")
    return {"username": made["username"], "password": made["key"]}


def admin(cloud, *words):
    """What `moorage-admin` answers."""
    environment = json.loads((cloud.state / "admin-environment.json").read_text("utf-8"))
    finished = subprocess.run(
        [ADMIN, *words],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    return json.loads(finished.stdout)
