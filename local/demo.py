"""The demo organisation: made at the first start, by the services that `moorage-admin` uses."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime

from moorage.adapters.dynamodb import connect_table
from moorage.domain.errors import AlreadyExists, NotFound
from moorage.domain.principals import ServiceAccount, hash_key
from moorage.services.accounts import AccountAdministration

ORGANISATION = "demo"
USERNAME = "<token>"
"""What docker takes as user name when the password is a key."""

_ACCOUNT = "admin"
_GROUP = "superusers"
_KEY = "local"


@dataclass(frozen=True)
class Login:
    """Who may do everything in the demo organisation."""

    organisation: str
    username: str
    password: str


def ensure(table: str, password: str | None) -> Login:
    """The login of the demo organisation, in the table that the AWS variables of the environment lead to.

    A password that was given out before is kept as long as the table knows it.
    """
    accounts = AccountAdministration(connect_table(table), lambda: datetime.now(UTC))
    with suppress(AlreadyExists):
        accounts.create_organisation(ORGANISATION)
    account = ServiceAccount.parse(ORGANISATION, _ACCOUNT)
    with suppress(AlreadyExists):
        accounts.create_service_account(ORGANISATION, _ACCOUNT, description="made by make run")
    accounts.add_member(ORGANISATION, _GROUP, account)
    known = {key.sha256 for key in accounts.keys(account)}
    if password is None or hash_key(password) not in known:
        with suppress(NotFound):
            accounts.revoke_key(account, _KEY)
        password = accounts.add_key(account, _KEY, description="made by make run").secret
    return Login(ORGANISATION, USERNAME, password)
