"""``moorage serviceaccount``: programs that sign in with keys."""

from __future__ import annotations

from moorage_cli.changing import create_command
from moorage_cli.keys import add_key_commands
from moorage_cli.kinds import SERVICE_ACCOUNT
from moorage_cli.nouns import Json
from moorage_cli.resources import noun_group, write
from moorage_cli.session import Session
from moorage_cli.setting import update_command

serviceaccount = noun_group(SERVICE_ACCOUNT, "Programs that sign in with keys.")
serviceaccount.add_command(update_command(SERVICE_ACCOUNT))
add_key_commands(serviceaccount, SERVICE_ACCOUNT)


@serviceaccount.add_command
@create_command(SERVICE_ACCOUNT, "Make a service account. It has no key before add-key.")
def _create(session: Session, body: Json) -> None:
    path = SERVICE_ACCOUNT.collection_path(session, {})
    write(session, "POST", path, body, SERVICE_ACCOUNT.columns)
