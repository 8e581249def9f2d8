"""The engine of the edge functions: what it offers, what it does not, and what it says when one fails."""

import asyncio
import hashlib
import hmac

import pytest

from local import limits
from local.edge import EdgeError, EdgeFunction

EVENT = {"request": {"rawQueryString": None}}


class Keys:
    def __init__(self, **values):
        self._values = values

    async def get(self, key):
        if key == "away":
            raise OSError("away")
        return self._values.get(key)

    async def count(self):
        return len(self._values)


def run(body, imports="", store=None, log=lambda _: None):
    function = EdgeFunction("toy", f"{imports}\nasync function handler(event) {{ {body} }}", store, log)
    return asyncio.run(function.call(EVENT))


def crypto(expression):
    return run(f"return {expression}", "import crypto from 'crypto';")


def kvs(body, **values):
    return run(f"var store = cf.kvs(); {body}", "import cf from 'cloudfront';", Keys(**values))


@pytest.mark.parametrize("algorithm", ["md5", "sha1", "sha256"])
def test_hash_and_mac(algorithm):
    content = "é\0x".encode()
    expected = hashlib.new(algorithm, content)
    assert crypto(f"crypto.createHash('{algorithm}').update('é\\0').update('x').digest('hex')") == (
        expected.hexdigest()
    )
    mac = hmac.new("ké".encode(), content, algorithm).hexdigest()
    assert crypto(f"crypto.createHmac('{algorithm}', 'ké').update('é\\0x').digest('hex')") == mac
    keyed = f"crypto.createHmac('{algorithm}', Buffer.from('6bc3a9', 'hex'))"
    assert crypto(f"{keyed}.update(Buffer.from('é\\0x')).digest().toString('hex')") == mac


def test_long_text_that_was_added_up_is_hashed_as_a_whole():
    long = "var t = ''; for (var i = 0; i < 40; i++) { t += 'ab'.repeat(50); }"
    body = (
        f"{long} return [crypto.createHash('sha256').update('a').update(t).digest('hex'), "
        "Buffer.from(t, 'hex').length]"
    )
    digest = hashlib.sha256(b"a" + b"ab" * 2000).hexdigest()
    assert run(body, "import crypto from 'crypto';") == [digest, 2000]


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("Buffer.from('00ffFF', 'hex').toString('base64')", "AP//"),
        ("Buffer.from('00ffff', 'hex').toString('base64url')", "AP__"),
        ("Buffer.from('AP__', 'base64url').toString('hex')", "00ffff"),
        ("Buffer.from('AP//', 'base64').toString('hex')", "00ffff"),
        ("Buffer.from('QQ', 'base64').toString()", "A"),
        ("Buffer.from('é').length", 2),
        ("Buffer.from('a\\0b').toString('hex')", "610062"),
        ("Buffer.from('610062', 'hex').toString().length", 3),
        ("Buffer.from('é').toString()", "é"),
        ("Buffer.from([1, 255]).toString('hex')", "01ff"),
        ("Buffer.concat([Buffer.from('a'), Buffer.from('b')]).toString('utf-8')", "ab"),
        ("Buffer.from('ab').equals(Buffer.from('ab'))", True),
        ("Buffer.from('ab').equals(Buffer.from('ac'))", False),
        ("Buffer.alloc(2).toString('hex')", "0000"),
        ("Buffer.from('0g', 'hex').length", 0),
    ],
)
def test_buffer(expression, value):
    assert run(f"return {expression}") == value


@pytest.mark.parametrize(
    "expression",
    ["Buffer.from('a', 'utf16le')", "crypto.createHash('sha512')", "crypto.createHmac('sha256', 5)"],
)
def test_what_the_runtime_does_not_know_throws(expression):
    with pytest.raises(EdgeError, match="TypeError"):
        crypto(expression)


def test_store_is_read():
    assert kvs("return [await store.get('a'), await store.exists('a'), await store.exists('b')]", a="1") == [
        *("1", True, False)
    ]
    assert kvs("return await store.count()", a="1", b="2") == 2
    assert kvs("return await store.get('a', {format: 'json'})", a='{"x": 1}') == {"x": 1}
    assert kvs("return (await store.get('a', {format: 'bytes'})).toString('hex')", a="A") == "41"


def test_absent_key_and_failing_store_throw():
    with pytest.raises(EdgeError, match="KeyNotFound"):
        kvs("return await store.get('b')", a="1")
    for operation in ("get", "exists"):
        with pytest.raises(EdgeError, match="away"):
            kvs(f"return await store.{operation}('away')")


def test_function_without_a_store_has_none():
    with pytest.raises(EdgeError, match="no KeyValueStore"):
        run("return cf.kvs()", "import cf from 'cloudfront';")


@pytest.mark.parametrize(
    "name",
    ["fetch", "require", "process", "setTimeout", "XMLHttpRequest", "std", "os", "__host", "crypto", "__ask"],
)
def test_nothing_else_is_there(name):
    assert run(f"return typeof {name}") == "undefined"


@pytest.mark.parametrize("module", ["fs", "querystring2", "http"])
def test_other_modules_are_refused(module):
    with pytest.raises(EdgeError, match=module):
        EdgeFunction("toy", f"import x from '{module}';\nfunction handler(e) {{}}")


def test_function_prints_to_its_log():
    lines: list[str] = []
    run("console.log('a', 1, true); console.error('b')", log=lines.append)
    assert lines == ["a 1 true", "b"]


def test_nothing_is_kept_between_calls():
    function = EdgeFunction("toy", "var n = 0;\nfunction handler(e) { n += 1; globalThis.m = n; return n; }")
    assert [asyncio.run(function.call(EVENT)) for _ in range(2)] == [1, 1]


def test_code_is_limited():
    code = "function handler(e) { return 1; }"
    rest = limits.EDGE_CODE_BYTES - len(code) - 2
    EdgeFunction("toy", f"//{'x' * (rest - 1)}\n{code}")
    with pytest.raises(EdgeError, match="bytes"):
        EdgeFunction("toy", f"//{'é' * (rest // 2 + 1)}\n{code}")


def test_memory_is_limited():
    with pytest.raises(EdgeError):
        run("var all = []; for (var i = 0; i < 1e7; i++) { all.push('x' + i); } return all.length")


@pytest.mark.parametrize("code", ["function other(e) {}", "function handler(", "throw new Error('at start')"])
def test_code_that_cannot_be_run_is_refused_at_once(code):
    with pytest.raises(EdgeError, match="toy"):
        EdgeFunction("toy", code)


def test_line_of_an_error_is_that_of_the_source():
    code = "import crypto from 'crypto';\n\nfunction handler(e) {\n  return (;\n}"
    with pytest.raises(EdgeError, match=":4:"):
        EdgeFunction("toy", code)
