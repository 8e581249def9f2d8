"""Which clients are sent straight to the store: those that are known to send a blob in one PUT."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage.domain.user_agents import sends_whole_blobs

DOCKER = "docker/28.5.2 go/go1.24.4 git-commit/ecc6942 kernel/6.12.48 os/linux arch/amd64 "
# As they were measured; in the brackets is docker's command, behind it the containerd store if that is used.
WHOLE = [
    DOCKER
    + r"containerd-client/2.1.9 storage-driver/overlayfs UpstreamClient(Docker-Client/28.2.2 \(linux\))",
    "containerd/1.6.20~ds1",
    "containerd/2.1.9+unknown",
    "buildkit/v0.27",
    "oras/1.3.3",
    "oras-go",
    "oras-go/2.6.0",
    "Helm/3.19.0",
    "Helm/4.0.0",
    "regclient/regctl (v0.9.2)",
    "regclient/regctl",
    "nerdctl/2.1.6",
]
STREAMS = [
    DOCKER + r"UpstreamClient(Docker-Client/28.2.2 \(linux\))",
    "docker/20.10.24+dfsg1 go/go1.19.8 git-commit/5d6db84 kernel/6.1.0 os/linux arch/amd64",
    "skopeo/1.22.0",
    "containers/5.39.2 (github.com/containers/image)",
    "Buildah/1.43.2",
    "go-containerregistry",
    "crane/v0.20.6 go-containerregistry/v0.20.6",
    "Go-http-client/1.1",
    "jib 3.4.5 jib-maven-plugin",
    "kaniko/v1.24.0",
]
UNKNOWN = [
    "",
    " ",
    "curl/8.14.1",
    "python-requests/2.32",
    "Mozilla/5.0",
    # Named somewhere else than at the beginning, or a longer word.
    "my containerd/2.1.9",
    "mycontainerd/2.1.9",
    "containerd",
    "orasx/1",
    "helmfile/1",
    "notdocker/28 containerd-client/2",
    "docker/28 containerd-clients/2",
    "docker/28containerd-client/2",
    "containerd-client/2.1.9",
    "\0containerd/2",
]


@pytest.mark.parametrize("user_agent", WHOLE)
def test_a_client_that_sends_one_put_is_known(user_agent: str) -> None:
    assert sends_whole_blobs(user_agent)


@pytest.mark.parametrize("user_agent", STREAMS + UNKNOWN, ids=ascii)
def test_a_client_that_sends_a_patch_or_is_not_known_is_not(user_agent: str) -> None:
    assert not sends_whole_blobs(user_agent)


@given(st.text() | st.binary().map(lambda raw: raw.decode("latin-1")))
def test_anything_may_be_said(user_agent: str) -> None:
    assert isinstance(sends_whole_blobs(user_agent), bool)


def test_a_long_one_is_read_in_no_time() -> None:
    for piece in ("docker/ ", "docker/containerd-client", " containerd-client"):
        assert not sends_whole_blobs("docker/" + piece * 50_000)
