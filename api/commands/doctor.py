"""`scribebox doctor`: what works, what does not, and the command that mends it."""

import argparse
import dataclasses

from api.commands.table import show
from appliance import doctor
from appliance.settings_loader import load


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--data", metavar="DIR", help="data folder")


def run(arguments: argparse.Namespace) -> int:
    """Print every finding; 1 if something failed."""
    findings = doctor.examine(load(overrides={"data_dir": arguments.data}))
    show([dataclasses.asdict(finding) for finding in findings], arguments.json)
    return 1 if any(finding.state == "failed" for finding in findings) else 0
