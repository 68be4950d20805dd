"""What the README says exists, and what exists the README says."""

import argparse
import re
from pathlib import Path

from api import app, cli
from appliance.settings import Settings
from appliance.store.keys import SCOPES

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")


def rows(heading: str) -> list[list[str]]:
    """Return the cells of the table under a heading."""
    section = README.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")][2:]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]


def commands(parser: argparse.ArgumentParser, path: str) -> set[str]:
    """Return every command of a parser that has no commands below it."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            found: set[str] = set()
            for name, child in action.choices.items():
                found |= commands(child, f"{path} {name}")
            return found
    return {path}


def test_the_table_of_settings_is_the_settings():
    documented = {row[0].strip("`"): row[1].strip("`") for row in rows("Settings")}
    assert list(documented) == list(Settings.model_fields)
    for name in ("host", "port", "device", "threads", "log_level"):
        assert documented[name] == str(Settings.model_fields[name].default)


def test_the_table_of_scopes_is_the_scopes():
    assert {row[0].strip("`"): row[1] for row in rows("Scopes")} == SCOPES


def test_the_table_of_routes_is_the_routes_with_their_scopes():
    documented = {
        tuple(re.sub(r"(?<=\S)/$", "", row[0].strip("`")).split()): row[1].strip("`")
        for row in rows("Routes")
    }
    assert documented.pop(("GET", "/schema/openapi.json")) == "none"
    found = {}
    for handler in app.ROUTES:
        for method in getattr(handler, "http_methods", {"WS"}):
            for path in handler.paths:
                plain = re.sub(r"\{(\w+):\w+\}", r"{\1}", path)
                found[(str(getattr(method, "value", method)), plain)] = handler.opt.get(
                    "scope", "none"
                )
    assert documented == found


def test_the_table_of_commands_is_the_commands():
    documented = set()
    for row in rows("Commands"):
        words = row[0].strip("`").split()
        documented.add(" ".join(w for w in words if w.islower() and not w.startswith("-")))
    assert documented == commands(cli.parser(), "scribebox")


def test_every_file_and_target_that_the_documents_name_exists():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in set(re.findall(r"(?:`|\n)make ([\w-]+)", README + CONTRIBUTING)):
        assert f"\n{target}:" in makefile, target
    named = re.findall(
        r"(?<![\w/])((?:tests|systemd|api|appliance|\.ci)/[\w./]+)", README + CONTRIBUTING
    )
    for path in {path.rstrip(".") for path in named if not path.endswith(("_", "NNNN_name.sql"))}:
        assert (ROOT / path).exists(), path
