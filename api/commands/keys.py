"""`scribebox keys`: make, list and revoke API keys, also while the box runs."""

import argparse
import json

from api.commands.table import show
from appliance.box import open_store
from appliance.settings_loader import load
from appliance.store import accounts, audit, keys
from appliance.store.entities import ApiKey
from appliance.store.sessions import timestamp


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the subcommands."""
    commands = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    create = commands.add_parser("create", help="make a key; it is shown once")
    create.add_argument("name", help="what it is for")
    create.add_argument(
        "--scope", action="append", required=True, metavar="S", help=", ".join(keys.SCOPES)
    )
    create.add_argument("--account", default=accounts.DEFAULT, help="default: %(default)s")
    create.add_argument("--expires", metavar="90d", help="a number and h, d, w or y")
    listing = commands.add_parser("list", help="list all keys, never their secrets")
    revoke = commands.add_parser("revoke", help="end a key for good")
    revoke.add_argument("id", help="its eight characters")
    for parser_of_action in (create, listing, revoke):
        parser_of_action.add_argument("--json", action="store_true")
        parser_of_action.add_argument("--data", metavar="DIR", help="data folder")


def run(arguments: argparse.Namespace) -> int:
    """Carry out the action on the shared database."""
    _, database, _ = open_store(load(overrides={"data_dir": arguments.data}))
    try:
        if arguments.action == "create":
            expires_at = keys.expiry(arguments.expires) if arguments.expires else None
            with database.write() as session:
                account = accounts.named(session, arguments.account)
                key, plain = keys.create(
                    session, account, arguments.name, arguments.scope, expires_at
                )
                audit.note(session, "key.create", key.id, account_id=account.id)
            if arguments.json:
                print(json.dumps({**described(key), "key": plain}, indent=2))
            else:
                print(plain)
        elif arguments.action == "list":
            with database.read() as session:
                rows = [{**described(key), "account": name} for key, name in keys.every(session)]
            show(rows, arguments.json)
        else:
            with database.write() as session:
                key = keys.revoke(session, arguments.id)
                audit.note(session, "key.revoke", key.id, account_id=key.account_id)
            show([described(key)], arguments.json)
    finally:
        database.close()
    return 0


def described(key: ApiKey) -> dict[str, object]:
    """Return what may be known of a key."""
    return {
        "id": key.id,
        "name": key.name,
        "scopes": key.scopes.split(),
        "state": keys.state(key),
        "createdAt": timestamp(key.created_at),
        "expiresAt": timestamp(key.expires_at) if key.expires_at else None,
        "lastUsedAt": timestamp(key.last_used_at) if key.last_used_at else None,
    }
