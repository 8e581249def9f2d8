"""The template holds the code that the tests run."""

import importlib.util
import re
import sys

import pytest

from local import template
from local.identities import Place
from moorage.domain.errors import BodyTooLarge
from moorage.domain.sessions import MAX_BODY_SIZE, require_body_size
from tests.edge.suite import EDGE, FILES
from tests.running_cloud import ROOT

spec = importlib.util.spec_from_file_location("make_edge", ROOT / "make" / "edge.py")
assert spec is not None
assert spec.loader is not None
edge = importlib.util.module_from_spec(spec)
spec.loader.exec_module(edge)

TEMPLATE = """\
Resources:
  First:
    Type: AWS::CloudFront::Function
    Properties:
      FunctionCode: |
        old

        code
      Name: first

  # a comment
  Second:
    Properties:
      FunctionCode: |
        x
"""


def test_code_of_the_template_is_that_of_the_files():
    stack = template.load(
        ROOT / "template.yaml", Place("s", "us-east-1", "000000000000"), {"FrontDoor": "on", "Pulls": "edge"}
    )
    codes = {
        resource.logical_id: resource.properties["FunctionCode"]
        for resource in stack.of_kind("AWS::CloudFront::Function")
    }
    assert codes == {name: (EDGE / file).read_text("utf-8") for name, file in edge.FUNCTIONS.items()}
    assert sorted(edge.FUNCTIONS.values()) == sorted(FILES)


def test_the_edge_refuses_what_the_registry_would():
    source = (EDGE / "viewer_host.js").read_text("utf-8")
    assert f"var MOST = {MAX_BODY_SIZE};" in source
    with pytest.raises(BodyTooLarge) as refused:
        require_body_size(MAX_BODY_SIZE + 1)
    quoted = "".join(re.findall(r"'([^']*)'", source[source.index("var message") : source.index("return {")]))
    assert quoted.startswith("one request carries at most ")
    assert str(refused.value).partition(". ")[2] == quoted.partition(". ")[2]


def test_blocks_are_replaced_and_nothing_else():
    codes = {"First": "a {\n  b\n\n}\n", "Second": "c\n"}
    once = edge.with_code(TEMPLATE, codes)
    assert once == TEMPLATE.replace(
        "        old\n\n        code\n", "        a {\n          b\n\n        }\n"
    ).replace("        x\n", "        c\n")
    assert edge.with_code(once, codes) == once


@pytest.mark.parametrize("name", ["Third", "Resources"])
def test_function_that_is_not_there_is_an_error(name):
    with pytest.raises(ValueError, match=name if name == "Third" else "Resources"):
        edge.with_code(TEMPLATE, {name: "x"})


def test_function_without_a_block_does_not_take_the_next_ones():
    with pytest.raises(ValueError, match="FunctionCode"):
        edge.with_code("Resources:\n  A:\n    Type: x\n\n  B:\n    FunctionCode: |\n      x\n", {"A": "y"})


def test_check_says_whether_the_template_is_behind(monkeypatch, tmp_path, capsys):
    (tmp_path / "functions" / "edge").mkdir(parents=True)
    (tmp_path / "functions" / "edge" / "a.js").write_text("new\n", "utf-8")
    (tmp_path / "template.yaml").write_text(TEMPLATE, "utf-8")
    monkeypatch.setattr(edge, "ROOT", tmp_path)
    monkeypatch.setattr(edge, "FUNCTIONS", {"First": "a.js"})
    monkeypatch.setattr(sys, "argv", ["edge.py", "--check"])
    assert edge.main() == 1
    assert "make fmt" in capsys.readouterr().err
    assert (tmp_path / "template.yaml").read_text("utf-8") == TEMPLATE
    monkeypatch.setattr(sys, "argv", ["edge.py"])
    assert edge.main() == 0
    assert "        new\n      Name: first" in (tmp_path / "template.yaml").read_text("utf-8")
    monkeypatch.setattr(sys, "argv", ["edge.py", "--check"])
    assert edge.main() == 0
