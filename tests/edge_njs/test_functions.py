"""The edge functions in njs, whose language is the one that CloudFront's runtime grew from.

It takes less than CloudFront does: what passes here uses nothing that CloudFront could lack. These tests need
Debian's `njs`, and fail without it.
"""

import json
import subprocess

import pytest

from tests.edge.suite import EDGE, Suite

STORE = """
var keys = %s;
async function get(key) {
  if (keys === null || !(key in keys)) {
    throw new Error('no such key');
  }
  return keys[key];
}
async function exists(key) {
  if (keys === null) {
    throw new Error('the store is away');
  }
  return key in keys;
}
export default { kvs: function () { return { get: get, exists: exists }; } };
"""
CALL = """
async function __call() {
  var event = %s;
  var raw = event.request.rawQueryString;
  event.request.rawQueryString = function () { return raw === null ? undefined : raw; };
  return await handler(event);
}
__call().then(
  function (value) { console.log(JSON.stringify({ value: value })); },
  function (error) { console.log(JSON.stringify({ error: String(error) })); }
);
"""


class Njs:
    def __init__(self, folder):
        self._folder = folder

    def call(self, file, event, keys):
        (self._folder / "cloudfront").write_text(STORE % json.dumps(keys), "utf-8")
        script = self._folder / file
        script.write_text((EDGE / file).read_text("utf-8") + CALL % json.dumps(event), "utf-8")
        ended = subprocess.run(
            ["njs", "-p", self._folder, script], capture_output=True, text=True, timeout=20, check=False
        )
        assert ended.returncode == 0, ended.stdout + ended.stderr
        answer = json.loads(ended.stdout)
        assert "error" not in answer, answer
        return answer["value"]


@pytest.fixture(scope="session")
def engine(tmp_path_factory):
    return Njs(tmp_path_factory.mktemp("njs"))


class TestInNjs(Suite):
    pass


@pytest.mark.parametrize(
    "code", ["var {a} = {a: 1};", "for (var a of [1]) {}", "f(...[1]);", "function g(a = 1) {}"]
)
def test_engine_refuses_what_the_functions_do_without(engine, tmp_path, code):
    script = tmp_path / "modern.js"
    script.write_text(code, "utf-8")
    ended = subprocess.run(["njs", script], capture_output=True, text=True, timeout=20, check=False)
    assert "SyntaxError" in ended.stdout + ended.stderr
