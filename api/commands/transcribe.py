"""`scribebox transcribe`: files to text, without a server and without a database."""

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from appliance.errors import SettingRefused
from appliance.settings import Settings
from appliance.settings_loader import load
from engine.errors import EngineError, LanguageUnsupported
from engine.hardware import Hardware
from engine.models import Shelf
from engine.transcript import Transcript
from engine.transcription import FileTranscription, Progress
from engine.whisper import Request, Whisper, check_language
from engine.worker import Worker
from engine.writers import FORMATS, as_dict, write

FORMAT_NAMES = tuple(FORMATS)


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("files", nargs="+", metavar="FILE", type=Path, help="audio or video")
    parser.add_argument("--model", help="Whisper model (default: the best one installed)")
    parser.add_argument("--language", help="ISO 639-1 code (default: detected)")
    parser.add_argument(
        "--format", choices=FORMAT_NAMES, help="default: by the ending of PATH, else txt"
    )
    parser.add_argument(
        "-o", "--output", metavar="PATH", help="file, or folder (made if it ends in /)"
    )
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout")
    parser.add_argument("--data", metavar="DIR", help="data folder (for its models)")


def run(arguments: argparse.Namespace) -> int:
    """Transcribe each file; one that fails is one line on stderr and does not stop the rest."""
    given = {"model": arguments.model, "language": arguments.language, "data_dir": arguments.data}
    settings = load(overrides=given)
    settle_output(arguments)
    model = Shelf(settings.data_dir / "models").find(settings.model)
    check_language(model, settings.language)
    hardware = Hardware(settings.device, settings.threads, settings.workers).resolved()
    worker = Worker(lambda: Whisper(model, hardware), workers=hardware.workers).start()
    results: list[dict[str, Any]] = []
    failed = False
    try:
        for path in arguments.files:
            started = time.monotonic()
            try:
                transcript = transcribe(path, worker, settings)
            except EngineError as error:
                if worker.failure is not None or isinstance(error, LanguageUnsupported):
                    raise  # it would be the same with every file
                complain(str(error))
                results.append({"path": shown(path), "error": str(error)})
                failed = True
                continue
            if transcript.warning:
                complain(f"{path}: {transcript.warning}")
                failed = True
            tell_held_back(path, transcript)
            elapsed_s = time.monotonic() - started
            spent = {"elapsedSeconds": round(elapsed_s, 3)}
            results.append({"path": shown(path), **as_dict(transcript), **spent})
            if not arguments.json:
                put(transcript, path, arguments)
            tell_speed(path, transcript, elapsed_s)
    except KeyboardInterrupt:
        # a decode inside CTranslate2 can't be interrupted: everything is closed but that thread
        sys.stderr.write("interrupted\n")
        sys.stderr.flush()
        os._exit(130)
    if arguments.json:
        json.dump({"files": results}, sys.stdout, ensure_ascii=False, indent=2)
        sys.stdout.write("\n")
    worker.stop()
    return 1 if failed else 0


def shown(path: Path) -> str:
    """Return a path that any output can hold, whatever bytes its name has."""
    return os.fsencode(path).decode(errors="replace")


def transcribe(path: Path, worker: Worker, settings: Settings) -> Transcript:
    """Transcribe one file behind a progress bar (on a terminal; none in a pipe)."""
    request = Request(language=settings.language)
    with bar(path) as show:
        transcription = FileTranscription(path, worker, request, on_progress=show)
        try:
            return transcription.run()
        except KeyboardInterrupt:
            transcription.cancel()
            raise


@contextmanager
def bar(path: Path) -> Iterator[Callable[[Progress], None]]:
    """Show a progress bar while the block runs; give the function that moves it."""
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[speed]}"),
    )
    with Bar(*columns, console=console, transient=True, disable=not console.is_terminal) as shown:
        task = shown.add_task(escape(path.name), total=None, speed="")
        yield mover(shown, task)


def mover(all_bars: Any, task: Any) -> Callable[[Progress], None]:
    """Return what moves a bar: the share done and how many times faster than real time."""
    started = time.monotonic()

    def move(progress: Progress) -> None:
        speed = progress.done_seconds / max(time.monotonic() - started, 0.001)
        all_bars.update(
            task,
            total=progress.total_seconds,
            completed=progress.done_seconds,
            speed=f"{speed:.1f} x real time",
        )

    return move


def settle_output(arguments: argparse.Namespace) -> None:
    """Decide where to and in which format; refuse what can't be before any work is done."""
    asked: str | None = None if arguments.output == "-" else arguments.output
    output = arguments.output = Path(asked) if asked else None
    if asked and asked.endswith("/"):
        Path(asked).mkdir(parents=True, exist_ok=True)
    if arguments.format is None:
        ending = output.suffix.removeprefix(".") if output and not output.is_dir() else ""
        arguments.format = ending if ending in FORMAT_NAMES else "txt"
    several = len(arguments.files) > 1
    if output is None:
        if not arguments.json and arguments.format == "docx" and sys.stdout.isatty():
            raise SettingRefused("--format docx is not text: say where to with -o PATH")
        if not arguments.json and several and arguments.format not in ("txt", "md"):
            raise SettingRefused(
                f"--format {arguments.format}: several files can't be one; name a folder with -o"
            )
        return
    if several and not output.is_dir():
        raise SettingRefused(f"-o '{output}': for several files, name a folder: -o '{output}/'")
    if not output.is_dir() and not output.absolute().parent.is_dir():
        raise SettingRefused(f"-o '{output}': there is no folder {output.absolute().parent}")
    targets = [target(path, arguments) for path in arguments.files]
    for path, wanted in zip(arguments.files, targets, strict=True):
        if targets.count(wanted) > 1:
            raise SettingRefused(
                f"-o '{output}': several files would become {wanted}; transcribe them one at a time"
            )
        if wanted.exists() and path.exists() and wanted.samefile(path):
            raise SettingRefused(f"-o '{output}': would overwrite the recording {path}")


def target(path: Path, arguments: argparse.Namespace) -> Path:
    """Return the file that the transcript of `path` goes to."""
    output: Path = arguments.output
    if output.is_dir():
        return output / f"{path.stem}.{FORMATS[arguments.format].extension}"
    return output


def put(transcript: Transcript, path: Path, arguments: argparse.Namespace) -> None:
    """Write the transcript to stdout, or to the file or folder asked for."""
    content = write(transcript, arguments.format, path.stem)
    if arguments.output is None:
        if len(arguments.files) > 1 and arguments.format in ("txt", "md"):
            sys.stderr.write(f"{path}:\n")
        sys.stdout.flush()
        sys.stdout.buffer.write(content)
        sys.stdout.buffer.flush()
        return
    target(path, arguments).write_bytes(content)


def tell_held_back(path: Path, transcript: Transcript) -> None:
    """Say what the text doesn't show: passages held back, or that nothing was said."""
    held = transcript.suppressed
    if held:
        seconds = sum(segment.end_ms - segment.start_ms for segment in held) / 1000
        reasons = ", ".join(sorted({str(segment.suppressed) for segment in held}))
        what = "1 passage" if len(held) == 1 else f"{len(held)} passages"
        complain(f"{path}: {what} ({seconds:.1f} s) held back ({reasons}); --json shows them")
    elif not transcript.spoken and not transcript.warning:
        complain(f"{path}: no speech was found")


def tell_speed(path: Path, transcript: Transcript, elapsed_s: float) -> None:
    """Say on a terminal how fast it went."""
    if sys.stderr.isatty():
        seconds = transcript.duration_ms / 1000
        sys.stderr.write(
            f"{path.name}: {seconds:.0f} s in {elapsed_s:.1f} s "
            f"({seconds / max(elapsed_s, 0.001):.1f} x real time), {transcript.model}\n"
        )


def complain(line: str) -> None:
    """Say on stderr what is wrong."""
    plain = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in line)
    sys.stderr.write(f"scribebox: {plain}\n")
