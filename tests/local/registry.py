"""The few calls of the OCI protocol that show a push and a pull."""

import hashlib
import json

import urllib3

MANIFEST = "application/vnd.oci.image.manifest.v1+json"


class Registry:
    def __init__(self, cloud, host="127.0.0.1", login=None):
        self.url = f"http://{host}:{cloud.port}"
        self.http = urllib3.PoolManager(retries=False, timeout=30)
        self._login = login or cloud.credentials

    def token(self, repository):
        name, password = self._login["username"], self._login["password"]
        answer = self.http.request(
            "GET",
            f"{self.url}/token?service=any&scope=repository:{repository}:pull,push",
            headers=urllib3.make_headers(basic_auth=f"{name}:{password}"),
        )
        assert answer.status == 200, answer.data
        return answer.json()["token"]

    def request(self, method, repository, path, body=None, redirect=False, **headers):
        return self.http.request(
            method,
            f"{self.url}/v2/{repository}/{path}",
            body=body,
            headers={"Authorization": f"Bearer {self.token(repository)}", **headers},
            redirect=redirect,
        )

    def push(self, repository, tag, layer):
        """An image of one layer; its manifest."""
        config = self._blob(repository, b"{}")
        manifest = json.dumps(
            {
                "schemaVersion": 2,
                "mediaType": MANIFEST,
                "config": {"mediaType": "application/vnd.oci.image.config.v1+json"} | config,
                "layers": [
                    {"mediaType": "application/vnd.oci.image.layer.v1.tar"} | self._blob(repository, layer)
                ],
            }
        ).encode()
        headers = {"Content-Type": MANIFEST}
        answer = self.request("PUT", repository, f"manifests/{tag}", manifest, **headers)
        assert answer.status == 201, answer.data
        return manifest

    def pull(self, repository, tag):
        """The manifest and its layer."""
        manifest = self.request("GET", repository, f"manifests/{tag}")
        assert manifest.status == 200, manifest.data
        digest = manifest.json()["layers"][0]["digest"]
        redirect = self.request("GET", repository, f"blobs/{digest}")
        assert redirect.status == 307, redirect.data
        layer = self.http.request("GET", redirect.headers["Location"])
        assert layer.status == 200, layer.data
        return manifest.data, layer.data

    def _blob(self, repository, content):
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        opened = self.request("POST", repository, "blobs/uploads/")
        assert opened.status == 202, opened.data
        location = opened.headers["Location"].removeprefix(self.url)
        joint = "&" if "?" in location else "?"
        answer = self.http.request(
            "PUT",
            f"{self.url}{location}{joint}digest={digest}",
            body=content,
            headers={
                "Authorization": f"Bearer {self.token(repository)}",
                "Content-Type": "application/octet-stream",
            },
        )
        assert answer.status == 201, answer.data
        return {"digest": digest, "size": len(content)}
