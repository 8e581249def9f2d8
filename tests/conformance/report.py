"""What the conformance tool wrote, read row by row and case by case.

Its exit status says too little: skipped cases, a configuration it could not load and a report it could not write
all end with 0, and a row of the summary shows the highest status of its cases, so that "Pass" may hide a skip.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from xml.etree import ElementTree as ET

import yaml

OUR_HEADER = "Moorage-Version"
PREFIX = "OCI Conformance Test/"
_SERVED = {"Hit from cloudfront", "Miss from cloudfront"}
_PASSED_ON = {"Miss from cloudfront", "Error from cloudfront"}
_EXCHANGE = "~~~ REQUEST ~~~"
_HEADER = re.compile(r"^ +([A-Za-z0-9-]+): \[(.*)\]$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Answer:
    """One request of a case and what came back for it."""

    method: str
    url: str
    status: int
    headers: Mapping[str, str]

    def is_from(self, endpoint: str) -> bool:
        """Whether the request went to that registry and not to where it was redirected."""
        asked, registry = urlsplit(self.url), urlsplit(endpoint)
        return (asked.scheme, asked.netloc) == (registry.scheme, registry.netloc)

    @property
    def is_download(self) -> bool:
        """Whether the front door itself served a blob, from a path that only our registry can have signed."""
        return "/blobs/_edge/" in self.url and self.headers.get("X-Cache") in _SERVED

    @property
    def is_streamed(self) -> bool:
        """Whether the front door passed it on to ``ingest``, by a path that only our registry can have signed."""
        return "/blobs/uploads/_stream/" in self.url and self.headers.get("X-Cache") in _PASSED_ON


@dataclass(frozen=True, slots=True)
class Case:
    """One leaf of the tool's tree; names repeat."""

    name: str
    status: str
    message: str
    answers: tuple[Answer, ...]


@dataclass(frozen=True, slots=True)
class Report:
    """One run of the tool."""

    config: Mapping[str, Any]
    apis: Mapping[str, str]
    data: Mapping[str, str]
    cases: tuple[Case, ...]

    def names(self, status: str) -> Counter[str]:
        """How often each case name ended so."""
        return Counter(case.name for case in self.cases if case.status == status)


def read(folder: Path) -> Report:
    """The report in the tool's result folder.

    Raises:
        FileNotFoundError: the tool wrote none, whatever its exit status was.
    """
    rows = yaml.safe_load((folder / "results.yaml").read_text("utf-8"))
    tree = ET.parse(folder / "junit.xml")
    return Report(rows["config"], rows["apis"], rows["data"], tuple(map(_case, tree.iter("testcase"))))


def strangers(report: Report, endpoint: str) -> list[str]:
    """What speaks against every case having been answered by us: an empty list, or sentences."""
    found = [] if report.cases else ["no case was run"]
    for case in report.cases:
        ours = [answer for answer in case.answers if answer.is_from(endpoint)]
        if not ours:
            found.append(f"{case.name}: nothing was asked of {endpoint}")
        found.extend(
            f"{case.name}: {answer.method} {answer.url} was answered {answer.status} without {OUR_HEADER}"
            for answer in ours
            if OUR_HEADER not in answer.headers and not (answer.is_download or answer.is_streamed)
        )
    return found


def _case(element: ET.Element) -> Case:
    return Case(
        element.attrib["name"].removeprefix(PREFIX),
        element.attrib["status"],
        (element.findtext("system-out") or "").strip(),
        tuple(_answers(element.findtext("system-err") or "")),
    )


def _answers(transcript: str) -> list[Answer]:
    found = []
    for exchange in transcript.split(_EXCHANGE)[1:]:
        request, separator, response = exchange.partition("~~~ RESPONSE ~~~")
        if separator:
            headers = {name.title(): value for name, value in _HEADER.findall(response)}
            status = int(_line(response, "Status"))
            found.append(Answer(_line(request, "Method"), _line(request, "URL"), status, headers))
    return found


def _line(text: str, name: str) -> str:
    match = re.search(rf"^{name}: (.*)$", text, re.MULTILINE)
    if match is None:
        raise ValueError(f"no {name} in the transcript: {text[:200]!r}")
    return match[1]
