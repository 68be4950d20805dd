"""What a capture that lost its device hands on to itself when it executes itself anew."""

import json
import os
import sys
from dataclasses import asdict, dataclass
from typing import NoReturn, Self

from engine.errors import MicrophoneUnavailable

OPTION = "--loss"


@dataclass(frozen=True, slots=True)
class Loss:
    """A take whose device is gone; moments are of the monotonic clock, which goes on."""

    lock: int  # the descriptor that holds it
    device: str | None
    last_at: float  # when the last sample came
    cause: str  # of the gap that is open
    attempt: int  # how often the device was not there
    beaten_at: float  # when the heartbeat was last seen to move

    @classmethod
    def parse(cls, told: str) -> Self:
        """Return what was handed on; the lock is this process's again, and no child's."""
        loss = cls(**json.loads(told))
        os.set_inheritable(loss.lock, False)
        return loss

    def start_anew(self) -> NoReturn:
        """Execute this process again, with its own command line and what is to be known."""
        os.set_inheritable(self.lock, True)
        os.dup2(sys.stderr.fileno(), 2)
        arguments = sys.orig_argv[1:]
        if OPTION in arguments:
            arguments = arguments[: arguments.index(OPTION)]
        try:
            os.execv(
                sys.executable,
                [sys.executable, *arguments, OPTION, json.dumps(asdict(self))],
            )
        except OSError as error:  # an upgrade may be taking it away just now
            raise MicrophoneUnavailable(
                f"{sys.executable}: can't be started again: {error.strerror}; launch a new capture"
            ) from error
