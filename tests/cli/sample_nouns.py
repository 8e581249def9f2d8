"""Nouns with nothing but the commands that every noun has."""

from __future__ import annotations

from moorage_cli.nouns import Noun, gvc_option
from moorage_cli.output import Column
from moorage_cli.resources import noun_group

_NAME = Column("NAME", "name", whole=True)

policy = noun_group(
    Noun(
        "policy",
        "policies",
        (
            _NAME,
            Column("DESCRIPTION", "description"),
            Column("CREATED", "created", time=True),
            Column("TAGS", "tags"),
        ),
    ),
    "Policies.",
)
identity = noun_group(
    Noun(
        "identity",
        "identities",
        (_NAME,),
        collection="/org/{org}/gvc/{gvc}/{kind}",
        scope=(gvc_option("The group of workloads"),),
    ),
    "Identities.",
)
image = noun_group(Noun("image", "images", (_NAME,), page_size=1000, forced=False), "Images.")
