"""The samples of `events/`, and what an event has in common with one."""

import json

from tests.running_cloud import ROOT


def sample(name):
    return json.loads((ROOT / "events" / f"{name}.json").read_text("utf-8"))


def shape(value):
    """The keys at all levels and the types of the values; of a list, what its items have in common."""
    if isinstance(value, dict):
        return {key: shape(item) for key, item in value.items()}
    if isinstance(value, list):
        shapes = [shape(item) for item in value]
        assert all(one == shapes[0] for one in shapes), "a list of different things"
        return shapes[:1]
    return type(value).__name__
