"""Cells that cannot exist: what a client has no command for, why, and where the client says so itself."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Absent:
    """Why a client is not tried in a case. The ``--help`` of ``command`` holds no word of ``lacks``, and, so that this
    is no accident, the word ``has``.
    """

    reason: str
    command: tuple[str, ...]
    lacks: tuple[str, ...]
    has: str


_NO_ARTIFACTS = "pushes images only"
_IMAGES = "manifest"
_REFERRERS = ("subject", "referrer", "artifact")
_CHART = ("chart",)

ABSENT: dict[tuple[str, str], Absent] = {
    ("ctr", "login"): Absent("takes the account with each command", (), ("login",), "images"),
    ("docker", "referrers"): Absent(_NO_ARTIFACTS, ("manifest",), _REFERRERS, "annotate"),
    ("ctr", "referrers"): Absent(_NO_ARTIFACTS, ("images",), _REFERRERS, "push"),
    ("podman", "referrers"): Absent(_NO_ARTIFACTS, (), _REFERRERS, _IMAGES),
    ("buildah", "referrers"): Absent(_NO_ARTIFACTS, (), _REFERRERS, _IMAGES),
    ("skopeo", "referrers"): Absent("copies what a name leads to", ("copy",), _REFERRERS, "--all"),
    ("crane", "referrers"): Absent("knows no subject", (), _REFERRERS[:2], _IMAGES),
    ("helm", "referrers"): Absent("has provenance files instead", ("push",), _REFERRERS, "chart"),
    ("docker", "chart"): Absent("knows no charts", (), _CHART, "push"),
    ("ctr", "chart"): Absent("knows no charts", ("images",), _CHART, "push"),
    ("podman", "chart"): Absent("knows no charts", (), _CHART, "push"),
    ("buildah", "chart"): Absent("knows no charts", (), _CHART, "push"),
    ("skopeo", "chart"): Absent("knows no charts", (), _CHART, "copy"),
    ("crane", "chart"): Absent("knows no charts", (), _CHART, "push"),
    ("oras", "chart"): Absent("knows no charts, only files", (), _CHART, "push"),
    ("regctl", "chart"): Absent("knows no charts, only files", (), _CHART, "artifact"),
    ("docker", "list tags"): Absent("lists what its engine holds", (), ("tags", "list-tags"), "images"),
    ("ctr", "list tags"): Absent("lists what its daemon holds", ("images",), ("tags", "remote list"), "list"),
    ("buildah", "list tags"): Absent("lists what its store holds", (), ("tags", "search"), "images"),
    ("helm", "list tags"): Absent(
        "lists tags only to find the newest, in the case chart", (), ("tag",), "pull"
    ),
    ("docker", "delete"): Absent("deletes from its engine", (), ("delete",), "rmi"),
    ("ctr", "delete"): Absent("deletes from its daemon", ("images", "rm"), ("registry", "remote"), "images"),
    ("podman", "delete"): Absent("deletes from its store", (), ("delete",), "rmi"),
    ("buildah", "delete"): Absent("deletes from its store", (), ("delete",), "rmi"),
    ("helm", "delete"): Absent("deletes no chart from a registry", (), ("delete",), "push"),
    ("helm", "mount"): Absent("pushes files of this machine", ("push",), ("mount", "copy"), "chart"),
    ("helm", "mount denied"): Absent("pushes files of this machine", ("push",), ("mount", "copy"), "chart"),
    ("helm", "index"): Absent("has charts for no platform", (), ("index of", "platform"), "chart"),
}
