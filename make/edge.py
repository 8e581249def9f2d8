# ruff: noqa: INP001 - a script beside the makefiles
"""Copies the code of the edge functions into the template: CloudFormation takes it inline only.

`python make/edge.py` rewrites `template.yaml`; with `--check` it only says whether that is needed.
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FUNCTIONS = {
    "DownloadRequestFunction": "download_request.js",
    "DownloadResponseFunction": "download_response.js",
    "UploadRequestFunction": "upload_request.js",
    "UploadResponseFunction": "upload_response.js",
    "ViewerHostFunction": "viewer_host.js",
}
_MARK = "FunctionCode: |"


def with_code(template: str, codes: dict[str, str]) -> str:
    """The template with the code of each function, by logical id, in its block.

    Raises:
        ValueError: a function, or its block, is not there.
    """
    lines = template.splitlines()
    for logical_id, code in codes.items():
        start = _find(lines, 0, f"  {logical_id}:", "")
        mark = _find(lines, start + 1, _MARK, "  ")
        indent = len(lines[mark]) - len(lines[mark].lstrip()) + 2
        end = mark + 1
        while end < len(lines) and (not lines[end].strip() or lines[end].startswith(" " * indent)):
            end += 1
        # The empty lines before whatever follows are not of the block.
        while not lines[end - 1].strip():
            end -= 1
        block = [f"{' ' * indent}{line}".rstrip() for line in code.rstrip("\n").splitlines()]
        lines[mark + 1 : end] = block
    return "\n".join(lines) + "\n"


def _find(lines: list[str], start: int, text: str, indent: str) -> int:
    """The line with this text; before one that is indented less than a property of the same resource."""
    for number in range(start, len(lines)):
        line = lines[number]
        if line == text or line.strip() == text.strip() == _MARK:
            return number
        if indent and line.strip() and not line.startswith(indent * 2):
            break
    raise ValueError(f"the template has no {text.strip()} where it is looked for")


def main() -> int:
    """Rewrite the template, or with `--check` compare it."""
    path = ROOT / "template.yaml"
    before = path.read_text("utf-8")
    folder = ROOT / "functions" / "edge"
    after = with_code(before, {name: (folder / file).read_text("utf-8") for name, file in FUNCTIONS.items()})
    if "--check" in sys.argv[1:]:
        if after != before:
            sys.stderr.write("template.yaml: not the code in functions/edge; run `make fmt`\n")
        return int(after != before)
    if after != before:
        path.write_text(after, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
