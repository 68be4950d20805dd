"""Read the settings from all their sources and say in one line what is wrong with one.

The command line comes before the environment, that before the file, that before what systemd hands
over, that before the defaults.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from appliance.errors import SettingRefused
from appliance.setting_sources import PREFIX, credentials, environment, file_path, read_file
from appliance.settings import Settings

SECRET_WORDS = ("key", "secret", "token", "password")


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
