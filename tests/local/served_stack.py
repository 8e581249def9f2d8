"""The template's own distribution, in front of the emulators and without the rest of the local cloud."""

from contextlib import contextmanager

import urllib3

from local import edge_deployment, ports
from local.resources import Resources
from local.state import StateFolder
from tests.edge.suite import KEYS


def prepare(stack, emulators):
    """Make what the distribution needs; the ARN of its store, with the keys of the signatures in it."""
    resources = Resources(emulators, stack)
    for resource in stack:
        if resource.kind in {"AWS::S3::Bucket", "AWS::CloudFront::KeyValueStore"}:
            # Twice, as at a second start.
            resources.ensure(resource)
            resources.ensure(resource)
    arn = stack.attribute("UploadKeys", "Arn")
    for kid, key in KEYS.items():
        write(emulators, arn, kid, key)
    return arn


def write(emulators, arn, key, value):
    url = f"{emulators.aws_endpoint_url}/key-value-stores/{arn}"
    with urllib3.PoolManager(retries=False, timeout=10) as http:
        etag = http.request("GET", url).headers["ETag"]
        answer = http.request("PUT", f"{url}/keys/{key}", json={"Value": value}, headers={"If-Match": etag})
        assert answer.status == 200, answer.data


@contextmanager
def serving(background, stack, emulators, state, *, drop_checksum=False):
    """The port on which it is served while the block lasts."""
    with ports.listen(0) as listener, StateFolder(state) as folder:

        async def start():
            server = edge_deployment.cloudfront(
                *(stack, folder, emulators), listener=listener, api_port=1, drop_checksum=drop_checksum
            )
            await server.start()
            return server

        server = background.run(start())
        yield ports.number(listener)
        background.run(server.close())
