"""The settings: environment over `scribebox.toml` over defaults, checked once at start.

A wrong value, an unknown name and a file that isn't TOML are refused with the name, the value and
what is allowed. The file is the one named by SCRIBEBOX_CONFIG, else `scribebox.toml` in the
working directory, else the one in the data folder. The Deepgram key may also be handed over by
systemd (LoadCredential=deepgram_api_key).
"""

import ipaddress
from pathlib import Path
from typing import Annotated, Any, Literal

import platformdirs
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    field_validator,
    model_validator,
)

from appliance import networks, urls
from appliance import plans as plan_table
from appliance import prices as price_table

LOOPBACK = {"127.0.0.1", "::1", "localhost"}
Networks = Annotated[tuple[networks.Network, ...], BeforeValidator(networks.read)]
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
    tls: Literal["auto", "off"] = allowed(
        "auto",
        "auto: beyond loopback, without `tls_cert`, a self-signed certificate is made once",
        "auto or off",
    )
    model: str | None = allowed(
        None, "Whisper model; default: the best one installed", "a name of `scribebox models list`"
    )
    device: Literal["auto", "cpu", "cuda"] = allowed(
        "auto", "where the model runs", "auto, cpu or cuda"
    )
    threads: int = allowed(
        0, "threads for one window of sound; 0: the cores divided by `workers`, at most 4",
        "0 to 64", ge=0, le=64,
    )  # fmt: skip
    workers: int = allowed(
        0, "windows of sound transcribed at once; 0: two on two cores or more, one on a GPU",
        "0 to 16", ge=0, le=16,
    )  # fmt: skip
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
        "key of the Deepgram account that tokens are made with, and that `failover` uses",
        "1 to 512 printable ASCII characters without a space",
    )
    deepgram_url: str = allowed(
        "https://api.deepgram.com",
        "where Deepgram answers",
        "an http or https URL without user name, query and fragment",
    )
    failover: Literal["never", "when-behind", "when-down"] = allowed(
        "never",
        "when the cloud may hear recordings and uploads in place of the box; behind includes down",
        "never, when-behind or when-down",
    )
    failover_lag_seconds: float = allowed(
        20.0,
        "how late text may be, and how long the engine may be at one window, before it is behind",
        "1 to 3600",
        ge=1,
        le=3600,
        allow_inf_nan=False,
    )
    prices: PriceTable = allowed(
        price_table.BUILT_IN, "what a minute of audio costs, by model", price_table.ALLOWED
    )
    plans: PlanTable = allowed(
        plan_table.BUILT_IN, "words a day and a week, by plan", plan_table.ALLOWED
    )
    webhook_allow: Networks = allowed(
        (),
        "addresses that webhooks may reach although they are loopback, link-local, metadata, "
        "CGNAT or the box itself",
        networks.ALLOWED,
    )
    listen_url_hosts: tuple[str, ...] = allowed(
        (),
        "hosts from which `POST /v1/listen` may fetch a file by its `url`; a name must not stand "
        "for an address that webhooks may not reach, an address opens itself",
        "names or addresses, each perhaps with a port, separated by commas",
    )
    retention_audio_days: int = allowed(
        0, "days that audio is kept; 0: for ever", "0 to 36500", ge=0, le=36500
    )
    retention_text_days: int = allowed(
        0,
        "days that sessions and dictations are kept, their audio too; 0: for ever",
        "0 to 36500",
        ge=0,
        le=36500,
    )
    backup_dir: Path | None = allowed(
        None, "folder of the nightly backups; default: `backups` in the data folder", "a path"
    )
    backup_keep: int = allowed(
        7, "how many nightly backups are kept; 0: none is made", "0 to 1000", ge=0, le=1000
    )
    log_level: Literal["debug", "info", "warning", "error"] = allowed(
        "info", "how much is logged to stderr", "debug, info, warning or error"
    )

    @field_validator(
        "port", "threads", "workers", "journal_sync_ms", "upload_limit_bytes",
        "disk_refuse_bytes", "disk_stop_bytes", "failover_lag_seconds", "retention_audio_days",
        "retention_text_days", "backup_keep",
        mode="before",
    )  # fmt: skip
    @classmethod
    def _number(cls, value: Any) -> Any:
        if isinstance(value, bool):
            raise ValueError("that is no number")
        return value

    @field_validator("allowed_hosts", "trusted_proxies", "listen_url_hosts", mode="before")
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

    @field_validator("listen_url_hosts")
    @classmethod
    def _hosts(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for host in value:
            if "/" in host:
                raise ValueError(f"{host!r} is more than a host and a port")
            urls.checked(f"http://{host}")
        return value

    @field_validator("data_dir", "tls_cert", "tls_key", "backup_dir")
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
        if self.host not in LOOPBACK and self.tls_cert is None and self.tls == "off":
            raise ValueError(
                f"host is {self.host!r}, beyond loopback, where keys and speech must be encrypted:"
                " leave tls at auto, set tls_cert and tls_key, or listen on 127.0.0.1 behind a"
                " proxy that does"
            )
        return self
