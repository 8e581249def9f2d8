"""What every engine must make of the functions in functions/edge.

An engine has `call(file, event, keys)`: what the function returns for the event with these keys in its store;
with None as keys, the store fails.
"""

import base64
import hashlib
import hmac
import json
import re
import time

import pytest

from tests.running_cloud import ROOT

EDGE = ROOT / "functions" / "edge"
FILES = [
    "download_request.js",
    "download_response.js",
    "upload_request.js",
    "upload_response.js",
    "viewer_host.js",
]
KEYS = {"a1": "0f" * 32, "b20": "ab" * 32}
REPOSITORY = "1" * 32
SESSION = "2" * 32
HEX = hashlib.sha256(b"blob").hexdigest()
DIGEST = f"sha256:{HEX}"
LONG_HEX = hashlib.sha512(b"blob").hexdigest()


def signed(
    name="acme/app", kid="a1", seconds=100, repository=REPOSITORY, session=SESSION, method="PUT", key=None
):
    expires = int(time.time() + seconds)
    path = f"/v2/{name}/blobs/uploads/_direct/{kid}/{expires}/{repository}/{session}"
    return with_mac(path, method, KEYS[kid] if key is None else key)


def object_of(way="direct", shard=HEX[:2], repository=REPOSITORY, encoded=HEX, session=SESSION):
    return f"{way}/{shard}/{repository}/{encoded}/{session}"


STREAMED = "7" * 32


def streamed(encoded=HEX, shard=SESSION[:2], repository=REPOSITORY, session=SESSION, name=STREAMED):
    """A streamed object as a path names it, with its digest; and its key."""
    return (
        f"stream/{shard}/{repository}/{encoded}/{session}/{name}",
        f"stream/{shard}/{repository}/{session}/{name}",
    )


def signed_download(stored=None, name="acme/app", kid="a1", seconds=100, method="GET", key=None):
    expires = int(time.time() + seconds)
    path = f"/v2/{name}/blobs/_edge/{kid}/{expires}/{stored or object_of()}"
    return with_mac(path, method, KEYS[kid] if key is None else key)


def with_mac(path, method, key):
    mac = hmac.new(key.encode("latin-1"), f"{method}\n{path}".encode(), hashlib.sha256)
    return f"{path}/{mac.hexdigest()}"


def grouped(query):
    found: dict[str, dict[str, str]] = {}
    for pair in filter(None, (query or "").split("&")):
        name, _, value = pair.partition("=")
        found.setdefault(name, {"value": value})
    return found


def request(uri, query=f"digest={DIGEST}", method="PUT", headers=()):
    return {
        "version": "1.0",
        "context": {"eventType": "viewer-request"},
        "viewer": {"ip": "192.0.2.1"},
        "request": {
            "method": method,
            "uri": uri,
            "rawQueryString": query,
            "querystring": grouped(query),
            "headers": {name: {"value": value} for name, value in {"host": "h", **dict(headers)}.items()},
            "cookies": {"c": {"value": "1"}},
        },
    }


def response(asked, status=200):
    headers = {
        "etag": '"e"',
        "server": "AmazonS3",
        "x-amz-id-2": "i",
        "x-amz-checksum-sha256": "c",
        "x-amz-cf-pop": "p",
        "content-length": "0",
    }
    return {
        **asked,
        "response": {
            "statusCode": status,
            "statusDescription": "as S3 says",
            "headers": {name: {"value": value} for name, value in headers.items()},
            "cookies": {},
        },
    }


def changed(uri, old, new):
    assert uri.count(old) == 1
    return uri.replace(old, new)


def helpers(file):
    """The functions of a file, with the comments above them, by their names."""
    code = (EDGE / file).read_text("utf-8")
    found = re.findall(r"(?:^//.*\n)*^(?:async )?function (\w+)\(.*\n(?:.*\n)*?^}$", code, re.MULTILINE)
    blocks = re.finditer(r"(?:^//.*\n)*^(?:async )?function \w+\(.*\n(?:.*\n)*?^}$", code, re.MULTILINE)
    return dict(zip(found, (block[0] for block in blocks), strict=True))


class Suite:
    @pytest.mark.parametrize("file", FILES)
    def test_code_fits(self, file):
        assert len((EDGE / file).read_bytes()) < 10_000

    @pytest.fixture
    def upload(self, engine):
        def call(event, keys=KEYS):
            return engine.call("upload_request.js", event, keys)

        return call

    def refused(self, answer, status, code):
        assert answer["statusCode"] == status
        assert answer["headers"]["content-type"] == {"value": "application/json"}
        assert answer["body"]["encoding"] == "text"
        (error,) = json.loads(answer["body"]["data"])["errors"]
        assert error.keys() == {"code", "message"}
        assert error["code"] == code
        return error["message"]

    @pytest.mark.parametrize("kid", KEYS)
    @pytest.mark.parametrize("name", ["app", "acme/app", "acme/deep/er/app-1_x.y"])
    def test_signed_upload_becomes_a_checked_object(self, upload, kid, name):
        event = request(signed(name, kid), headers={"content-length": "4", "content-type": "a/b"})
        passed = upload(event)
        assert passed["method"] == "PUT"
        assert passed["uri"] == f"/direct/{HEX[:2]}/{REPOSITORY}/{HEX}/{SESSION}"
        assert passed["querystring"] == {}
        assert passed["cookies"] == {}
        assert passed["headers"] == {
            "host": {"value": "h"},
            "content-length": {"value": "4"},
            "content-type": {"value": "a/b"},
            "x-amz-checksum-sha256": {
                "value": base64.b64encode(hashlib.sha256(b"blob").digest()).decode(),
            },
            "x-moorage-location": {"value": f"/v2/{name}/blobs/{DIGEST}"},
        }

    def test_headers_that_could_mislead_s3_are_dropped(self, upload):
        given = {
            "authorization": "Bearer t",
            "cookie": "c=1",
            "x-amz-acl": "public-read",
            "x-amz-checksum-sha256": "AAAA",
            "x-amz-copy-source": "/other/key",
            "x-moorage-location": "elsewhere",
            "x-amzn-trace-id": "kept",
        }
        headers = upload(request(signed(), headers=given))["headers"]
        assert headers.keys() == {"host", "x-amz-checksum-sha256", "x-moorage-location", "x-amzn-trace-id"}
        assert headers["x-amz-checksum-sha256"]["value"] != "AAAA"
        assert headers["x-moorage-location"]["value"].startswith("/v2/")

    @pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PATCH", "DELETE", "OPTIONS"])
    def test_other_methods_are_refused(self, upload, method):
        answer = upload(request(signed(), method=method))
        self.refused(answer, 405, "UNSUPPORTED")
        assert answer["headers"]["allow"] == {"value": "PUT"}

    @pytest.mark.parametrize(
        "change",
        [
            lambda uri: changed(uri, SESSION, "3" * 32),
            lambda uri: changed(uri, REPOSITORY, "3" * 32),
            lambda uri: changed(uri, "/acme/app/", "/acme/other/"),
            lambda uri: changed(uri, "/_direct/a1/", "/_direct/b20/"),
            lambda uri: re.sub(r"a1/\d+", f"a1/{int(time.time()) + 9999}", uri),
            lambda uri: uri[:-1] + ("1" if uri[-1] == "0" else "0"),
            lambda uri: uri[:-64] + uri[-64:].upper(),
            lambda uri: uri[:-1],
            lambda uri: uri + "0",
            lambda uri: uri + "/",
            lambda uri: uri.replace("/v2/", "/v2//"),
            lambda uri: "/v3" + uri[3:],
            lambda uri: "/x" + uri,
            lambda uri: uri.replace("%", "") + "%20",
            lambda uri: "/v2/acme/app/blobs/uploads/_direct/",
            lambda uri: uri.replace("/_direct/", "/%5fdirect/"),
            lambda uri: signed(method="PATCH"),
            lambda uri: signed(key=""),
            lambda uri: signed(kid="a2", key=KEYS["a1"]),
            lambda uri: signed(key=bytes.fromhex(KEYS["a1"]).decode("latin-1")),
            lambda uri: signed(repository="A" * 32),
            lambda uri: signed(session="2" * 31),
        ],
    )
    def test_anything_that_was_not_signed_is_no_upload(self, upload, change):
        original = signed()
        uri = change(original)
        assert uri != original
        message = self.refused(upload(request(uri)), 404, "BLOB_UPLOAD_UNKNOWN")
        assert "start another" in message

    def test_upper_case_mac_is_refused(self, upload):
        uri = next(uri for n in range(1, 99) if re.search("[a-f]", (uri := signed(seconds=n * 10))[-64:]))
        self.refused(upload(request(uri[:-64] + uri[-64:].upper())), 404, "BLOB_UPLOAD_UNKNOWN")

    def test_retired_key_is_refused(self, upload):
        self.refused(upload(request(signed()), {"b20": KEYS["b20"]}), 404, "BLOB_UPLOAD_UNKNOWN")

    @pytest.mark.parametrize("seconds", [-1, -1000])
    def test_expired_upload_is_refused_with_the_reason(self, upload, seconds):
        message = self.refused(upload(request(signed(seconds=seconds))), 404, "BLOB_UPLOAD_UNKNOWN")
        assert "expired" in message

    def test_expiry_of_another_signature_does_not_tell_that_it_expired(self, upload):
        uri = changed(signed(seconds=-9), SESSION, "3" * 32)
        assert "expired" not in self.refused(upload(request(uri)), 404, "BLOB_UPLOAD_UNKNOWN")

    def test_failing_store_is_no_refusal_for_good(self, upload):
        answer = upload(request(signed()), None)
        self.refused(answer, 503, "TOOMANYREQUESTS")
        assert answer["headers"]["retry-after"] == {"value": "2"}

    @pytest.mark.parametrize("key", ["", "ab", "AB" * 32, "ab" * 32 + "\n"])
    def test_malformed_key_verifies_nothing(self, upload, key):
        self.refused(upload(request(signed(key=key)), {"a1": key}), 503, "TOOMANYREQUESTS")

    @pytest.mark.parametrize(
        "query",
        [
            f"digest=sha256:{HEX}",
            f"digest=sha256%3A{HEX}",
            f"digest=sha256%3a{HEX}",
            f"_state=x&digest=sha256:{HEX}&y",
            f"&&digest=sha256:{HEX}&digests=sha256:0&=",
            f"d%69gest=%73ha256:{HEX}",
        ],
    )
    def test_digest_is_found_however_it_is_written(self, upload, query):
        assert f"/{HEX}/" in upload(request(signed(), query))["uri"]

    @pytest.mark.parametrize(
        "query",
        [
            None,
            "",
            "x=1",
            "digest",
            "digest=",
            f"Digest={DIGEST}",
            f"digest={DIGEST}&digest={DIGEST}",
            f"digest={DIGEST}&d%69gest={DIGEST}",
            f"digest={DIGEST}&digest",
            f"digest=sha256:{HEX[:-1]}",
            f"digest=sha256:{HEX}0",
            f"digest=sha256:{'A' * 64}",
            f"digest=SHA256:{HEX}",
            f"digest={HEX}",
            f"digest=sha512:{HEX}{HEX}",
            f"digest=sha256:{HEX}%0A",
            f"digest=sha256:{HEX}\n",
            f"digest=sha256%253A{HEX}",
            f"digest=+sha256:{HEX}",
            "digest=%",
            "digest=%ff",
        ],
    )
    def test_any_other_digest_is_refused(self, upload, query):
        message = self.refused(upload(request(signed(), query)), 400, "DIGEST_INVALID")
        assert "?digest=sha256:" in message

    def test_stored_upload_is_told_from_the_clients_request(self, engine):
        event = response(request(signed("acme/app"), f"digest=sha256%3A{HEX}"))
        self.stored(engine.call("upload_response.js", event, KEYS), "acme/app")

    def test_stored_upload_is_told_from_the_rewritten_request(self, engine):
        rewritten = engine.call("upload_request.js", request(signed("other/name")), KEYS)
        event = {**request("/"), "request": {**rewritten, "rawQueryString": ""}}
        self.stored(engine.call("upload_response.js", response(event), KEYS), "other/name")

    def test_stored_upload_whose_path_alone_was_kept_is_told_from_the_header(self, engine):
        asked = request(signed(), "", headers={"x-moorage-location": f"/v2/acme/app/blobs/{DIGEST}"})
        self.stored(engine.call("upload_response.js", response(asked), KEYS), "acme/app")

    def test_stored_upload_of_which_nothing_is_known_is_still_created(self, engine):
        answer = engine.call("upload_response.js", response(request("/direct/x", "")), KEYS)
        assert answer["statusCode"] == 201
        assert "location" not in answer["headers"]

    def stored(self, answer, name):
        assert (answer["statusCode"], answer["statusDescription"]) == (201, "Created")
        assert answer["headers"] == {
            "x-amz-cf-pop": {"value": "p"},
            "content-length": {"value": "0"},
            "docker-content-digest": {"value": DIGEST},
            "location": {"value": f"/v2/{name}/blobs/{DIGEST}"},
        }

    @pytest.mark.parametrize("status", [204, 307, 400, 403, 503])
    def test_other_answers_of_s3_are_left_alone(self, engine, status):
        event = response(request(signed()), status)
        assert engine.call("upload_response.js", event, KEYS) == event["response"]

    @pytest.fixture
    def download(self, engine):
        def call(event, keys=KEYS):
            return engine.call("download_request.js", event, keys)

        return call

    def test_helpers_are_the_same_in_both_files(self):
        uploads, downloads = helpers("upload_request.js"), helpers("download_request.js")
        shared = uploads.keys() & downloads.keys() - {"handler", "unknown"}
        assert shared == {"keyNamed", "whole", "mac", "same", "refusal"}
        assert {name: uploads[name] for name in shared} == {name: downloads[name] for name in shared}

    @pytest.mark.parametrize("method", ["GET", "HEAD"])
    @pytest.mark.parametrize(
        "stored",
        [object_of(way) for way in ("api", "direct", "presigned")] + [object_of(encoded=LONG_HEX)],
    )
    def test_signed_download_becomes_an_object(self, download, stored, method):
        given = {"range": "bytes=1-2", "if-none-match": '"e"', "user-agent": "u"}
        for kid, name in (("a1", "app"), ("b20", "acme/deep/er/app-1_x.y")):
            event = request(signed_download(stored, name, kid), "x=1&y", method, given)
            passed = download(event)
            assert passed["method"] == method
            assert passed["uri"] == f"/{stored}"
            assert passed["querystring"] == {}
            assert passed["cookies"] == {}
            assert passed["headers"] == {
                **{name: {"value": value} for name, value in given.items()},
                "host": {"value": "h"},
                "x-moorage-signed": {"value": "download"},
            }

    @pytest.mark.parametrize("encoded", [HEX, LONG_HEX])
    def test_signed_download_of_what_was_streamed_becomes_an_object_and_notes_the_digest(
        self, download, encoded
    ):
        named, stored = streamed(encoded)
        passed = download(request(signed_download(named), "", "GET", {"x-moorage-digest": HEX[::-1]}))
        assert passed["uri"] == f"/{stored}"
        assert passed["headers"] == {
            "host": {"value": "h"},
            "x-moorage-digest": {"value": encoded},
            "x-moorage-signed": {"value": "download"},
        }

    def test_digest_that_a_client_claims_goes_no_further(self, download):
        passed = download(request(signed_download(), "", "GET", {"x-moorage-digest": HEX}))
        assert "x-moorage-digest" not in passed["headers"]

    def test_headers_that_s3_must_not_see_are_dropped(self, download):
        given = {
            "authorization": "Bearer t",
            "cookie": "c=1",
            "x-amz-checksum-mode": "ENABLED",
            "x-amz-request-payer": "requester",
            "x-moorage-signed": "guess",
        }
        headers = download(request(signed_download(), "", "GET", given))["headers"]
        assert headers == {"host": {"value": "h"}, "x-moorage-signed": {"value": "download"}}

    @pytest.mark.parametrize("method", ["PUT", "POST", "PATCH", "DELETE", "OPTIONS"])
    def test_other_methods_than_reading_are_refused(self, download, method):
        answer = download(request(signed_download(method=method), "", method))
        self.refused(answer, 405, "UNSUPPORTED")
        assert answer["headers"]["allow"] == {"value": "GET, HEAD"}

    @pytest.mark.parametrize(
        "change",
        [
            lambda uri: changed(uri, f"/{HEX}/", f"/{hashlib.sha256(b'other').hexdigest()}/"),
            lambda uri: changed(uri, f"/{HEX}/", f"/{LONG_HEX}/"),
            lambda uri: changed(uri, SESSION, "3" * 32),
            lambda uri: changed(uri, REPOSITORY, "3" * 32),
            lambda uri: changed(uri, "/direct/", "/api/"),
            lambda uri: changed(uri, f"/{HEX[:2]}/", "/00/"),
            lambda uri: changed(uri, "/acme/app/", "/acme/other/"),
            lambda uri: changed(uri, "/_edge/a1/", "/_edge/b20/"),
            lambda uri: re.sub(r"a1/\d+", f"a1/{int(time.time()) + 9999}", uri),
            lambda uri: uri[:-1] + ("1" if uri[-1] == "0" else "0"),
            lambda uri: uri[:-1],
            lambda uri: uri + "0",
            lambda uri: uri + "/",
            lambda uri: uri.replace("/v2/", "/v2//"),
            lambda uri: "/x" + uri,
            lambda uri: uri.replace("/direct/", "%2Fdirect/"),
            lambda uri: uri.replace(f"/{SESSION}/", f"%2f{SESSION}/"),
            lambda uri: uri.replace("/_edge/", "/%5fedge/"),
            lambda uri: uri + "%0A",
            lambda uri: "/v2/acme/app/blobs/_edge/",
            lambda uri: signed_download(method="HEAD"),
            lambda uri: signed_download(method="PUT"),
            lambda uri: signed_download(key=""),
            lambda uri: signed_download(kid="a2", key=KEYS["a1"]),
            lambda uri: signed_download(object_of("chunks")),
            lambda uri: signed_download(object_of("manifests")),
            lambda uri: signed_download(object_of("api/../chunks")),
            lambda uri: signed_download(object_of(encoded=HEX[:-1])),
            lambda uri: signed_download(object_of(encoded=HEX + HEX[:32])),
            lambda uri: signed_download(object_of(encoded=HEX.upper())),
            lambda uri: signed_download(object_of(session="2" * 31)),
            lambda uri: signed_download(object_of() + "/more"),
            lambda uri: signed_download(object_of("stream")),
            lambda uri: signed_download(streamed()[1]),
            lambda uri: signed_download(streamed(name="7" * 31)[0]),
            lambda uri: signed_download(streamed(encoded=HEX[:-1])[0]),
            lambda uri: signed_download(streamed()[0].replace("stream/", "chunks/")),
            lambda uri: signed_download(streamed()[0].replace("stream/", "direct/")),
        ],
    )
    def test_anything_that_was_not_signed_is_no_download(self, download, change):
        original = signed_download()
        uri = change(original)
        assert uri != original
        message = self.refused(download(request(uri, "", "GET")), 404, "BLOB_UNKNOWN")
        assert "ask the registry" in message

    def test_signature_of_an_upload_reads_nothing(self, download):
        path, _, end = signed().rpartition("/")
        for uri in (
            signed(),
            signed(method="GET"),
            f"{signed_download().rpartition('/')[0]}/{end}",
            with_mac(path.replace("uploads/_direct", "_edge"), "PUT", KEYS["a1"]),
        ):
            self.refused(download(request(uri, "", "GET")), 404, "BLOB_UNKNOWN")

    def test_signature_of_a_download_stores_nothing(self, upload):
        path, _, end = signed_download().rpartition("/")
        for uri in (
            signed_download(),
            signed_download(method="PUT"),
            f"{signed().rpartition('/')[0]}/{end}",
            with_mac(path.replace("_edge", "uploads/_direct"), "GET", KEYS["a1"]),
        ):
            self.refused(upload(request(uri)), 404, "BLOB_UPLOAD_UNKNOWN")

    def test_retired_key_reads_nothing(self, download):
        answer = download(request(signed_download(), "", "GET"), {"b20": KEYS["b20"]})
        self.refused(answer, 404, "BLOB_UNKNOWN")

    @pytest.mark.parametrize("method", ["GET", "HEAD"])
    def test_expired_download_is_refused_with_the_reason(self, download, method):
        answer = download(request(signed_download(seconds=-1), "", method))
        assert "expired" in self.refused(answer, 403, "DENIED")

    def test_expiry_without_a_signature_does_not_tell_that_it_expired(self, download):
        uri = changed(signed_download(seconds=-9), SESSION, "3" * 32)
        assert "expired" not in self.refused(download(request(uri, "", "GET")), 404, "BLOB_UNKNOWN")

    def test_failing_store_is_no_refusal_of_a_download_for_good(self, download):
        answer = download(request(signed_download(), "", "GET"), None)
        self.refused(answer, 503, "TOOMANYREQUESTS")
        assert answer["headers"]["retry-after"] == {"value": "2"}

    @pytest.mark.parametrize("key", ["", "ab", "AB" * 32, "ab" * 32 + "\n"])
    def test_malformed_key_reads_nothing(self, download, key):
        answer = download(request(signed_download(key=key), "", "GET"), {"a1": key})
        self.refused(answer, 503, "TOOMANYREQUESTS")

    @pytest.mark.parametrize("status", [200, 206, 304])
    @pytest.mark.parametrize(
        ("encoded", "digest"), [(HEX, DIGEST), (LONG_HEX, f"sha512:{LONG_HEX}")], ids=["sha256", "sha512"]
    )
    def test_download_is_answered_as_the_protocol_wants(self, engine, status, encoded, digest):
        """Whether CloudFront shows the client's path or the rewritten one."""
        stored = object_of(encoded=encoded)
        named, key = streamed(encoded)
        for uri, given in (
            *((signed_download(stored), {}), (f"/{stored}", {})),
            *((signed_download(named), {}), (f"/{key}", {"x-moorage-digest": encoded})),
            (f"/{stored}", {"x-moorage-digest": HEX[::-1]}),
        ):
            event = response(request(uri, "", "GET", given), status)
            event["response"]["headers"] |= {
                name: {"value": "v"}
                for name in (
                    *("accept-ranges", "age", "content-encoding", "content-range", "date", "last-modified"),
                    *("content-disposition", "content-language", "content-type", "cache-control", "expires"),
                    *("x-amz-meta-a", "x-amz-server-side-encryption", "set-cookie2", "vary"),
                )
            }
            answer = engine.call("download_response.js", event, KEYS)
            assert (answer["statusCode"], answer["statusDescription"]) == (status, "as S3 says")
            assert {name: content["value"] for name, content in answer["headers"].items()} == {
                "accept-ranges": "v",
                "age": "v",
                "cache-control": "private, no-store",
                "content-encoding": "v",
                "content-length": "0",
                "content-range": "v",
                "content-type": "application/octet-stream",
                "date": "v",
                "docker-content-digest": digest,
                "etag": '"e"',
                "last-modified": "v",
                "x-amz-cf-pop": "p",
                "x-content-type-options": "nosniff",
            }

    def test_download_of_which_nothing_is_known_is_no_page_either(self, engine):
        event = response(request("/", "", "GET"))
        event["response"]["headers"]["content-type"] = {"value": "text/html"}
        headers = engine.call("download_response.js", event, KEYS)["headers"]
        assert headers["content-type"] == {"value": "application/octet-stream"}
        assert "docker-content-digest" not in headers

    @pytest.mark.parametrize("status", [307, 400, 403, 404, 405, 416, 503])
    def test_other_answers_to_a_download_are_left_alone(self, engine, status):
        event = response(request(signed_download(), "", "GET"), status)
        assert engine.call("download_response.js", event, KEYS) == event["response"]

    @pytest.mark.parametrize("uri", ["/v2/acme/app/blobs/uploads/", f"/v2/app/blobs/uploads/{SESSION}"])
    @pytest.mark.parametrize("method", ["POST", "PATCH", "PUT"])
    def test_body_that_the_api_does_not_take_is_refused_with_the_ways_out(self, engine, uri, method):
        def call(length):
            return engine.call("viewer_host.js", request(uri, "", method, {"content-length": length}), {})

        for length in ("4500001", "73400320000"):
            message = self.refused(call(length), 413, "UNSUPPORTED")
            assert length in message
            for way in ("containerd store", "docker buildx build --push", "presigned URLs", "Content-Range"):
                assert way in message
        for length in ("0", "4500000", "", "nonsense"):
            assert call(length)["uri"] == uri

    @pytest.mark.parametrize(
        "uri",
        [f"/v2/acme/app/blobs/uploads/_stream/a1/1/{SESSION}", "/v2/acme/app/manifests/v1", "/token", "/x"],
    )
    def test_body_of_any_length_goes_where_it_may(self, engine, uri):
        event = request(uri, "", "PUT", {"content-length": "9000000000"})
        assert engine.call("viewer_host.js", event, {})["uri"] == uri

    def test_host_is_noted_whatever_the_client_says(self, engine):
        given = {
            "host": "registry.example",
            "x-moorage-host": "evil",
            "x-moorage-front-door": "guess",
            "a": "b",
        }
        event = request("/v2/", headers=given, method="GET")
        passed = engine.call("viewer_host.js", event, {})
        assert passed["headers"] == {
            "host": {"value": "registry.example"},
            "x-moorage-host": {"value": "registry.example"},
            "a": {"value": "b"},
        }
        assert passed["uri"] == "/v2/"
        assert passed["querystring"] == event["request"]["querystring"]
