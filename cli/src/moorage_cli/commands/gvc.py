"""``moorage gvc``: groups of workloads, in which identities are."""

from __future__ import annotations

from moorage_cli.changing import create_command
from moorage_cli.kinds import GVC
from moorage_cli.nouns import Json
from moorage_cli.resources import noun_group, write
from moorage_cli.session import Session
from moorage_cli.setting import update_command

gvc = noun_group(GVC, "Groups of workloads, in which identities are.")
gvc.add_command(update_command(GVC))


@gvc.add_command
@create_command(GVC, "Make a group of workloads.")
def _create(session: Session, body: Json) -> None:
    write(session, "POST", GVC.collection_path(session, {}), body, GVC.columns)
