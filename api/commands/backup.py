"""`scribebox backup`: make, restore and verify archives of a box."""

import argparse
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from api.commands.table import show
from appliance import archive, backup, restore
from appliance.archive import Manifest
from appliance.data_folder import DataFolder
from appliance.errors import ArchiveDamaged
from appliance.gathering import Options
from appliance.plain_files import Tell
from appliance.settings import Settings
from appliance.settings_loader import load
from appliance.store.sessions import timestamp
from scheduler import backup as nightly


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the subcommands."""
    commands = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    create = commands.add_parser("create", help="make an archive, also while the box runs")
    create.add_argument(
        "target", type=Path, metavar="TARGET", help="a new folder, or one to make it in"
    )
    create.add_argument("--copy", action="store_true", help="copy audio, never link to it")
    restoring = commands.add_parser(
        "restore", help="make an archive the box; what was there is moved aside"
    )
    restoring.add_argument("archive", type=Path, metavar="ARCHIVE")
    verify = commands.add_parser("verify", help="compare every byte of an archive with its digest")
    verify.add_argument(
        "archive", type=Path, nargs="?", metavar="ARCHIVE", help="default: the newest nightly one"
    )
    for parser_of_action in (create, restoring, verify):
        parser_of_action.add_argument("--json", action="store_true")
        parser_of_action.add_argument("--data", metavar="DIR", help="data folder")


def run(arguments: argparse.Namespace) -> int:
    """Carry out the action on the data folder."""
    settings = load(overrides={"data_dir": arguments.data})
    folder = DataFolder(settings.data_dir)
    os.umask(0o077)  # whatever is written is its owner's
    actions = {"create": create, "restore": restored, "verify": verify}
    row, status = actions[arguments.action](arguments, settings, folder)
    if arguments.json:
        show([row], as_json=True)
    else:  # as lines: a row of these is wider than a terminal
        show([{"what": name, "value": value} for name, value in row.items()], as_json=False)
    return status


def create(
    arguments: argparse.Namespace, settings: Settings, folder: DataFolder
) -> tuple[dict[str, object], int]:
    """Make an archive; audio that the box itself had lost is told of."""
    options = Options(copies=arguments.copy, reserve_bytes=settings.disk_stop_bytes)
    with bar("backup") as tell:
        made = backup.create(folder, arguments.target, options, tell)
    for paths, what in (
        (made.manifest.missing, "is missing in the box"),
        (made.manifest.changed, "is not what it was when it came into the box"),
    ):
        for path in paths:
            sys.stderr.write(f"scribebox: {path}: {what}; an older backup may have it\n")
    row = {**described(made.path, made.manifest), "linked": made.linked}
    return row, 0


def restored(
    arguments: argparse.Namespace, _: Settings, folder: DataFolder
) -> tuple[dict[str, object], int]:
    """Put an archive in the place of what is there."""
    with bar("restore") as tell:
        done = restore.restore(folder, arguments.archive, tell)
    replaced = str(done.replaced) if done.replaced else None
    return {**described(arguments.archive, done.manifest), "replaced": replaced}, 0


def verify(
    arguments: argparse.Namespace, settings: Settings, folder: DataFolder
) -> tuple[dict[str, object], int]:
    """Compare an archive with its manifest."""
    path = arguments.archive or nightly.newest(nightly.place_of(settings, folder))
    try:
        with bar("verify") as tell:
            manifest = archive.verify(path, tell)
    except ArchiveDamaged as error:
        for line in str(error).splitlines():
            sys.stderr.write(f"scribebox: {line}\n")
        return {"archive": str(path), "state": "damaged"}, 1
    return {**described(path, manifest), "state": "ok"}, 0


def described(path: Path, manifest: Manifest) -> dict[str, object]:
    """Return an archive in plain values."""
    return {
        "archive": str(path.absolute()),
        "createdAt": timestamp(manifest.created_at),
        "sessions": manifest.sessions,
        "recordings": manifest.recordings,
        "files": len(manifest.files),
        "bytes": manifest.total_bytes,
        "missing": len(manifest.missing),
        "changed": len(manifest.changed),
    }


@contextmanager
def bar(what: str) -> Iterator[Tell]:
    """Show on a terminal how far it is; give the function that moves the bar."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (TextColumn(what), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as it:
        task = it.add_task(what, total=None)
        yield lambda done, total: it.update(task, completed=done, total=total)
