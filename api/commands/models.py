"""`scribebox models`: list, fetch, import and verify Whisper models."""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

from api.commands.table import show
from appliance.data_folder import DataFolder
from appliance.settings_loader import load
from engine.errors import ModelUnavailable
from engine.models import Model, Shelf


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the subcommands."""
    commands = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    listing = commands.add_parser("list", help="list what is installed, the default first")
    pull = commands.add_parser("pull", help="fetch a model from the hub (needs internet)")
    pull.add_argument("name", help="such as small, small.en, large-v3-turbo, or OWNER/REPOSITORY")
    importing = commands.add_parser("import", help="copy a model from a folder (no internet)")
    importing.add_argument("folder", type=Path, metavar="DIR")
    importing.add_argument("--name", help="default: the name of the folder")
    verify = commands.add_parser("verify", help="compare every file with its digest")
    for parser_of_action in (listing, pull, importing, verify):
        parser_of_action.add_argument("--json", action="store_true")
        parser_of_action.add_argument("--data", metavar="DIR", help="data folder")


def run(arguments: argparse.Namespace) -> int:
    """Carry out the action on the models of the data folder."""
    settings = load(overrides={"data_dir": arguments.data})
    shelf = Shelf(DataFolder(settings.data_dir).make().models)
    if arguments.action == "verify":
        return verify(shelf, arguments.json)
    if arguments.action == "pull":
        models = [shelf.pull(arguments.name)]
    elif arguments.action == "import":
        models = [shelf.import_folder(arguments.folder, arguments.name)]
    else:
        models = list(sound(shelf))
    chosen = settings.model or next(iter(shelf.names()), None)
    show([described(model, model.name == chosen) for model in models], arguments.json)
    return 0


def verify(shelf: Shelf, as_json: bool) -> int:
    """Verify each model; 1 if one is not what it should be."""
    rows, failed = [], False
    for name in shelf.names():
        try:
            shelf.find(name).verify()
            rows.append({"name": name, "state": "ok"})
        except ModelUnavailable as error:
            sys.stderr.write(f"scribebox: {error}\n")
            rows.append({"name": name, "state": "damaged"})
            failed = True
    show(rows, as_json)
    return 1 if failed else 0


def sound(shelf: Shelf) -> Iterator[Model]:
    """Yield the models that are whole; what is wrong with the others goes to stderr."""
    for name in shelf.names():
        try:
            model = shelf.find(name)
            for file in model.digests:
                if not (model.folder / file).is_file():
                    raise ModelUnavailable(f"model '{name}': {model.folder / file} is missing")
            yield model
        except ModelUnavailable as error:
            sys.stderr.write(f"scribebox: {error}\n")


def described(model: Model, default: bool) -> dict[str, object]:
    """Return a model in plain values."""
    size = sum((model.folder / file).stat().st_size for file in model.digests)
    return {
        "name": model.name,
        "default": default,
        "languages": "en" if model.english_only else "many",
        "megabytes": size // 1_000_000,
        "from": model.origin,
        "folder": str(model.folder),
    }
