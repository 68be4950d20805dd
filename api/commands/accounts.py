"""`scribebox accounts`: make, list and change accounts."""

import argparse

from api.commands.table import show
from appliance.box import open_store
from appliance.plans import BUILT_IN
from appliance.settings_loader import load
from appliance.store import accounts, audit
from appliance.store.entities import Account
from appliance.store.sessions import timestamp


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the subcommands."""
    commands = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    create = commands.add_parser("create", help="make an account")
    listing = commands.add_parser("list", help="list all accounts")
    change = commands.add_parser("set", help="change the plan or the time zone")
    for named in (create, change):
        named.add_argument("name")
        named.add_argument(
            "--plan", metavar="P", help=f"{', '.join(BUILT_IN)}, or one of the settings"
        )
        named.add_argument("--timezone", metavar="Z", help="IANA name, such as Europe/Berlin")
    for parser_of_action in (create, listing, change):
        parser_of_action.add_argument("--json", action="store_true")
        parser_of_action.add_argument("--data", metavar="DIR", help="data folder")


def run(arguments: argparse.Namespace) -> int:
    """Carry out the action on the shared database."""
    settings = load(overrides={"data_dir": arguments.data})
    _, database, _ = open_store(settings)
    try:
        if arguments.action == "list":
            with database.read() as session:
                found = accounts.every(session)
        else:
            with database.write() as session:
                if arguments.action == "create":
                    account = accounts.create(
                        session,
                        arguments.name,
                        arguments.plan or "selfhosted",
                        arguments.timezone or "UTC",
                        settings.plans.keys(),
                    )
                else:
                    account = accounts.change(
                        session,
                        arguments.name,
                        arguments.plan,
                        arguments.timezone,
                        settings.plans.keys(),
                    )
                audit.note(session, f"account.{arguments.action}", account.name)
            found = [account]
        show([described(account) for account in found], arguments.json)
    finally:
        database.close()
    return 0


def described(account: Account) -> dict[str, object]:
    """Return an account in plain values."""
    return {
        "name": account.name,
        "plan": account.plan,
        "timezone": account.timezone,
        "createdAt": timestamp(account.created_at),
    }
