"""Names in paths: repositories called like parts of the protocol, and what must never be a name."""

import pytest

from tests.protocol.sample import DIGEST, IMAGE, IMAGE_DIGEST, fill, require_error, require_success

CONFUSING = [
    "demo/manifests",
    "demo/blobs",
    "demo/blobs/uploads",
    "demo/tags",
    "demo/tags/list",
    "demo/referrers",
    "demo/uploads",
    "demo/v2",
    "demo/token",
    "demo/a/manifests/b",
    "demo/a/blobs/b",
    "demo/a/blobs/uploads/b",
    "demo/a/tags/list/b",
    "demo/blobs/blobs/blobs",
    "demo/manifests/manifests/manifests",
    "demo/a/manifests/blobs/uploads/tags/list/referrers",
    "demo/" + "a" * 128,
    "demo/a.b_c__d---e",
]
BAD = [
    "demo",
    "Demo/app",
    "demo/App",
    "demo/../app",
    "demo/..",
    "demo/%2e%2e/app",
    "demo/%2E%2E",
    "demo/app%00",
    "demo/app%0A",
    "demo/%20app",
    "demo/%C3%A9",
    "demo/%FF",
    "demo/%ED%A0%80",
    "demo/_direct",
    "demo/.hidden",
    "demo/-app",
    "demo/app-",
    "demo//app",
    "demo/app/",
    "demo/a..b",
    "demo/" + "a" * 129,
    "demo/" + "a" * 300,
    "d" * 65 + "/app",
    "demo/" + "a/" * 150 + "a",
    "demo/app%2f..%2f..%2fother%2fapp",
    "demo/app;x=1",
    "demo/app:v1",
    "demo/app@sha256",
    "demo\\app",
]


@pytest.mark.parametrize("name", CONFUSING)
def test_a_repository_may_be_called_like_a_part_of_the_protocol(world, name):
    headers = world.all_of("demo/admin", name)
    fill(world, headers, name)
    location = world.registry.post(f"/v2/{name}/blobs/uploads/", headers=headers).headers["Location"]
    assert location.startswith(f"/v2/{name}/blobs/uploads/")
    require_success(world.registry.patch(location, headers=headers, content=b"x"), 202)
    require_success(world.registry.get(location, headers=headers), 204)
    require_success(world.registry.delete(location, headers=headers), 204)
    assert world.registry.get(f"/v2/{name}/manifests/v1", headers=headers).content == IMAGE
    assert world.registry.get(f"/v2/{name}/blobs/{DIGEST}", headers=headers).status_code == 307
    assert world.registry.get(f"/v2/{name}/tags/list", headers=headers).json() == {
        "name": name,
        "tags": ["v1", "v2"],
    }
    assert (
        world.registry.get(f"/v2/{name}/referrers/{IMAGE_DIGEST}", headers=headers).json()["manifests"] == []
    )
    assert [record.name for record in world.table._repositories] == [name]
    require_success(world.registry.delete(f"/v2/{name}/manifests/v1", headers=headers), 202)


def requests(name):
    yield "GET", f"/v2/{name}/manifests/v1"
    yield "PUT", f"/v2/{name}/manifests/v1"
    yield "GET", f"/v2/{name}/blobs/{DIGEST}"
    yield "POST", f"/v2/{name}/blobs/uploads/"
    yield "GET", f"/v2/{name}/tags/list"
    yield "GET", f"/v2/{name}/referrers/{DIGEST}"


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_name_is_refused_and_makes_nothing(world, name):
    fill(world, world.all_of("other/admin", "other/app"), "other/app")
    headers = world.all_of("demo/admin", "demo/app")
    for method, path in requests(name):
        response = world.registry.request(method, path, headers=headers, content=IMAGE)
        assert response.status_code in (400, 404), path
        require_error(response, response.status_code, "NAME_INVALID", "UNSUPPORTED")
        unnamed = world.registry.request(method, path, content=IMAGE)
        assert unnamed.status_code in (401, 404)
        assert "scope" not in unnamed.headers.get("WWW-Authenticate", "")
    assert {record.name for record in world.table._repositories} == {"other/app"}


def test_an_escaped_slash_is_a_slash_to_the_route_and_to_the_rights_alike(world):
    headers = world.all_of("demo/admin", "demo/app")
    fill(world, headers, "demo/app")
    assert world.registry.get("/v2/demo%2fapp/manifests/v1", headers=headers).content == IMAGE
    require_error(world.registry.get("/v2/other%2fapp/manifests/v1", headers=headers), 401, "UNAUTHORIZED")
    refused = world.all_of("other/admin", "demo/app")
    require_error(world.registry.get("/v2/demo%2fapp/manifests/v1", headers=refused), 403, "DENIED")


UNKNOWN = [
    "/",
    "/v1/",
    "/v3/",
    "/v2x",
    "/v2/_catalog",
    "/v2/demo/app",
    "/v2/demo/app/",
    "/v2/demo/app/tags",
    "/v2/demo/app/tags/",
    "/v2/demo/app/tags/list/",
    "/v2/demo/app/manifests",
    "/v2/demo/app/manifests/",
    "/v2/demo/app/manifests/v1/",
    "/v2/demo/app/referrers/",
    f"/v2/demo/app/blobs/{DIGEST}/",
    "/v2/demo/app/blobs/uploads/_direct/x",
    "/v2/demo/app/blobs/uploads/x/y",
    "/token",
    "/org/demo",
    "/%2e%2e/etc/passwd",
    "/v2/%00",
]


@pytest.mark.parametrize("path", UNKNOWN)
@pytest.mark.parametrize(
    "method", ["GET", "HEAD", "PUT", "POST", "DELETE", "PATCH", "OPTIONS", "TRACE", "PROPFIND"]
)
def test_what_is_no_endpoint_is_404_in_the_shape_of_the_specification(world, path, method):
    headers = world.all_of("demo/admin", "demo/app")
    for sent in (headers, dict[str, str]()):
        require_error(world.registry.request(method, path, headers=sent), 404, "UNSUPPORTED")


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/v2/", "GET, HEAD"),
        ("/v2", "GET, HEAD"),
        ("/v2/demo/app/tags/list", "GET"),
        (f"/v2/demo/app/referrers/{DIGEST}", "GET"),
        (f"/v2/demo/app/blobs/{DIGEST}", "DELETE, GET, HEAD"),
        ("/v2/demo/app/manifests/v1", "DELETE, GET, HEAD, PUT"),
        ("/v2/demo/app/blobs/uploads/", "POST"),
        ("/v2/demo/app/blobs/uploads/x", "DELETE, GET, PATCH, PUT"),
    ],
)
@pytest.mark.parametrize(
    "method", ["GET", "HEAD", "PUT", "POST", "DELETE", "PATCH", "OPTIONS", "PROPFIND", "QUERY"]
)
def test_a_method_that_an_endpoint_does_not_take_is_405(world, path, allowed, method):
    response = world.registry.request(method, path)
    if method in allowed.split(", "):
        assert response.status_code == 401
    else:
        require_error(response, 405, "UNSUPPORTED")
        assert response.headers["Allow"] == allowed
