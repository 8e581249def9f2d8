"""Cells that are left empty: what a client has no command for, why, and where the client says so itself; and what is
not tried with it, and why.
"""

from __future__ import annotations

from dataclasses import dataclass

from tests.clients.roster import ONE_PUT


@dataclass(frozen=True, slots=True)
class Absent:
    """Why a client is not tried in a case. The ``--help`` of ``command`` holds no word of ``lacks``, and, so that this
    is no accident, the word ``has``; where nothing is lacking, the reason is not the client's.
    """

    reason: str
    command: tuple[str, ...] = ()
    lacks: tuple[str, ...] = ()
    has: str = ""


_NO_ARTIFACTS = "pushes images only"
_IMAGES = "manifest"
_REFERRERS = ("subject", "referrer", "artifact")
_CHART = ("chart",)

_DOCKER = ("docker", "docker-containerd")
_CTR = ("ctr", "ctr-1.7")
_WITHOUT_INGEST = ("large layer, no ingest", "20 MB layer, no ingest")


def _of(clients: tuple[str, ...], case: str, absent: Absent) -> dict[tuple[str, str], Absent]:
    return {(client, case): absent for client in clients}


ABSENT: dict[tuple[str, str], Absent] = {
    **_of(_CTR, "login", Absent("takes the account with each command", (), ("login",), "images")),
    **_of(_DOCKER, "referrers", Absent(_NO_ARTIFACTS, ("manifest",), _REFERRERS, "annotate")),
    **_of(_CTR, "referrers", Absent(_NO_ARTIFACTS, ("images",), _REFERRERS, "push")),
    ("podman", "referrers"): Absent(_NO_ARTIFACTS, (), _REFERRERS, _IMAGES),
    ("buildah", "referrers"): Absent(_NO_ARTIFACTS, (), _REFERRERS, _IMAGES),
    ("skopeo", "referrers"): Absent("copies what a name leads to", ("copy",), _REFERRERS, "--all"),
    ("crane", "referrers"): Absent("knows no subject", (), _REFERRERS[:2], _IMAGES),
    ("helm", "referrers"): Absent("has provenance files instead", ("push",), _REFERRERS, "chart"),
    **_of(_DOCKER, "chart", Absent("knows no charts", (), _CHART, "push")),
    **_of(_CTR, "chart", Absent("knows no charts", ("images",), _CHART, "push")),
    ("podman", "chart"): Absent("knows no charts", (), _CHART, "push"),
    ("buildah", "chart"): Absent("knows no charts", (), _CHART, "push"),
    ("skopeo", "chart"): Absent("knows no charts", (), _CHART, "copy"),
    ("crane", "chart"): Absent("knows no charts", (), _CHART, "push"),
    ("oras", "chart"): Absent("knows no charts, only files", (), _CHART, "push"),
    ("regctl", "chart"): Absent("knows no charts, only files", (), _CHART, "artifact"),
    **_of(_DOCKER, "list tags", Absent("lists what its engine holds", (), ("tags", "list-tags"), "images")),
    **_of(
        _CTR, "list tags", Absent("lists what its daemon holds", ("images",), ("tags", "remote list"), "list")
    ),
    ("buildah", "list tags"): Absent("lists what its store holds", (), ("tags", "search"), "images"),
    ("helm", "list tags"): Absent(
        "lists tags only to find the newest, in the case chart", (), ("tag",), "pull"
    ),
    **_of(_DOCKER, "delete", Absent("deletes from its engine", (), ("delete",), "rmi")),
    **_of(
        _CTR, "delete", Absent("deletes from its daemon", ("images", "rm"), ("registry", "remote"), "images")
    ),
    ("podman", "delete"): Absent("deletes from its store", (), ("delete",), "rmi"),
    ("buildah", "delete"): Absent("deletes from its store", (), ("delete",), "rmi"),
    ("helm", "delete"): Absent("deletes no chart from a registry", (), ("delete",), "push"),
    ("helm", "mount"): Absent("pushes files of this machine", ("push",), ("mount", "copy"), "chart"),
    ("helm", "mount denied"): Absent("pushes files of this machine", ("push",), ("mount", "copy"), "chart"),
    ("helm", "index"): Absent("has charts for no platform", (), ("index of", "platform"), "chart"),
    **{
        (client, case): absent
        for case in _WITHOUT_INGEST
        for client, absent in (
            *((client, Absent("sends a PUT past the API, with ingest and without")) for client in ONE_PUT),
            ("buildah", Absent("pushes with the code that podman pushes with")),
        )
    },
    **_of(
        ("docker-containerd", "ctr-1.7", "podman", "buildah", "crane", "regctl"),
        "700 MB layer",
        Absent("is tried by `make clients-nightly`"),
    ),
    ("helm", "700 MB layer"): Absent("takes no chart of more than 100 MiB"),
}
