"""`scribebox devices`: the microphones of this machine."""

import argparse
import sys

from api.commands.table import show


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--json", action="store_true")


def run(arguments: argparse.Namespace) -> int:
    """Print the input devices as PortAudio finds them now."""
    from engine import microphone

    rows = [
        {
            "name": device.name,
            "channels": device.channels,
            "defaultRate": device.default_rate,
            "default": device.is_default,
        }
        for device in microphone.devices()
    ]
    show(rows, arguments.json)
    if not rows:
        sys.stderr.write("scribebox: PortAudio works, but there is no input device\n")
    return 0
