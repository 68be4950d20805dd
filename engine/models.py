"""Find, verify, fetch and import Whisper models in CTranslate2 format.

Two models come as Python packages (`engine.packaged`), so that a fresh box works with nothing but
the package registry. Any other model is pulled from the hub or
imported from a folder (a USB stick, an air gap); its digests are recorded when it comes, in a
`SHA256SUMS` beside it, and compared each time it is loaded.
"""

import hashlib
import os
import re
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from engine.audio import sync_folder
from engine.errors import ModelUnavailable
from engine.packaged import PACKAGED, missing_packages, package_file, reinstall

REQUIRED_FILES = ("model.bin", "config.json", "tokenizer.json")
OPTIONAL_FILES = (
    "vocabulary.txt",
    "vocabulary.json",
    "preprocessor_config.json",
    "generation_config.json",
)
SUMS = "SHA256SUMS"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


SMALLEST_LAST = (
    "large-v3-turbo", "turbo", "large-v3", "large-v2", "large-v1", "large",
    "medium", "medium.en", "small", "small.en", "base", "base.en", "tiny", "tiny.en",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Model:
    """A model whose files lie whole in one folder."""

    name: str
    folder: Path
    origin: str  # "package" or "imported"
    digests: dict[str, str]

    @property
    def english_only(self) -> bool:
        """Tell whether it knows English alone, by the convention of Whisper's names."""
        return self.name.endswith(".en")

    @property
    def label(self) -> str:
        """Return the name by which segments say who made them."""
        return f"whisper-{self.name}"

    def verify(self) -> None:
        """Compare every file with its digest."""
        for name, wanted in self.digests.items():
            path = self.folder / name
            if not path.is_file():
                raise ModelUnavailable(f"model '{self.name}': {path} is missing; {self._mend()}")
            found = sha256(path)
            if found != wanted:
                raise ModelUnavailable(
                    f"model '{self.name}': {path} is not the file it should be "
                    f"(SHA-256 {found}, wanted {wanted}); {self._mend()}"
                )

    def _mend(self) -> str:
        if self.name in PACKAGED:
            if self.origin == "package":
                return reinstall(self.name)
            return f"remove the folder {self.folder}, it is made again from its packages"
        return f"import it again: scribebox models import DIR --name {self.name}"


class Shelf:
    """The models of one box: those in `folder` and those that came as packages."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def names(self) -> list[str]:
        """Return the names of what is installed, the best first."""
        names = {name for name in PACKAGED if not missing_packages(name)}
        if self.folder.is_dir():
            names |= {path.parent.name for path in self.folder.glob(f"*/{SUMS}")}
        rank = {name: i for i, name in enumerate(SMALLEST_LAST)}
        default_first = [n for n in ("base", "tiny.en") if n in names]
        others = sorted(names - set(default_first), key=lambda n: (rank.get(n, 99), n))
        return default_first + others

    def find(self, name: str | None = None) -> Model:
        """Return the model of that name, by default the best installed one."""
        if name is None:
            if not (names := self.names()):
                raise ModelUnavailable(
                    "no model is installed; install one with pip install 'scribebox[embedded]'"
                )
            name = names[0]
        if not NAME.fullmatch(name):
            raise ModelUnavailable(f"model '{name}': a name has letters, digits, '.', '_' and '-'")
        if (self.folder / name / SUMS).is_file():
            folder = self.folder / name
            pinned = PACKAGED[name].digests if name in PACKAGED else {}
            return Model(name, folder, "imported", recorded_digests(folder / SUMS) | pinned)
        if name not in PACKAGED:
            raise ModelUnavailable(
                f"model '{name}' is not installed (installed: {', '.join(self.names()) or 'none'});"
                f" fetch it with scribebox models pull {name}"
            )
        return self._from_packages(name)

    def _from_packages(self, name: str) -> Model:
        packaged = PACKAGED[name]
        if missing := missing_packages(name):
            raise ModelUnavailable(
                f"model '{name}': {missing}; "
                f"install it with pip install 'scribebox[{packaged.extra}]'"
            )
        if all(len(parts) == 1 for parts in packaged.files.values()):
            folder = package_file(name, packaged.files["model.bin"][0]).parent
            return Model(name, folder, "package", packaged.digests)
        sources = {
            file: [package_file(name, part) for part in parts]
            for file, parts in packaged.files.items()
        }
        folder = self._place(name, sources, packaged.digests)
        return Model(name, folder, "imported", packaged.digests)

    def import_folder(self, source: Path, name: str | None = None) -> Model:
        """Copy a model in CTranslate2 format into the box and record its digests."""
        name = name or source.resolve().name.removeprefix("faster-whisper-")
        if not NAME.fullmatch(name):
            raise ModelUnavailable(f"model '{name}': a name has letters, digits, '.', '_' and '-'")
        if not source.is_dir():
            raise ModelUnavailable(f"{source}: there is no such folder")
        for file in REQUIRED_FILES:
            if not (source / file).is_file():
                raise ModelUnavailable(
                    f"{source}: has no {file}; a model folder holds {', '.join(REQUIRED_FILES)} "
                    "(CTranslate2 format)"
                )
        self._refuse_twice(name)
        present = [f for f in REQUIRED_FILES + OPTIONAL_FILES if (source / f).is_file()]
        pinned = PACKAGED[name].digests if name in PACKAGED else {}
        for file in present:
            if file in pinned and sha256(source / file) != pinned[file]:
                raise ModelUnavailable(
                    f"{source / file}: differs from the '{name}' this version knows; "
                    "import it under a name of its own with --name"
                )
        self._place(name, {file: [source / file] for file in present}, {})
        return self.find(name)

    def pull(self, name: str) -> Model:
        """Fetch a model from the hub; `name` is Whisper's name of it or OWNER/REPOSITORY."""
        os.environ["HF_HUB_OFFLINE"] = "0"  # read once, when huggingface_hub is imported
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import HfHubHTTPError

        repository = name if "/" in name else hub_repository(name)
        self._refuse_twice(name.rsplit("/", 1)[-1])  # before a gigabyte is fetched in vain
        self.folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self.folder, prefix=".pull-") as scratch:
            try:
                snapshot_download(
                    repository,
                    local_dir=scratch,
                    allow_patterns=list(REQUIRED_FILES + OPTIONAL_FILES),
                )
            except (HfHubHTTPError, OSError, ValueError) as error:
                reason = str(error).splitlines()[0] if str(error) else type(error).__name__
                raise ModelUnavailable(
                    f"model '{name}' can't be fetched from {repository}: {reason}; "
                    "without internet, use scribebox models import DIR"
                ) from error
            return self.import_folder(Path(scratch), name.rsplit("/", 1)[-1])

    def _refuse_twice(self, name: str) -> None:
        if (self.folder / name).exists():
            raise ModelUnavailable(
                f"model '{name}' is installed already in {self.folder / name}; "
                "remove that folder first, or choose another --name"
            )

    def _place(self, name: str, sources: dict[str, list[Path]], digests: dict[str, str]) -> Path:
        """Make the folder of a model from the parts of its files, whole or not at all."""
        self.folder.mkdir(parents=True, exist_ok=True)
        target = self.folder / name
        with tempfile.TemporaryDirectory(dir=self.folder, prefix=".new-") as scratch:
            made = Path(scratch) / name
            made.mkdir()
            sums = {}
            for file, parts in sources.items():
                with (made / file).open("wb") as out:
                    for part in parts:
                        with part.open("rb") as source:
                            shutil.copyfileobj(source, out, 1 << 20)
                    out.flush()
                    os.fsync(out.fileno())
                sums[file] = sha256(made / file)
            Model(name, made, "package", digests).verify()
            with (made / SUMS).open("w") as listed:
                listed.write("".join(f"{d}  {f}\n" for f, d in sums.items()))
                listed.flush()
                os.fsync(listed.fileno())
            sync_folder(made)
            if not (target / SUMS).is_file():  # else another process was first
                try:
                    made.rename(target)
                except OSError as error:
                    raise ModelUnavailable(
                        f"model '{name}': {target} is in the way and is no model; remove it"
                    ) from error
            sync_folder(self.folder)
        return target


def hub_repository(name: str) -> str:
    """Return where the hub keeps the CTranslate2 form of a Whisper model."""
    if name in ("turbo", "large-v3-turbo"):
        return "mobiuslabsgmbh/faster-whisper-large-v3-turbo"
    if name.startswith("distil-"):
        return f"Systran/faster-distil-whisper-{name.removeprefix('distil-')}"
    return f"Systran/faster-whisper-{name}"


def recorded_digests(sums: Path) -> dict[str, str]:
    """Read a SHA256SUMS file, which must name every file that a model needs."""
    try:
        found = {
            file.strip(): digest for digest, file in map(str.split, sums.read_text().splitlines())
        }
    except (ValueError, OSError) as error:
        raise ModelUnavailable(f"{sums}: can't be read; remove {sums.parent}") from error
    if missing := [file for file in REQUIRED_FILES if file not in found]:
        raise ModelUnavailable(f"{sums}: lacks {', '.join(missing)}; remove {sums.parent}")
    return found


def sha256(path: Path) -> str:
    """Return the hexadecimal SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
