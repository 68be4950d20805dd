"""The settings: environment over `scribebox.toml` over defaults, checked once at start.

A wrong value, an unknown name and a file that isn't TOML are refused with the name, the value and
what is allowed. The file is the one named by SCRIBEBOX_CONFIG, else `scribebox.toml` in the
working directory, else the one in the data folder.
"""

import difflib
import ipaddress
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import platformdirs
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from appliance.errors import SettingRefused

PREFIX = "SCRIBEBOX_"
CONFIG = "SCRIBEBOX_CONFIG"
FILE_NAME = "scribebox.toml"
LOOPBACK = {"127.0.0.1", "::1", "localhost"}
SECRET_WORDS = ("key", "secret", "token", "password")


def allowed(default: Any, meaning: str, values: str, **limits: Any) -> Any:
    """Describe one setting: what it means and which values it takes, for errors and the README."""
    return Field(default, description=meaning, json_schema_extra={"allowed": values}, **limits)


class Settings(BaseModel):
    """Every setting of the box. Names are those of the file; in the environment SCRIBEBOX_NAME."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)

    data_dir: Path = allowed(
        platformdirs.user_data_path("scribebox"),
        "folder of the database, the audio and the models",
        "a path",
    )
    host: str = allowed("127.0.0.1", "address to listen on", "an address or name of this machine")
    port: int = allowed(8080, "port to listen on", "0 to 65535 (0: any free one)", ge=0, le=65535)
    allowed_hosts: tuple[str, ...] = allowed(
        (),
        "further names by which clients may call the box (loopback, host names and addresses of "
        "this machine always work)",
        "names, separated by commas",
    )
    tls_cert: Path | None = allowed(None, "certificate chain (PEM)", "the path of a file")
    tls_key: Path | None = allowed(None, "private key of `tls_cert` (PEM)", "the path of a file")
    model: str | None = allowed(
        None, "Whisper model; default: the best one installed", "a name of `scribebox models list`"
    )
    device: Literal["auto", "cpu", "cuda"] = allowed(
        "auto", "where the model runs", "auto, cpu or cuda"
    )
    threads: int = allowed(
        0, "threads of the model; 0: one for each core, at most 4", "0 to 64", ge=0, le=64
    )
    language: str | None = allowed(
        None, "language spoken, if it is always the same", "an ISO 639-1 code such as en or de"
    )
    upload_limit_bytes: int = allowed(
        2 << 30, "the largest audio file the box takes", "1 or more bytes", ge=1, le=1 << 50
    )
    disk_refuse_bytes: int = allowed(
        500_000_000, "room on the disk that uploads leave free", "0 or more bytes", ge=0, le=1 << 50
    )
    trusted_proxies: tuple[str, ...] = allowed(
        (),
        "addresses of proxies whose X-Forwarded-For is believed",
        "addresses or networks, separated by commas",
    )
    log_level: Literal["debug", "info", "warning", "error"] = allowed(
        "info", "how much is logged to stderr", "debug, info, warning or error"
    )

    @field_validator("port", "threads", "upload_limit_bytes", "disk_refuse_bytes", mode="before")
    @classmethod
    def _number(cls, value: Any) -> Any:
        if isinstance(value, bool):
            raise ValueError("that is no number")
        return value

    @field_validator("allowed_hosts", "trusted_proxies", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @field_validator("trusted_proxies")
    @classmethod
    def _networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for network in value:
            ipaddress.ip_network(network)  # says itself what is wrong
        return value

    @field_validator("data_dir", "tls_cert", "tls_key")
    @classmethod
    def _absolute(cls, value: Path | None) -> Path | None:
        try:
            return value.expanduser().absolute() if value is not None else None
        except RuntimeError:  # ~nobody
            raise ValueError("there is no such user") from None

    @field_validator("tls_cert", "tls_key")
    @classmethod
    def _readable(cls, value: Path | None) -> Path | None:
        if value is not None and not value.is_file():
            raise ValueError("there is no such file")
        return value

    @field_validator("language")
    @classmethod
    def _code(cls, value: str | None) -> str | None:
        if value is not None and not (2 <= len(value) <= 3 and value.isascii() and value.islower()):
            raise ValueError("that is not a language code")
        return value

    @model_validator(mode="after")
    def _tls_beyond_loopback(self) -> "Settings":
        if (self.tls_cert is None) != (self.tls_key is None):
            raise ValueError("tls_cert and tls_key go together: set both, or neither")
        if self.host not in LOOPBACK and self.tls_cert is None:
            raise ValueError(
                f"host is {self.host!r}, beyond loopback, where keys and speech must be encrypted:"
                " set tls_cert and tls_key, or listen on 127.0.0.1 behind a proxy that does"
            )
        return self


def load(
    environ: Mapping[str, str] | None = None, overrides: Mapping[str, Any] | None = None
) -> Settings:
    """Return the settings; `overrides` (the command line's options) come before everything."""
    environ = os.environ if environ is None else environ
    given = {name: value for name, value in (overrides or {}).items() if value is not None}
    for name, value in given.items():
        if value == "":
            raise SettingRefused(f"--{name.removesuffix('_dir')}: '' is refused: it is empty")
    from_env = environment(environ)
    folder = given.get("data_dir") or from_env.get("data_dir")
    path = file_path(environ, Path(folder) if folder else Settings.model_fields["data_dir"].default)
    from_file = read_file(path) if path is not None else {}
    sources = {name: f"{path}, {name}" for name in from_file}
    sources |= {name: PREFIX + name.upper() for name in from_env}
    sources |= {name: f"--{name.removesuffix('_dir')}" for name in given}
    try:
        return Settings(**{**from_file, **from_env, **given})
    except ValidationError as error:
        raise SettingRefused("\n".join(explain(e, sources) for e in error.errors())) from None


def environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the settings that the environment holds; an unknown SCRIBEBOX_ name is refused."""
    found = {}
    for name, value in environ.items():
        if not name.startswith(PREFIX) or name == CONFIG:
            continue
        setting = name.removeprefix(PREFIX).lower()
        if setting not in Settings.model_fields:
            raise SettingRefused(f"{name}: there is no such setting{suggestion(setting, PREFIX)}")
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
        if (folder / FILE_NAME).is_file():
            return folder / FILE_NAME
    return None


def read_file(path: Path) -> dict[str, Any]:
    """Return the settings of a file."""
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingRefused(f"{path}: is not TOML: {error}") from None
    except OSError as error:
        raise SettingRefused(f"{path}: can't be read: {error.strerror}") from None
    for name in content:
        if name not in Settings.model_fields:
            raise SettingRefused(f"{path}, {name}: there is no such setting{suggestion(name)}")
    for name in ("data_dir", "tls_cert", "tls_key"):  # relative to the file that says so
        if isinstance(content.get(name), str) and not content[name].startswith("~"):
            content[name] = str(path.absolute().parent / content[name])
    return content


def suggestion(name: str, prefix: str = "") -> str:
    """Return what a misspelt name may have meant, or all there are."""
    near = difflib.get_close_matches(name, Settings.model_fields, n=1)
    if near:
        return f"; did you mean {prefix + (near[0].upper() if prefix else near[0])}?"
    return f"; there are: {', '.join(Settings.model_fields)}"


def explain(error: Any, sources: Mapping[str, str]) -> str:
    """Return one line for one wrong value: where it stands, what it is and what is allowed."""
    reason = str(error["msg"]).removeprefix("Value error, ")
    if not error["loc"]:
        return reason
    name = str(error["loc"][0])
    value = "(hidden)" if any(w in name.split("_") for w in SECRET_WORDS) else repr(error["input"])
    if name in ("tls_cert", "tls_key"):
        value = repr(error["input"])  # a path, no secret
    extra: Any = Settings.model_fields[name].json_schema_extra or {}
    reason = "" if "type" not in error or error["type"] != "value_error" else f"{reason}; "
    return f"{sources.get(name, name)}: {value} is refused: {reason}allowed: {extra.get('allowed')}"
