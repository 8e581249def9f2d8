"""How clients come in, as the environments of several functions tell it."""

from __future__ import annotations

from collections.abc import Mapping

from moorage.web.origin import Entrance


def read_entrance(environ: Mapping[str, str]) -> Entrance:
    """How clients come in, by ``environ``: what is empty is not there."""
    return Entrance(environ.get("REGISTRY_DOMAIN") or None, environ.get("FRONT_DOOR") or None)
