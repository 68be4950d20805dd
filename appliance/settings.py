"""The settings: environment over `scribebox.toml` over defaults, checked once at start.

A wrong value, an unknown name and a file that isn't TOML are refused with the name, the value and
what is allowed. The file is the one named by SCRIBEBOX_CONFIG, else `scribebox.toml` in the
working directory, else the one in the data folder. The Deepgram key may also be handed over by
systemd (LoadCredential=deepgram_api_key).
"""

import ipaddress
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import platformdirs
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)

from appliance import plans as plan_table
from appliance import prices as price_table
from appliance import urls
from appliance.errors import SettingRefused
from appliance.setting_sources import PREFIX, credentials, environment, file_path, read_file

LOOPBACK = {"127.0.0.1", "::1", "localhost"}
SECRET_WORDS = ("key", "secret", "token", "password")
PriceTable = Annotated[price_table.Prices, BeforeValidator(price_table.read)]
PlanTable = Annotated[plan_table.Plans, BeforeValidator(plan_table.read)]


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
    public_url: str | None = allowed(
        None,
        "address by which clients reach the box, if it isn't the one they call",
        "an http or https URL, a path too, without user name, query and fragment",
    )
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
    input_device: str | None = allowed(
        None, "microphone to record from; default: the system's", "a name of `scribebox devices`"
    )
    profile: Literal["meeting", "dictation"] = allowed(
        "meeting",
        "when an utterance ends: after 1 s of silence, or after 0.6 s",
        "meeting or dictation",
    )
    journal_sync_ms: int = allowed(
        1000,
        "how often a recording is made safe from a power cut, in ms",
        "200 to 5000",
        ge=200,
        le=5000,
    )
    upload_limit_bytes: int = allowed(
        2 << 30, "the largest audio file the box takes", "1 or more bytes", ge=1, le=1 << 50
    )
    disk_refuse_bytes: int = allowed(
        500_000_000, "room on the disk that uploads leave free", "0 or more bytes", ge=0, le=1 << 50
    )
    disk_stop_bytes: int = allowed(
        200_000_000,
        "room on the disk at which a recording ends",
        "0 or more bytes",
        ge=0,
        le=1 << 50,
    )
    trusted_proxies: tuple[str, ...] = allowed(
        (),
        "addresses of proxies whose X-Forwarded-For is believed",
        "addresses or networks, separated by commas",
    )
    deepgram_api_key: SecretStr | None = allowed(
        None,
        "key of the Deepgram account that tokens are made with",
        "1 to 512 printable ASCII characters without a space",
    )
    deepgram_url: str = allowed(
        "https://api.deepgram.com",
        "where Deepgram answers",
        "an http or https URL without user name, query and fragment",
    )
    prices: PriceTable = allowed(
        price_table.BUILT_IN, "what a minute of audio costs, by model", price_table.ALLOWED
    )
    plans: PlanTable = allowed(
        plan_table.BUILT_IN, "words a day and a week, by plan", plan_table.ALLOWED
    )
    log_level: Literal["debug", "info", "warning", "error"] = allowed(
        "info", "how much is logged to stderr", "debug, info, warning or error"
    )

    @field_validator(
        "port", "threads", "journal_sync_ms", "upload_limit_bytes", "disk_refuse_bytes",
        "disk_stop_bytes", mode="before",
    )  # fmt: skip
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

    @field_validator("public_url", "deepgram_url")
    @classmethod
    def _address(cls, value: str | None) -> str | None:
        return urls.checked(value) if value is not None else None

    @field_validator("deepgram_api_key")
    @classmethod
    def _printable(cls, value: SecretStr | None) -> SecretStr | None:
        key = value.get_secret_value() if value is not None else "-"
        if not (1 <= len(key) <= 512 and all("!" <= character <= "~" for character in key)):
            raise ValueError("that can't be a key")
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
    names = Settings.model_fields
    given = {name: value for name, value in (overrides or {}).items() if value is not None}
    for name, value in given.items():
        if value == "":
            raise SettingRefused(f"--{name.removesuffix('_dir')}: '' is refused: it is empty")
    from_env = environment(environ, names)
    folder = given.get("data_dir") or from_env.get("data_dir")
    path = file_path(environ, Path(folder) if folder else names["data_dir"].default)
    from_file = read_file(path, names) if path is not None else {}
    handed_over = credentials(environ, unless={**from_file, **from_env})
    values: dict[str, Any] = {name: value for name, (_, value) in handed_over.items()}
    values |= {**from_file, **from_env, **given}
    sources = {name: str(file) for name, (file, _) in handed_over.items()}
    sources |= {name: f"{path}, {name}" for name in from_file}
    sources |= {name: PREFIX + name.upper() for name in from_env}
    sources |= {name: f"--{name.removesuffix('_dir')}" for name in given}
    try:
        return Settings(**values)
    except ValidationError as error:
        raise SettingRefused("\n".join(explain(e, sources) for e in error.errors())) from None


def explain(error: Any, sources: Mapping[str, str]) -> str:
    """Return one line for one wrong value: where it stands, what it is and what is allowed."""
    reason = str(error["msg"]).removeprefix("Value error, ")
    if not error["loc"]:
        return reason
    name = str(error["loc"][0])
    value = "(hidden)" if is_secret(name, error["input"]) else repr(error["input"])
    extra: Any = Settings.model_fields[name].json_schema_extra or {}
    reason = "" if "type" not in error or error["type"] != "value_error" else f"{reason}; "
    return f"{sources.get(name, name)}: {value} is refused: {reason}allowed: {extra.get('allowed')}"


def is_secret(name: str, value: Any) -> bool:
    """Tell whether a value may not be shown: a key, or an address with a password in it."""
    if name in ("tls_cert", "tls_key"):
        return False  # a path
    if name.endswith("_url"):
        return any(sign in str(value) for sign in "@?#")
    return any(word in name.split("_") for word in SECRET_WORDS)
