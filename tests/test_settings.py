"""Settings come from environment, file and defaults, and a wrong one is refused in one line."""

import json

import pytest

from appliance import settings_loader
from appliance.errors import SettingRefused
from appliance.settings import Settings


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """Run where no settings file lies about."""
    monkeypatch.chdir(tmp_path)


def file(tmp_path, text):
    path = tmp_path / "named.toml"
    path.write_text(text)
    return {"SCRIBEBOX_CONFIG": str(path)}


def test_without_anything_the_defaults_hold():
    found = settings_loader.load({})
    assert (found.host, found.port, found.model) == ("127.0.0.1", 8080, None)


def test_the_environment_wins_over_the_file_and_the_command_line_over_both(tmp_path):
    environ = file(tmp_path, "port = 1001\nthreads = 3\nlanguage = 'de'")
    found = settings_loader.load({**environ, "SCRIBEBOX_PORT": "1002", "SCRIBEBOX_THREADS": "2"})
    assert (found.port, found.threads, found.language) == (1002, 2, "de")
    assert (
        settings_loader.load({**environ, "SCRIBEBOX_PORT": "1002"}, {"port": "1003"}).port == 1003
    )


def test_the_file_is_found_in_the_working_directory_and_in_the_data_folder(tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    (data / "scribebox.toml").write_text("port = 1004")
    environ = {"SCRIBEBOX_DATA_DIR": str(data)}
    assert settings_loader.load(environ).port == 1004
    (tmp_path / "scribebox.toml").write_text("port = 1005")
    assert settings_loader.load(environ).port == 1005


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        ({"SCRIBEBOX_PORT": "abc"}, ["SCRIBEBOX_PORT", "'abc'", "0 to 65535"]),
        ({"SCRIBEBOX_PORT": "70000"}, ["SCRIBEBOX_PORT", "'70000'", "0 to 65535"]),
        ({"SCRIBEBOX_LOG_LEVEL": "loud"}, ["SCRIBEBOX_LOG_LEVEL", "'loud'", "debug, info"]),
        ({"SCRIBEBOX_DEVICE": "tpu"}, ["SCRIBEBOX_DEVICE", "'tpu'", "auto, cpu or cuda"]),
        ({"SCRIBEBOX_LANGUAGE": "English"}, ["SCRIBEBOX_LANGUAGE", "'English'", "ISO 639-1"]),
        ({"SCRIBEBOX_TLS_CERT": "/no"}, ["SCRIBEBOX_TLS_CERT", "'/no'", "the path of a file"]),
        ({"SCRIBEBOX_DATA_DIR": "~nosuchuser/x"}, ["SCRIBEBOX_DATA_DIR", "no such user"]),
        ({"SCRIBEBOX_PROT": "1"}, ["SCRIBEBOX_PROT", "no such setting", "SCRIBEBOX_PORT"]),
        ({"SCRIBEBOX_CONFIG": "/no.toml"}, ["SCRIBEBOX_CONFIG", "'/no.toml'", "no such file"]),
    ],
)
def test_a_wrong_environment_is_refused_with_its_name_its_value_and_what_is_allowed(environ, said):
    with pytest.raises(SettingRefused) as refused:
        settings_loader.load(environ)
    for part in said:
        assert part in str(refused.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("port = 'x'", ["named.toml, port", "'x'", "0 to 65535"]),
        ("port = true", ["named.toml, port", "True", "0 to 65535"]),
        ("ports = 1", ["named.toml, ports", "no such setting", "did you mean port?"]),
        ("port = ", ["named.toml", "is not TOML"]),
    ],
)
def test_a_wrong_file_is_refused_with_its_place(tmp_path, text, said):
    with pytest.raises(SettingRefused) as refused:
        settings_loader.load(file(tmp_path, text))
    for part in said:
        assert part in str(refused.value)


@pytest.mark.parametrize(
    ("name", "wrong", "said"),
    [
        ("failover", "always", "never, when-behind or when-down"),
        ("failover_lag_seconds", "0", "1 to 3600"),
        ("failover_lag_seconds", "nan", "1 to 3600"),
        ("failover_lag_seconds", "5000", "1 to 3600"),
    ],
)
def test_a_failover_that_can_not_be_is_refused(name, wrong, said):
    with pytest.raises(SettingRefused) as refused:
        settings_loader.load({f"SCRIBEBOX_{name.upper()}": wrong})
    assert said in str(refused.value) and f"'{wrong}'" in str(refused.value)


def test_nothing_leaves_the_box_unless_its_owner_says_so():
    assert settings_loader.load({}).failover == "never"
    assert settings_loader.load({"SCRIBEBOX_FAILOVER": "when-down"}).failover == "when-down"


def test_an_empty_variable_is_as_good_as_none_and_an_empty_option_is_refused():
    found = settings_loader.load({"SCRIBEBOX_DATA_DIR": "", "SCRIBEBOX_MODEL": " "})
    assert found.data_dir == Settings().data_dir and found.model is None
    with pytest.raises(SettingRefused, match="--data"):
        settings_loader.load({}, {"data_dir": ""})


def test_a_path_in_the_file_is_relative_to_the_file(tmp_path):
    environ = file(tmp_path, "data_dir = 'box'")
    assert settings_loader.load(environ).data_dir == tmp_path / "box"


def test_several_wrong_values_are_all_told_at_once():
    with pytest.raises(SettingRefused) as refused:
        settings_loader.load({"SCRIBEBOX_PORT": "x", "SCRIBEBOX_THREADS": "y"})
    assert len(str(refused.value).splitlines()) == 2


def test_listening_beyond_loopback_without_a_certificate_is_refused():
    with pytest.raises(SettingRefused, match=r"0\.0\.0\.0.*tls_cert"):
        settings_loader.load({"SCRIBEBOX_HOST": "0.0.0.0", "SCRIBEBOX_TLS": "off"})


def test_every_setting_says_what_it_means_and_what_is_allowed():
    for name, field in Settings.model_fields.items():
        assert field.description, name
        assert field.json_schema_extra["allowed"], name


@pytest.mark.parametrize(
    ("given", "taken"),
    [
        ("https://box.example/", "https://box.example"),
        ("HTTP://Box.lan:8080", "http://Box.lan:8080"),
        ("https://example.org/scribe/box/", "https://example.org/scribe/box"),
        ("http://[fd00::1]:8080", "http://[fd00::1]:8080"),
    ],
)
def test_an_address_loses_the_slash_at_its_end_and_keeps_its_path(given, taken):
    found = settings_loader.load({"SCRIBEBOX_PUBLIC_URL": given, "SCRIBEBOX_DEEPGRAM_URL": given})
    assert (found.public_url, found.deepgram_url) == (taken, taken)
    assert settings_loader.load({}).public_url is None


@pytest.mark.parametrize("name", ["public_url", "deepgram_url"])
@pytest.mark.parametrize(
    "value",
    ["box.lan", "ftp://box.lan", "https://", "https://:8080", "http://box:70000", "http://box:0",
     "http://box:x", "http://bo x", "http://bo\tx", "http://bücher.example", "http://[fd00::1",
     "http://[v1.x]", "http://a/?", "http://a/#b", "http://-a", "http://a\\b", "x" * 3000,
     "http:box.lan", "//box.lan"],
)  # fmt: skip
def test_what_is_no_address_is_refused(name, value):
    variable = f"SCRIBEBOX_{name.upper()}"
    with pytest.raises(SettingRefused, match=rf"{variable}: .* is refused: .*http or https URL"):
        settings_loader.load({variable: value})


@pytest.mark.parametrize(
    "value", ["https://u:s3cret@a", "https://a/?token=s3cret", "http://a#s3cret"]
)
def test_what_may_be_a_password_in_an_address_is_refused_and_not_shown(value):
    with pytest.raises(SettingRefused) as refused:
        settings_loader.load({"SCRIBEBOX_DEEPGRAM_URL": value})
    assert "s3cret" not in str(refused.value) and "(hidden)" in str(refused.value)


def credential(tmp_path, content):
    folder = tmp_path / "credentials"
    folder.mkdir()
    (folder / "deepgram_api_key").write_bytes(content)
    return {"CREDENTIALS_DIRECTORY": str(folder)}


def test_the_key_of_deepgram_comes_from_environment_file_or_credential_in_this_order(tmp_path):
    environ = credential(tmp_path, b"of-the-credential\n")
    assert settings_loader.load(environ).deepgram_api_key.get_secret_value() == "of-the-credential"
    environ |= file(tmp_path, "deepgram_api_key = 'of-the-file'")
    assert settings_loader.load(environ).deepgram_api_key.get_secret_value() == "of-the-file"
    environ |= {"SCRIBEBOX_DEEPGRAM_API_KEY": "of-the-environment"}
    found = settings_loader.load(environ)
    assert found.deepgram_api_key.get_secret_value() == "of-the-environment"
    assert "of-the-environment" not in f"{found} {found!r} {found.model_dump()}"


def test_without_a_credential_there_is_no_key(tmp_path):
    for environ in ({}, {"CREDENTIALS_DIRECTORY": str(tmp_path)}, credential(tmp_path, b"\n")):
        assert settings_loader.load(environ).deepgram_api_key is None


@pytest.mark.parametrize(
    "wrong", ["s3cret key", "s3cret\u00e9", "s3cret\x7f", "s3cret" * 100, "s3cret\nx"]
)
def test_a_wrong_key_is_refused_and_never_shown(tmp_path, wrong):
    places = {
        "SCRIBEBOX_DEEPGRAM_API_KEY": {"SCRIBEBOX_DEEPGRAM_API_KEY": wrong},
        "named.toml, deepgram_api_key": file(tmp_path, f"deepgram_api_key = {json.dumps(wrong)}"),
        "credentials/deepgram_api_key": credential(tmp_path, wrong.encode()),
    }
    for place, environ in places.items():
        with pytest.raises(SettingRefused) as refused:
            settings_loader.load(environ)
        assert f"{place}: (hidden) is refused" in str(refused.value)
        assert "s3cret" not in str(refused.value) and "ASCII" in str(refused.value)


@pytest.mark.parametrize("text", ["''", "5", "['s3cret']", "{s3cret = 1}"])
def test_a_key_of_another_kind_is_refused_and_never_shown(tmp_path, text):
    with pytest.raises(SettingRefused, match=r"named\.toml, deepgram_api_key") as refused:
        settings_loader.load(file(tmp_path, f"deepgram_api_key = {text}"))
    assert "s3cret" not in str(refused.value) and "(hidden)" in str(refused.value)


def test_a_credential_that_can_not_be_read_is_told_of(tmp_path):
    (tmp_path / "deepgram_api_key").mkdir()
    environ = {"CREDENTIALS_DIRECTORY": str(tmp_path)}
    with pytest.raises(SettingRefused, match="deepgram_api_key: can't be read"):
        settings_loader.load(environ)
    key = {"SCRIBEBOX_DEEPGRAM_API_KEY": "k"}
    assert settings_loader.load(environ | key).deepgram_api_key.get_secret_value() == "k"
