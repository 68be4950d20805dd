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
    change = commands.add_parser("set", help="change the plan, the time zone, what is kept")
    for named in (create, change):
        named.add_argument("name")
        named.add_argument(
            "--plan", metavar="P", help=f"{', '.join(BUILT_IN)}, or one of the settings"
        )
        named.add_argument("--timezone", metavar="Z", help="IANA name, such as Europe/Berlin")
        for kept, what in (("audio", "audio"), ("text", "sessions and dictations")):
            named.add_argument(
                f"--keep-{kept}-days",
                dest=f"retention_{kept}_days",
                type=days,
                default=argparse.SUPPRESS,
                metavar="N",
                help=f"days that {what} are kept; 0: for ever; default: as the settings say",
            )
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
                        kept_of(arguments),
                    )
                else:
                    account = accounts.change(
                        session,
                        arguments.name,
                        arguments.plan,
                        arguments.timezone,
                        settings.plans.keys(),
                        kept_of(arguments),
                    )
                audit.note(session, f"account.{arguments.action}", account.name)
            found = [account]
        show([described(account) for account in found], arguments.json)
    finally:
        database.close()
    return 0


def days(text: str) -> int | None:
    """Return a number of days, None for `default`; whether it is too large is checked later."""
    if text == "default":
        return None
    if not text.isascii() or not text.isdigit():
        raise argparse.ArgumentTypeError(f"'{text}': want a number of days, or default")
    return int(text)


def kept_of(arguments: argparse.Namespace) -> accounts.Kept:
    """Return how long things are to be kept, as far as it was said."""
    said = vars(arguments)
    return {name: said[name] for name in accounts.RETENTION if name in said}


def described(account: Account) -> dict[str, object]:
    """Return an account in plain values."""
    return {
        "name": account.name,
        "plan": account.plan,
        "timezone": account.timezone,
        "retentionAudioDays": account.retention_audio_days,
        "retentionTextDays": account.retention_text_days,
        "createdAt": timestamp(account.created_at),
    }
