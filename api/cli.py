"""`scribebox`: every command in one table; errors become one line and an exit code here.

Exit codes: 0 done, 1 failed, 2 wrong use, 130 interrupted. What a command gives goes to stdout,
everything it says about it to stderr.
"""

import argparse
import contextlib
import importlib
import os
import sys
from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

COMMANDS = {
    "serve": "run the box",
    "transcribe": "files to text, without a server",
    "record": "record from the microphone of this machine into a session",
    "devices": "list the microphones of this machine",
    "keys": "make, list and revoke API keys",
    "accounts": "make, list and change accounts",
    "models": "list, fetch, import and verify models",
    "backup": "make, restore and verify backups of the box",
    "doctor": "what works, what does not, and the command that mends it",
    "openapi": "print the OpenAPI document",
}
DONE, FAILED, WRONG_USE, INTERRUPTED = 0, 1, 2, 130


def parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command line."""
    whole = argparse.ArgumentParser(
        prog="scribebox", description="A self-hosted transcription appliance."
    )
    whole.add_argument("--version", action="version", version=f"scribebox {version('scribebox')}")
    commands = whole.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, purpose in COMMANDS.items():
        command = commands.add_parser(name, help=purpose, description=purpose)
        module(name).add(command)
    return whole


def module(name: str) -> Any:
    """Return the module of a command."""
    return importlib.import_module(f"api.commands.{name}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    from sqlalchemy.exc import DatabaseError

    from appliance.errors import Refused, ScribeboxError, SettingRefused
    from engine.errors import EngineError, LanguageUnsupported

    parsed = parser().parse_args(arguments)
    try:
        status = int(module(parsed.command).run(parsed))
        if sys.stdout is not None:
            sys.stdout.flush()  # here, where a closed pipe is no surprise
        return status
    except (SettingRefused, Refused, LanguageUnsupported) as error:
        return complain(error, WRONG_USE)
    except (ScribeboxError, EngineError) as error:
        return complain(error, FAILED)
    except DatabaseError as error:
        return complain(f"the database can't be used: {error.orig}; see scribebox doctor", FAILED)
    except BrokenPipeError:  # `scribebox ... | head`
        with contextlib.suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    except OSError as error:  # a disk that is full, a folder that may not be written
        return complain(f"{error.filename or parsed.command}: {error.strerror}", FAILED)
    except KeyboardInterrupt:
        return INTERRUPTED


def complain(error: Exception | str, status: int) -> int:
    """Say what is wrong and return the exit code."""
    for line in str(error).splitlines():
        sys.stderr.write(f"scribebox: {line}\n")
    return status


if __name__ == "__main__":
    sys.exit(main())
