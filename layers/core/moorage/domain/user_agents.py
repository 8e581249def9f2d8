"""What a client's User-Agent says about how it uploads. It decides where a client is sent, never what it may
do.
"""

from __future__ import annotations

import re

# Clients that send a blob in one PUT. Of docker, those whose images are in a containerd store: its classic
# store sends a PATCH, and says nothing of containerd.
_WHOLE_BLOBS = re.compile(
    r"(?i:containerd/|buildkit/|oras(?:-go)?(?:/|$)|helm/|regclient/|nerdctl/)|docker/.* containerd-client/",
    re.DOTALL,
)


def sends_whole_blobs(user_agent: str) -> bool:
    """Whether a client uploads a blob in one PUT whose length it knows; False for one that is not known."""
    return _WHOLE_BLOBS.match(user_agent) is not None
