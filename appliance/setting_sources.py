"""Where settings stand: the environment, a TOML file, and the credentials that systemd hands over.

Only names are checked here; what a value may be is said in `appliance.settings`, which calls this.
"""

import difflib
import tomllib
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from appliance.errors import SettingRefused

PREFIX = "SCRIBEBOX_"
CONFIG = "SCRIBEBOX_CONFIG"
FILE_NAME = "scribebox.toml"
CREDENTIALS_DIRECTORY = "CREDENTIALS_DIRECTORY"  # set by systemd for LoadCredential=
CREDENTIALS = ("deepgram_api_key",)
PATHS = ("data_dir", "tls_cert", "tls_key", "backup_dir")
MAX_CREDENTIAL_BYTES = 4096


def environment(environ: Mapping[str, str], names: Collection[str]) -> dict[str, str]:
    """Return the settings that the environment holds; an unknown SCRIBEBOX_ name is refused."""
    found = {}
    for name, value in environ.items():
        if not name.startswith(PREFIX) or name == CONFIG:
            continue
        setting = name.removeprefix(PREFIX).lower()
        if setting not in names:
            near = suggestion(setting, names, PREFIX)
            raise SettingRefused(f"{name}: there is no such setting{near}")
        if value.strip():  # empty is as good as not set
            found[setting] = value.strip()
    return found


def file_path(environ: Mapping[str, str], data_dir: Path) -> Path | None:
    """Return where the settings file is, None if there is none."""
    if named := environ.get(CONFIG):
        if not Path(named).is_file():
            raise SettingRefused(f"{CONFIG}: '{named}': there is no such file")
        return Path(named)
    for folder in (Path.cwd(), data_dir):
        try:
            if (folder / FILE_NAME).is_file():
                return folder / FILE_NAME
        except PermissionError:
            raise SettingRefused(
                f"{folder}: can't be read by this user; run the command as its owner: "
                f"sudo -u '#{folder.stat().st_uid}' scribebox …"
            ) from None
    return None


def read_file(path: Path, names: Collection[str]) -> dict[str, Any]:
    """Return the settings of a file."""
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingRefused(f"{path}: is not TOML: {error}") from None
    except OSError as error:
        raise SettingRefused(f"{path}: can't be read: {error.strerror}") from None
    for name in content:
        if name not in names:
            near = suggestion(name, names)
            raise SettingRefused(f"{path}, {name}: there is no such setting{near}")
    for name in PATHS:  # relative to the file that says so
        if isinstance(content.get(name), str) and not content[name].startswith("~"):
            content[name] = str(path.absolute().parent / content[name])
    return content


def credentials(
    environ: Mapping[str, str], unless: Collection[str] = ()
) -> dict[str, tuple[Path, str]]:
    """Return the settings that are there as systemd credentials, with the files they stand in.

    Those of `unless` are set elsewhere, and not looked for.
    """
    found: dict[str, tuple[Path, str]] = {}
    folder = environ.get(CREDENTIALS_DIRECTORY)
    if not folder:
        return found
    for name in CREDENTIALS:
        if name in unless:
            continue
        path = Path(folder, name)
        try:
            with path.open("rb") as file:
                content = file.read(MAX_CREDENTIAL_BYTES + 1)
        except FileNotFoundError:
            continue
        except OSError as error:
            raise SettingRefused(f"{path}: can't be read: {error.strerror}") from None
        if value := content.decode("utf-8", errors="replace").strip():
            found[name] = (path, value)
    return found


def suggestion(name: str, names: Collection[str], prefix: str = "") -> str:
    """Return what a misspelt name may have meant, or all there are."""
    near = difflib.get_close_matches(name, names, n=1)
    if near:
        return f"; did you mean {prefix + (near[0].upper() if prefix else near[0])}?"
    return f"; there are: {', '.join(names)}"
