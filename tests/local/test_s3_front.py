"""The S3 front: everything passes, but for what S3 refuses."""

import base64
import hashlib
import os
from types import SimpleNamespace

import pytest
import urllib3

from local import aws, ports
from local.emulators import Emulators
from local.s3_front import S3Front, line
from local.traffic import Traffic
from local.wire import Head
from tests import journal
from tests.local import wire

MIB = 1024 * 1024


@pytest.fixture(scope="module")
def front(background, emulators, tmp_path_factory):
    with ports.listen(0) as listener:
        traffic = tmp_path_factory.mktemp("traffic") / "S3.jsonl"
        upstream = int(emulators.s3_endpoint_url.rpartition(":")[2])
        front = S3Front(listener, upstream, Traffic(traffic))
        background.run(front.start())
        host, _, port = front.canonical.partition(":")
        reached = Emulators(
            emulators.aws_endpoint_url,
            f"http://{front.canonical}",
            emulators.access_key,
            emulators.secret_key,
        )
        client = aws.client(reached, "s3")
        client.create_bucket(Bucket="front")
        yield SimpleNamespace(
            client=client, host=host, port=int(port), url=f"http://{front.canonical}", traffic=traffic
        )
        background.run(front.close())


@pytest.fixture
def http():
    with urllib3.PoolManager(retries=False, timeout=60) as pool:
        yield pool


def presigned(front, operation, **parameters):
    url = front.client.generate_presigned_url(operation, Params={"Bucket": "front", **parameters})
    assert url.startswith(front.url)
    return url


@pytest.mark.parametrize("size", [0, 1, MIB - 1, MIB + 1, 20 * MIB])
def test_object_goes_through_unchanged(front, http, size):
    content = os.urandom(size)
    front.client.put_object(Bucket="front", Key="object", Body=content)
    assert front.client.head_object(Bucket="front", Key="object")["ContentLength"] == size
    answer = http.request("GET", presigned(front, "get_object", Key="object"))
    assert (answer.status, answer.data == content) == (200, True)


def test_body_of_unknown_length_goes_through(front, http):
    url = presigned(front, "put_object", Key="stream")
    assert http.request("PUT", url, body=iter([b"abc", b"d" * MIB, b"e"]), chunked=True).status == 200
    assert (
        http.request("GET", presigned(front, "get_object", Key="stream")).data == b"abc" + b"d" * MIB + b"e"
    )


def test_one_connection_serves_many_requests(front):
    for number in range(3):
        front.client.put_object(Bucket="front", Key=f"many/{number}", Body=b"x")
    with urllib3.PoolManager(maxsize=1, block=True, retries=False, timeout=10) as pool:
        urls = [presigned(front, "get_object", Key=f"many/{number}") for number in (0, 9, 1, 2)]
        assert [pool.request("GET", url).status for url in urls] == [200, 404, 200, 200]
        head = presigned(front, "head_object", Key="many/0")
        assert [pool.request("HEAD", head).status, pool.request("GET", urls[0]).data] == [200, b"x"]
        assert pool.connection_from_url(front.url).num_connections == 1


def test_range_goes_through(front, http):
    front.client.put_object(Bucket="front", Key="range", Body=b"0123456789")
    answer = http.request("GET", presigned(front, "get_object", Key="range"), headers={"Range": "bytes=2-4"})
    assert (answer.status, answer.data, answer.headers["Content-Range"]) == (206, b"234", "bytes 2-4/10")


def test_signed_url_is_good_under_both_names_of_the_interface(front, http):
    front.client.put_object(Bucket="front", Key="names", Body=b"named")
    url = presigned(front, "get_object", Key="names")
    for name in ("127.0.0.1", "localhost"):
        assert http.request("GET", url.replace("127.0.0.1", name)).data == b"named"


def test_signature_is_still_checked(front, http):
    front.client.put_object(Bucket="front", Key="signed", Body=b"x")
    url = presigned(front, "get_object", Key="signed")
    assert http.request("GET", url.replace("/signed", "/other")).status == 403
    assert http.request("GET", f"{url}&extra=1").status == 403
    assert http.request("PUT", url, body=b"y").status == 403
    assert http.request("GET", url.partition("?")[0]).status == 403


def test_wrong_body_for_a_signed_checksum_is_refused(front, http):
    content = b"content"
    digest = hashlib.sha256(content).digest()
    checksum = base64.b64encode(digest).decode()
    url = presigned(front, "put_object", Key="checked", ChecksumSHA256=checksum)
    headers = {"x-amz-checksum-sha256": checksum}
    assert http.request("PUT", url, body=b"another", headers=headers).status == 400
    assert http.request("PUT", url, body=content, headers=headers).status == 200


@pytest.mark.parametrize("authorization", ["Bearer token", "Basic eDp5", "AWS4-HMAC-SHA256 Credential=x", ""])
def test_signed_url_with_authorization_is_refused_as_s3_does(front, http, authorization):
    front.client.put_object(Bucket="front", Key="leak", Body=b"x")
    url = presigned(front, "get_object", Key="leak")
    for name in ("127.0.0.1", "localhost"):
        answer = http.request("GET", url.replace("127.0.0.1", name), headers={"Authorization": authorization})
        assert answer.status == 400
        assert answer.headers["Content-Type"] == "application/xml"
        assert b"<Code>InvalidArgument</Code>" in answer.data
        assert b"Only one auth mechanism allowed" in answer.data


def test_signed_upload_with_authorization_stores_nothing(front, http):
    url = presigned(front, "put_object", Key="never")
    for size in (1, 20 * MIB):
        assert http.request("PUT", url, body=bytes(size), headers={"Authorization": "Bearer t"}).status == 400
    assert http.request("GET", presigned(front, "get_object", Key="never")).status == 404


@pytest.mark.parametrize(
    "nonsense", [b"\x16\x03\x01\x00\x05hello\r\n\r\n", b"GET\r\n\r\n", b"GET / HTTP/1.1\r\nno colon\r\n\r\n"]
)
def test_nonsense_ends_the_connection_and_nothing_else(front, http, nonsense):
    with wire.connect(front.host, front.port) as connection:
        connection.sendall(nonsense)
        assert connection.recv(1000) == b""
    assert front.client.list_buckets()["Buckets"]


def test_upload_that_breaks_off_leaves_no_object(front, http):
    url = presigned(front, "put_object", Key="broken")
    with wire.connect(front.host, front.port) as connection:
        target = url.removeprefix(front.url)
        head = f"PUT {target} HTTP/1.1\r\nHost: {front.host}:{front.port}\r\nContent-Length: 1000\r\n\r\n"
        connection.sendall(head.encode() + b"x" * 10)
    assert http.request("GET", presigned(front, "get_object", Key="broken")).status == 404


def noted(front, key):
    """What the traffic has of an object, and nothing that could be used to get at it."""
    assert "amz-" not in front.traffic.read_text("utf-8").lower()
    return [each for each in journal.entries(front.traffic) if each["path"] == f"/front/{key}"]


def test_what_is_asked_of_s3_is_noted_with_the_bytes_that_it_moves(front, http):
    front.client.put_object(Bucket="front", Key="noted/a", Body=b"x" * 1000)
    front.client.copy_object(Bucket="front", Key="noted/b", CopySource={"Bucket": "front", "Key": "noted/a"})
    assert http.request("GET", presigned(front, "get_object", Key="noted/a")).status == 200
    front.client.head_object(Bucket="front", Key="noted/a")
    assert http.request("GET", presigned(front, "get_object", Key="noted/c")).status == 404
    put, get, head = noted(front, "noted/a")
    assert put == {
        "method": "PUT",
        "path": "/front/noted/a",
        "about": [],
        "request_bytes": 1000,
        "status": 200,
        "answer_bytes": 0,
    }
    assert (get["method"], get["request_bytes"], get["answer_bytes"]) == ("GET", 0, 1000)
    assert (head["method"], head["request_bytes"], head["answer_bytes"]) == ("HEAD", 0, 0)
    (copy,) = noted(front, "noted/b")
    assert copy["copy_source"] == "front/noted/a"
    assert copy["request_bytes"] == 0
    assert copy["answer_bytes"] < 1000
    (absent,) = noted(front, "noted/c")
    assert absent["status"] == 404


def test_requests_are_told_apart_by_the_names_in_their_queries(front):
    key = {"Bucket": "front", "Key": "noted/parts"}
    upload = front.client.create_multipart_upload(**key)["UploadId"]
    front.client.upload_part(**key, UploadId=upload, PartNumber=1, Body=b"part")
    front.client.abort_multipart_upload(**key, UploadId=upload)
    begun, part, aborted = noted(front, "noted/parts")
    assert (begun["method"], begun["about"]) == ("POST", ["uploads"])
    assert (part["about"], part["request_bytes"]) == (["partNumber", "uploadId"], 4)
    assert (aborted["method"], aborted["about"], aborted["status"]) == ("DELETE", ["uploadId"], 204)


def test_body_that_nobody_announced_has_no_size():
    request = Head(b"PUT /b/k HTTP/1.1", [(b"Transfer-Encoding", b"chunked")])
    answer = Head(b"HTTP/1.1 200 OK", [])
    found = line(request, answer)
    assert (found["request_bytes"], found["answer_bytes"]) == (None, None)
