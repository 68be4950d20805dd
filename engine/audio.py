"""Turn any file into 16 kHz mono samples, as a stream in constant memory, and samples into FLAC.

Files are decoded in a child process (`engine.decoder`), which may crash, hang or be lied to without
harm to the caller. Samples are int16, one dimension, SAMPLE_RATE a second.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Self

import numpy as np
import numpy.typing as npt

from engine.decoder import READABLE
from engine.decoder import SAMPLE_RATE as SAMPLE_RATE
from engine.errors import AudioUnreadable

Samples = npt.NDArray[np.int16]
BLOCK_SAMPLES = 4 * SAMPLE_RATE
MEDIA_TYPES = {  # by FFmpeg's name of the demuxer
    "wav": "audio/wav",
    "w64": "audio/x-w64",
    "flac": "audio/flac",
    "mp3": "audio/mpeg",
    "ogg": "audio/ogg",
    "mov,mp4,m4a,3gp,3g2,mj2": "audio/mp4",
    "matroska,webm": "audio/webm",
    "aac": "audio/aac",
    "amr": "audio/amr",
    "aiff": "audio/aiff",
    "asf": "audio/x-ms-wma",
    "caf": "audio/x-caf",
    "au": "audio/basic",
}
HANDED_ON = ("PATH", "HOME", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "PYTHONPATH", "PYTHONUTF8")
TRUNCATED_SECONDS = 0.5  # a declared length is rounded by up to a frame; more than this is a loss


@dataclass(frozen=True, slots=True)
class DecodeLimits:
    """What a child may use before it is ended, and what of the file it is to bring."""

    memory_bytes: int = 2 << 30  # address space, of which libraries alone map a few hundred MiB
    cpu_seconds: int = 3600
    audio_seconds: int = 100 * 3600  # a few kilobytes can claim years
    channel: int | None = None  # this one alone, counted from 0; None: all of them mixed


class Decoding:
    """A file being decoded: iterate over it for blocks of samples; leave it to end the child.

        with Decoding(path) as decoding:
            for block in decoding: ...

    The child is started at once, and its verdict on the file read on entering the block. `seconds`
    is the length the file declares (None if it doesn't), `media_type` what it is (None if there is
    no common name), `channels` how many it has: all known from then on.
    After the last block `warning` says whether the file was cut short or damaged.
    """

    def __init__(self, path: Path, limits: DecodeLimits | None = None) -> None:
        self.path = path
        self.warning: str | None = None
        self.seconds: float | None = None
        self.media_type: str | None = None
        self.channels = self.samples = 0
        self._limits = limits = limits or DecodeLimits()
        if not path.exists():
            raise AudioUnreadable(f"{path}: no such file")
        if not path.is_file():
            raise AudioUnreadable(f"{path}: is not a regular file")
        try:
            source = path.open("rb")
        except OSError as error:
            raise AudioUnreadable(f"{path}: can't be opened: {error.strerror}") from error
        with source:
            if os.fstat(source.fileno()).st_size == 0:
                raise AudioUnreadable(f"{path}: is empty (0 bytes)")
            self._child = subprocess.Popen(
                [sys.executable, "-P", "-m", "engine.decoder", *arguments(limits)],
                stdin=source,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env={**bare_environment(), "OPENBLAS_NUM_THREADS": "1"},
                start_new_session=True,  # Ctrl-C is the parent's to answer
            )

    @property
    def pid(self) -> int:
        """Return the child's process id."""
        return self._child.pid

    @property
    def _out(self) -> IO[bytes]:
        assert self._child.stdout is not None
        return self._child.stdout

    def __iter__(self) -> Iterator[Samples]:
        while data := self._out.read(2 * BLOCK_SAMPLES):
            self.samples += len(data) // 2
            if self.samples > self._limits.audio_seconds * SAMPLE_RATE:
                raise AudioUnreadable(
                    f"{self.path}: holds more than {self._limits.audio_seconds // 3600} hours; "
                    "cut it into shorter files"
                )
            yield np.frombuffer(data[: len(data) // 2 * 2], np.int16)
        self._finish()

    def _finish(self) -> None:
        """Read how it ended; raise if nothing could be made of the file."""
        assert self._child.stderr is not None
        said = self._child.stderr.read().decode(errors="replace").strip().splitlines()
        status = self._child.wait()
        report: dict[str, object] = {}
        with contextlib.suppress(ValueError, IndexError):
            report = json.loads(said[-1])
        if "error" in report:
            raise AudioUnreadable(f"{self.path}: {report['error']}")
        if status != READABLE:
            raise AudioUnreadable(f"{self.path}: the decoder gave up on it ({cause(status)})")
        if self.samples == 0:
            damaged = "its audio is damaged" if report.get("corrupt") else "holds no sound"
            raise AudioUnreadable(f"{self.path}: {damaged} (0 samples)")
        got = self.samples / SAMPLE_RATE
        if self.seconds is not None and got < self.seconds - TRUNCATED_SECONDS:
            self.warning = f"is cut short: {got:.1f} of {self.seconds:.1f} s could be read"
        elif report.get("corrupt"):
            self.warning = f"is damaged: {report['corrupt']} packets could not be read"

    def close(self) -> None:
        """End the child if it still runs."""
        if self._child.poll() is None:
            self._child.kill()
        for pipe in (self._child.stdout, self._child.stderr):
            if pipe is not None:
                pipe.close()
        self._child.wait()

    def __enter__(self) -> Self:
        try:
            header = self._out.readline()
            if not header:
                self._finish()
            declared = json.loads(header)
            self.seconds = declared["seconds"]
            self.media_type = MEDIA_TYPES.get(declared["format"])
            self.channels = declared["channels"]
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def arguments(limits: DecodeLimits) -> list[str]:
    """Return what a child is told of its limits."""
    told = [limits.memory_bytes, limits.cpu_seconds]
    return [str(number) for number in (*told, limits.channel) if number is not None]


def bare_environment() -> dict[str, str]:
    """Return what a child needs of the environment: no secret is among it."""
    return {name: value for name, value in os.environ.items() if name in HANDED_ON}


def cause(status: int) -> str:
    """Return why a child ended, from its exit status, in words."""
    if status == -signal.SIGXCPU or status == -signal.SIGKILL:
        return f"stopped: {signal.Signals(-status).name}, too much work or memory"
    if status < 0:
        return f"crashed: {signal.Signals(-status).name}"
    return f"exit status {status}"


def read(path: Path) -> Samples:
    """Return all samples of a short file at once."""
    with Decoding(path) as decoding:
        return np.concatenate(list(decoding))


def write_flac(path: Path, blocks: Iterable[Samples]) -> int:
    """Write `blocks` to a FLAC file that is whole or not there at all; return its samples.

    Written beside as `<name>.part`, decoded again and compared, fsynced and renamed, and the
    folder fsynced, so that a power cut at any moment leaves the old state or the new one.
    """
    part = path.with_name(path.name + ".part")
    try:
        samples = write_part(part, blocks)
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)
    return samples


def write_part(part: Path, blocks: Iterable[Samples]) -> int:
    """Write a FLAC file, read it again and make it survive a power cut; return its samples."""
    import av

    samples = checksum = 0
    with av.open(str(part), "w", format="flac") as container:
        stream = container.add_stream("flac", rate=SAMPLE_RATE, layout="mono")
        for block in blocks:
            frame = av.AudioFrame.from_ndarray(block.reshape(1, -1), format="s16", layout="mono")
            frame.sample_rate = SAMPLE_RATE
            container.mux(stream.encode(frame))
            samples += len(block)
            checksum = zlib.crc32(block.tobytes(), checksum)
        container.mux(stream.encode(None))
    with Decoding(part) as written:
        read_back = 0
        for block in written:
            read_back = zlib.crc32(block.tobytes(), read_back)
        if read_back != checksum:
            raise AudioUnreadable(f"{part}: what was written does not decode to what was given")
        if written.samples != samples:
            raise AudioUnreadable(f"{part}: {written.samples} of {samples} samples came back")
    with part.open("rb") as file:
        os.fsync(file.fileno())
    return samples


def sync_folder(folder: Path) -> None:
    """Make renames and new names in `folder` survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
