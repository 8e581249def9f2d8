"""Copies on a running local cloud: images to copy, requests for copies, and what comes of them."""

import contextlib
import hashlib
import json
import random
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import cache

import botocore.session
import pytest
import urllib3

from local import service
from moorage.adapters import aws, keys
from moorage.adapters.dynamodb import connect_table
from moorage.adapters.dynamodb.rows import from_item
from moorage.bootstrap.stores import StoreSettings
from moorage.domain.jobs import OVERDUE
from tests import copy_checker, journal
from tests.clients import bucket
from tests.local.registry import MANIFEST, Registry

INDEX = "application/vnd.oci.image.index.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"
SIGNATURE = "application/vnd.dev.cosign.simplesigning.v1+json"
WITHIN_SECONDS = 600
OPEN = {"queued", "running"}


def digest_of(content):
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def noise(seed, size):
    return random.Random(seed).randbytes(size)


def until(holds, pause=0.1):
    """What is true at last."""
    deadline = time.monotonic() + WITHIN_SECONDS
    while not (found := holds()):
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(pause)
    return found


class Pusher:
    """Pushes to one repository, with one token."""

    def __init__(self, cloud, repository, login=None):
        self.repository = repository
        self.registry = Registry(cloud, login=login)
        self.renew()

    def renew(self):
        self.headers = {"Authorization": f"Bearer {self.registry.token(self.repository)}"}

    def ask(self, method, path, body=None, **headers):
        url = path if path.startswith("http") else f"{self.registry.url}/v2/{self.repository}/{path}"
        return self.registry.http.request(
            method, url, body=body, headers={**self.headers, **headers}, redirect=False
        )

    def blob(self, content, media_type=LAYER):
        """A blob, as a manifest names it."""
        opened = self.ask("POST", "blobs/uploads/")
        assert opened.status == 202, opened.data
        location = opened.headers["Location"].removeprefix(self.registry.url)
        joint = "&" if "?" in location else "?"
        url = f"{self.registry.url}{location}{joint}digest={digest_of(content)}"
        stored = self.ask("PUT", url, content, **{"Content-Type": "application/octet-stream"})
        assert stored.status == 201, stored.data
        return {"mediaType": media_type, "digest": digest_of(content), "size": len(content)}

    def manifest(self, content, tag=None, media_type=MANIFEST):
        """A manifest, as an index names it."""
        body = json.dumps({"schemaVersion": 2, "mediaType": media_type, **content}).encode()
        put = self.ask("PUT", f"manifests/{tag or digest_of(body)}", body, **{"Content-Type": media_type})
        assert put.status == 201, put.data
        return {"mediaType": media_type, "digest": digest_of(body), "size": len(body)}

    def image(self, *layers, tag=None, **more):
        """An image of such layers, of which each is content."""
        config = self.blob(json.dumps({"made by": "tests", **more}).encode(), CONFIG)
        return self.manifest({"config": config, "layers": [self.blob(each) for each in layers]}, tag)

    def index(self, manifests, tag=None):
        return self.manifest({"manifests": manifests}, tag, INDEX)

    def platforms(self, tag, seed, size=100_000):
        """An index of two platforms, of which one layer is the same, and a signature of it; their digests."""
        shared, found = noise(f"{seed} shared", size), []
        for architecture in ("amd64", "arm64"):
            made = self.image(
                shared,
                noise(f"{seed} {architecture}", size),
                architecture=architecture,
                os="linux",
                seed=seed,
            )
            found.append({**made, "platform": {"os": "linux", "architecture": architecture}})
        index = self.index(found, tag)
        signed = {"config": self.blob(b"{}", "application/vnd.oci.empty.v1+json"), "subject": index}
        signature = self.blob(f"signature of {index['digest']}".encode(), SIGNATURE)
        referrer = self.manifest({**signed, "artifactType": SIGNATURE, "layers": [signature]})
        return [each["digest"] for each in (index, *found, referrer)]

    def many(self, count, seed):
        """That many images of one small layer, tagged by their numbers; their digests by tag."""
        layer = self.blob(noise(seed, 1000))

        def push(number):
            config = self.blob(f'{{"number": "{seed} {number}"}}'.encode(), CONFIG)
            return f"v{number}", self.manifest({"config": config, "layers": [layer]}, f"v{number}")["digest"]

        with ThreadPoolExecutor(8) as pool:
            return dict(pool.map(push, range(count)))

    def digest(self, reference):
        """What a reference names; None if nothing."""
        answer = self.ask("HEAD", f"manifests/{reference}")
        assert answer.status in {200, 404}, answer.status
        return answer.headers["Docker-Content-Digest"] if answer.status == 200 else None

    def pulled(self, digest):
        """Whether a manifest, and all that it names, comes whole out of the repository; its digests."""
        answer = self.ask("GET", f"manifests/{digest}")
        assert answer.status == 200, answer.data
        assert digest_of(answer.data) == digest
        content = json.loads(answer.data)
        found = {digest}
        for child in content.get("manifests", ()):
            found |= self.pulled(child["digest"])
        blobs = [content["config"], *content["layers"]] if "config" in content else ()
        return found | {self._pulled_blob(blob["digest"]) for blob in blobs}

    def referrers(self, digest):
        answer = self.ask("GET", f"referrers/{digest}")
        assert answer.status == 200, answer.data
        return [each["digest"] for each in answer.json()["manifests"]]

    def _pulled_blob(self, digest):
        redirect = self.ask("GET", f"blobs/{digest}")
        assert redirect.status == 307, redirect.data
        answer = self.registry.http.request("GET", redirect.headers["Location"])
        assert (answer.status, digest_of(answer.data)) == (200, digest)
        return digest


class Desk:
    """Requests for copies out of `demo`, by its superuser, into organisations that let that in."""

    def __init__(self, cloud, **stores):
        """`stores` of the organisations to copy to, by their names; they are made now."""
        self.cloud = cloud
        self.logins = {"demo": cloud.credentials}
        self.http = urllib3.PoolManager(retries=False, timeout=60, maxsize=16)
        for org, store in stores.items():
            self.logins[org] = self._found(org, store)
            policy = {
                "name": "copies-from-demo",
                "targetKind": "image",
                "target": "all",
                "bindings": [
                    {"permissions": ["create"], "principalLinks": ["/org/demo/serviceaccount/admin"]}
                ],
            }
            answer = self.ask("PUT", f"/org/{org}/policy", policy, org=org)
            assert answer.status == 201, answer.data

    def _found(self, org, store):
        """The login of the first account of a new organisation."""
        answer = self.http.request(
            "POST",
            f"http://127.0.0.1:{self.cloud.port}/org",
            body=json.dumps({"name": org, "store": store}).encode(),
            headers={"Authorization": f"Bearer {self.cloud.credentials['bootstrap']}"},
        )
        assert answer.status == 201, answer.data
        return {"username": "<token>", "password": answer.json()["key"]["key"]}

    def ask(self, method, path, body=None, org="demo", **headers):
        """The answer of the management API to a superuser of an organisation."""
        return self.http.request(
            method,
            f"http://127.0.0.1:{self.cloud.port}{path}",
            body=None if body is None else json.dumps(body).encode(),
            headers={
                "Authorization": f"Bearer {self.logins[org]['password']}",
                "Content-Type": "application/json",
                **headers,
            },
        )

    def copy(self, reference, to, **wish):
        """The job of a new request."""
        answer = self.ask("POST", f"/org/demo/image/{reference}/-copy", {"destinationOrg": to, **wish})
        assert answer.status == 202, answer.data
        assert answer.headers["Location"] == f"/org/demo/job/{answer.json()['id']}"
        return answer.json()

    def job(self, job_id, org="demo"):
        answer = self.ask("GET", f"/org/{org}/job/{job_id}", org=org)
        assert answer.status == 200, answer.data
        return answer.json()

    def ended(self, job_id):
        """A job, when it has ended."""
        return until(lambda: job if (job := self.job(job_id))["state"] not in OPEN else None, pause=0.2)

    def succeeded(self, job_id):
        job = self.ended(job_id)
        assert job["state"] == "succeeded", job
        return job


@contextlib.contextmanager
def owner(cloud):
    """Table, stores and their settings of a cloud, for its owner's own code in this process."""
    environment = json.loads((cloud.state / service.ADMIN_ENVIRONMENT).read_text("utf-8"))
    environment["S3_ADDRESSING_STYLE"] = "path"
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        # Found once for a process, which may have talked to another cloud before.
        aws._session.cache_clear()
        try:
            yield connect_table(environment["TABLE_NAME"]), StoreSettings.read(environment).connect()
        finally:
            aws._session.cache_clear()


def rows(cloud):
    """All rows of the table."""
    environment = json.loads((cloud.state / service.ADMIN_ENVIRONMENT).read_text("utf-8"))
    client = connect(cloud, "dynamodb")
    pages = client.get_paginator("scan").paginate(TableName=environment["TABLE_NAME"], ConsistentRead=True)
    return [from_item(item) for page in pages for item in page["Items"]]


def problems(cloud, *, undisturbed=True):
    """What the checker finds wrong with all that there is."""
    with owner(cloud) as (_, stores):
        contents = copy_checker.Contents.of_rows(rows(cloud))
        return copy_checker.problems(contents, stores, undisturbed=undisturbed)


def job_row(cloud, job_id):
    """A job, as its row has it; None if there is none."""
    with owner(cloud) as (table, _):
        return table.find_job(job_id, datetime.now(UTC))


def neglect(cloud, job_id):
    """Let a job look as if nobody had touched it for so long that it is overdue, and its lease were over."""
    table = json.loads((cloud.state / service.ADMIN_ENVIRONMENT).read_text("utf-8"))["TABLE_NAME"]
    past = datetime.now(UTC) - OVERDUE - timedelta(minutes=1)
    key, due = keys.job(job_id), keys.job_due(job_id, past + OVERDUE)
    connect(cloud, "dynamodb").update_item(
        TableName=table,
        Key={"pk": {"S": key.pk}, "sk": {"S": key.sk}},
        UpdateExpression="SET modified = :past, leased_until = :past, gsi1sk = :due",
        ConditionExpression="attribute_exists(gsi1pk)",
        ExpressionAttributeValues={":past": {"S": past.isoformat()}, ":due": {"S": due.gsi1sk}},
    )


def outcomes(cloud):
    """What the worker says of the jobs that it was brought to."""
    log = cloud.state / "logs" / "CopyWorkerFunction.log"
    return [(line["job"], line["outcome"]) for line in journal.entries(log) if line["message"] == "copied"]


def put_document(cloud, key, content):
    """Write into the bucket what only the registry writes there."""
    connect(cloud, "s3").put_object(Bucket=bucket.name(cloud.state), Key=key, Body=content)


def connect(cloud, name):
    """A client of an emulated service."""
    environment = json.loads((cloud.state / service.ADMIN_ENVIRONMENT).read_text("utf-8"))
    endpoint = environment["AWS_ENDPOINT_URL_S3" if name == "s3" else "AWS_ENDPOINT_URL"]
    login = environment["AWS_ACCESS_KEY_ID"], environment["AWS_SECRET_ACCESS_KEY"]
    return _client(name, environment["AWS_DEFAULT_REGION"], endpoint, *login)


@cache
def _client(name, region, endpoint, key_id, secret):
    return botocore.session.get_session().create_client(
        name,
        region_name=region,
        endpoint_url=endpoint,
        aws_access_key_id=key_id,
        aws_secret_access_key=secret,
    )


SEEN, UNSEEN = "ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"


def messages(cloud, *kinds):
    """How many messages there are in the queue of copies, seen and unseen ones or of one kind, and in its
    dead-letter queue.
    """
    sqs, names = connect(cloud, "sqs"), list(kinds or (SEEN, UNSEEN))
    found = []
    for queue in ("CopyQueue", "CopyDeadLetterQueue"):
        url = sqs.get_queue_url(QueueName=f"moorage-local-{queue}")["QueueUrl"]
        counts = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
        found.append(sum(int(counts[name]) for name in names))
    return tuple(found)


def s3_requests(cloud):
    """What was asked of S3 so far, on a cloud that counts."""
    return journal.entries(cloud.state / "traffic" / service.S3_TRAFFIC)
