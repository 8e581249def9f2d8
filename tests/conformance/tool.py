"""Runs the OCI conformance tool with a configuration that is ours to the last option."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.clients.cloud import ROOT, Account

RESULTS = ROOT / "results" / "conformance"
FINISHED_WITHIN = 400.0

# Switched on in both versions, though the tool leaves them off in 1.1: a case that is off counts as skipped.
_APIS: dict[str, Any] = {
    "ping": True,
    "pull": True,
    "push": True,
    "blobs": {
        "atomic": True,
        "delete": True,
        "digestHeader": True,
        "mountAnonymous": True,
        "uploadCancel": True,
    },
    "manifests": {"atomic": True, "delete": True, "digestHeader": True, "tagParam": True},
    "tags": {"atomic": True, "delete": True, "list": True},
    "referrer": True,
}
# Sparse manifests name layers that were never pushed, and we refuse those.
_DATA = {
    "image": True,
    "index": True,
    "indexList": True,
    "sparse": False,
    "artifact": True,
    "subject": True,
    "subjectMissing": True,
    "artifactList": True,
    "subjectList": True,
    "dataField": True,
    "nondistributable": True,
    "customFields": True,
    "noLayers": True,
    "emptyBlob": True,
    "sha512": True,
}
_WORDS = {
    "mountAnonymous": "MOUNT_ANONYMOUS",
    "digestHeader": "DIGEST_HEADER",
    "uploadCancel": "UPLOAD_CANCEL",
    "tagParam": "TAG_PARAM",
    "indexList": "INDEX_LIST",
    "subjectMissing": "SUBJECT_MISSING",
    "artifactList": "ARTIFACT_LIST",
    "subjectList": "SUBJECT_LIST",
    "dataField": "DATA_FIELD",
    "customFields": "CUSTOM_FIELDS",
    "noLayers": "NO_LAYERS",
    "emptyBlob": "EMPTY_BLOB",
}


@dataclass(frozen=True, slots=True)
class Target:
    """A registry, and how to log in there."""

    endpoint: str
    account: Account
    repositories: tuple[str, str]
    proxy: str = ""
    """What leads to the endpoint when its host name does not."""


def path() -> Path:
    """The tool, as ``make conformance`` builds it.

    Raises:
        FileNotFoundError: it was not built.
    """
    tool = Path(os.environ.get("CONFORMANCE_TOOL", ""))
    if not tool.is_file():
        raise FileNotFoundError("CONFORMANCE_TOOL names no file; run `make conformance`")
    return tool


def configuration(version: str, target: Target, folder: Path) -> dict[str, Any]:
    """What ``results.yaml`` must show as read when every option of a run has reached the tool."""
    # Until 1.1 a blob's digest header was optional, and the target of our redirect cannot send it.
    blobs = {**_APIS["blobs"], "digestHeader": version != "1.1"}
    return {
        "registry": target.endpoint.removeprefix("http://"),
        "tls": "disabled",
        "repo1": target.repositories[0],
        "repo2": target.repositories[1],
        "username": "***",
        "password": "***",
        "cacheAuth": True,
        "logging": "warn",
        "apis": {**_APIS, "blobs": blobs},
        "data": _DATA,
        "roData": {"tags": [], "manifests": [], "blobs": [], "referrers": []},
        "resultsDir": str(folder),
        "version": version,
        "commit": "unknown",
    }


def environment(version: str, target: Target, folder: Path) -> dict[str, str]:
    """The same configuration as the variables that the tool reads."""
    config = configuration(version, target, folder)
    return {
        "OCI_REGISTRY": config["registry"],
        "OCI_TLS": config["tls"],
        "OCI_REPO1": config["repo1"],
        "OCI_REPO2": config["repo2"],
        "OCI_USERNAME": target.account.username,
        "OCI_PASSWORD": target.account.password,
        "OCI_CACHE_AUTH": "true",
        "OCI_LOG": config["logging"],
        "OCI_RESULTS_DIR": config["resultsDir"],
        "OCI_VERSION": config["version"],
        **({"HTTP_PROXY": target.proxy} if target.proxy else {}),
        **_variables("OCI_API", config["apis"]),
        **_variables("OCI_DATA", config["data"]),
    }


def run(version: str, target: Target, folder: Path) -> int:
    """Run the tool, its reports and its output in ``folder``; its exit status, which decides nothing."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    with (folder / "output.txt").open("wb") as output:
        # In an empty folder, with no variable but these: neither may bring options that nobody wrote here.
        return subprocess.run(
            [path()],
            cwd=folder,
            env=environment(version, target, folder),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            timeout=FINISHED_WITHIN,
            check=False,
        ).returncode


def _variables(prefix: str, options: dict[str, Any]) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in options.items():
        variable = f"{prefix}_{_WORDS.get(name, name.upper())}"
        if isinstance(value, dict):
            found.update(_variables(variable, value))
        else:
            found[variable] = str(value).lower()
    return found
