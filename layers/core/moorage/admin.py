"""``moorage-admin``: makes organisations and service accounts, straight in the table.

For whoever may write to the deployment's table: it goes through the same services as the HTTP side and asks
nobody for permission.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from moorage.adapters.dynamodb import connect_table
from moorage.bootstrap.stores import other_buckets
from moorage.domain.blobs import DEFAULT_STORE
from moorage.domain.errors import RegistryError
from moorage.domain.principals import BUILT_IN_GROUPS, KeyRecord, ServiceAccount
from moorage.services.accounts import AccountAdministration

_FAILED = 1


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit code is 0 when it did what it says, 1 when not, 2 for wrong usage."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if not options.table:
        parser.error("name the table with --table or TABLE_NAME; the stack's output TableName has it")
    try:
        stores = {DEFAULT_STORE, *other_buckets(options.stores)}
    except ValueError as error:
        parser.error(str(error))
    accounts = AccountAdministration(connect_table(options.table), lambda: datetime.now(UTC), stores)
    try:
        answer = options.run(accounts, options)
    except RegistryError as error:
        print(f"moorage-admin: {error.message}", file=sys.stderr)  # noqa: T201
        return _FAILED
    print(json.dumps(answer, indent=2))  # noqa: T201
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="moorage-admin",
        description="Make organisations, service accounts and keys in a deployment's table.",
        epilog="AWS credentials, Region and endpoints come from the environment, as for every AWS tool.",
    )
    parser.add_argument(
        "--table", default=os.environ.get("TABLE_NAME"), help="name of the table (default: $TABLE_NAME)"
    )
    parser.add_argument(
        "--stores",
        default=os.environ.get("STORES", ""),
        help="the deployment's stores beside its own bucket, as its functions have them (default: $STORES)",
    )
    kinds = parser.add_subparsers(metavar="KIND", required=True)
    _organisation(kinds.add_parser("organisation", help="organisations"))
    _service_account(kinds.add_parser("serviceaccount", help="service accounts and their groups"))
    _key(kinds.add_parser("key", help="keys of service accounts"))
    return parser


def _organisation(parser: argparse.ArgumentParser) -> None:
    verbs = parser.add_subparsers(metavar="VERB", required=True)
    create = verbs.add_parser("create", help="make an organisation with its built-in groups")
    create.add_argument("org", metavar="ORG")
    create.add_argument(
        "--store",
        default=DEFAULT_STORE,
        help="the store that it lives in, for good (default: %(default)s, the stack's own bucket)",
    )
    create.set_defaults(run=_create_organisation)
    delete = verbs.add_parser(
        "delete",
        help="remove an organisation with all that is in it; again goes on where it stopped",
    )
    delete.add_argument("org", metavar="ORG")
    delete.add_argument("--force", action="store_true", help="also if it has images")
    delete.set_defaults(run=_delete_organisation)


def _service_account(parser: argparse.ArgumentParser) -> None:
    verbs = parser.add_subparsers(metavar="VERB", required=True)
    create = verbs.add_parser("create", help="make a service account")
    _account_arguments(create)
    create.add_argument("--description", default="")
    create.add_argument(
        "--group",
        action="append",
        default=[],
        help=f"put it into this group, for example {' or '.join(BUILT_IN_GROUPS)}; may be repeated",
    )
    create.set_defaults(run=_create_service_account)
    for verb, run in (("join", _join), ("leave", _leave)):
        member = verbs.add_parser(verb, help=f"let a service account {verb} a group")
        _account_arguments(member)
        member.add_argument("group", metavar="GROUP")
        member.set_defaults(run=run)


def _key(parser: argparse.ArgumentParser) -> None:
    verbs = parser.add_subparsers(metavar="VERB", required=True)
    create = verbs.add_parser("create", help="make a key; its secret is printed this once")
    _account_arguments(create)
    create.add_argument("name", metavar="KEY")
    create.add_argument("--description", default="")
    create.add_argument("--days", type=int, help="let it expire after so many days (default: never)")
    create.set_defaults(run=_create_key)
    listing = verbs.add_parser("list", help="list the keys of a service account, without their secrets")
    _account_arguments(listing)
    listing.set_defaults(run=_list_keys)
    revoke = verbs.add_parser("revoke", help="end a key at once")
    _account_arguments(revoke)
    revoke.add_argument("name", metavar="KEY")
    revoke.set_defaults(run=_revoke_key)


def _account_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("org", metavar="ORG")
    parser.add_argument("account", metavar="ACCOUNT")


def _create_organisation(accounts: AccountAdministration, options: argparse.Namespace) -> Any:
    accounts.create_organisation(options.org, options.store)
    return {"organisation": options.org, "store": options.store}


def _delete_organisation(accounts: AccountAdministration, options: argparse.Namespace) -> Any:
    removed = accounts.remove_organisation(options.org, force=options.force)
    again = None if removed.finished else removed.again.isoformat(timespec="seconds")
    return {"organisation": options.org, "rows": removed.rows, "finished": removed.finished, "again": again}


def _create_service_account(accounts: AccountAdministration, options: argparse.Namespace) -> Any:
    account = accounts.create_service_account(
        options.org, options.account, description=options.description, groups=options.group
    )
    return {"serviceaccount": account.link, "groups": options.group}


def _join(accounts: AccountAdministration, options: argparse.Namespace) -> Any:
    account = ServiceAccount.parse(options.org, options.account)
    accounts.add_member(options.org, options.group, account)
    return {"serviceaccount": account.link, "joined": options.group}


def _leave(accounts: AccountAdministration, options: argparse.Namespace) -> Any:
    account = ServiceAccount.parse(options.org, options.account)
    accounts.remove_member(options.org, options.group, account)
    return {"serviceaccount": account.link, "left": options.group}


def _create_key(accounts: AccountAdministration, options: argparse.Namespace) -> Any:
    life = None if options.days is None else timedelta(days=options.days)
    account = ServiceAccount.parse(options.org, options.account)
    new = accounts.add_key(account, options.name, description=options.description, life=life)
    return {**_shown(new.record), "username": "<token>", "key": new.secret}


def _list_keys(accounts: AccountAdministration, options: argparse.Namespace) -> Any:
    keys = accounts.keys(ServiceAccount.parse(options.org, options.account))
    return [_shown(key) for key in keys]


def _revoke_key(accounts: AccountAdministration, options: argparse.Namespace) -> Any:
    accounts.revoke_key(ServiceAccount.parse(options.org, options.account), options.name)
    return {"revoked": options.name}


def _shown(key: KeyRecord) -> dict[str, Any]:
    return {
        "serviceaccount": key.owner,
        "name": key.name,
        "id": key.id,
        "description": key.description,
        "created": key.created.isoformat(timespec="seconds"),
        "expires": None if key.expires is None else key.expires.isoformat(timespec="seconds"),
        "lastUsed": None if key.last_used is None else key.last_used.isoformat(),
    }


if __name__ == "__main__":
    sys.exit(main())
