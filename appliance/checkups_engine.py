"""The doctor's looks at what turns sound into text: decoder, model, hardware."""

import os
from importlib.resources import as_file, files
from pathlib import Path

from appliance.finding import Finding, failed, ok
from appliance.settings import Settings
from engine.audio import SAMPLE_RATE, read
from engine.errors import EngineError
from engine.hardware import Hardware, cuda_devices
from engine.models import Shelf
from engine.whisper import check_language


def decoder(_: Settings) -> Finding:
    """Decode the sample in a child process."""
    with as_file(files("appliance").joinpath("sample", "welcome.flac")) as path:
        seconds = len(read(Path(path))) / SAMPLE_RATE
    return ok("decoder", f"the sample of {seconds:.1f} s decodes")


def model(settings: Settings) -> Finding:
    """Look at the files of the model that would be loaded, every byte of them."""
    try:
        found = Shelf(settings.data_dir / "models").find(settings.model)
        check_language(found, settings.language)
        found.verify()
    except EngineError as error:  # says itself how to mend it
        return failed("model", str(error))
    languages = "English only" if found.english_only else "many languages"
    return ok("model", f"{found.name} ({languages}), every digest right")


def hardware(settings: Settings) -> Finding:
    """Tell what the model runs on."""
    if settings.device == "cuda" and not cuda_devices():
        said = "device is cuda, and there is none"
        return failed("hardware", said, "set SCRIBEBOX_DEVICE=auto")
    found = Hardware(settings.device, settings.threads, settings.workers).resolved()
    cores = len(os.sched_getaffinity(0))
    said = f"{found.device}, {found.workers} workers of {found.threads} threads on {cores} cores"
    return ok("hardware", said)
