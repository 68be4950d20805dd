"""The price table says what a minute of audio costs by model."""

import pytest

from appliance import settings_loader
from appliance.errors import SettingRefused
from appliance.settings import Settings


def load(tmp_path, text="", **environ):
    """Return the settings of a file and an environment."""
    path = tmp_path / "named.toml"
    path.write_text(text)
    return settings_loader.load({"SCRIBEBOX_CONFIG": str(path), **environ})


def test_prices_are_those_of_the_longest_beginning_of_a_models_name(tmp_path):
    in_file = "[prices]\ndefault = 0.01\nnova-3 = 0.02\n'nova-3-medical' = 0.05\ncurrency = 'EUR'"
    in_environment = "default=0.01, nova-3=0.02,nova-3-medical=0.05,currency=EUR"
    for more in ({"text": in_file}, {"SCRIBEBOX_PRICES": in_environment}):
        prices = load(tmp_path, **more).prices
        named = {None: 0.01, "": 0.01, "x": 0.01, "nova-3": 0.02, "nova-3-general": 0.02}
        named |= {"nova-3-medical-x": 0.05, "whisper-base": 0.0}
        assert {model: prices.of(model) for model in named} == named
        assert prices.currency == "EUR"


def test_a_cost_is_in_millionths_and_rounded():
    prices = Settings().prices
    assert prices.cost_micros("nova-3", 204_000) == 14_620
    assert prices.cost_micros(None, 1) == 0 and prices.cost_micros("nova-3", 7) == 1
    assert prices.cost_micros("whisper-tiny.en", 10**9) == 0
    assert prices.currency == "USD"


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("default", "'default' is not NAME=VALUE"),
        ("=1", "'=1' is not"),
        ("default=", "'default=' is not"),
        ("default=-1", "default: -1.0 is not 0 to 1000"),
        ("default=1001", "default: 1001.0 is not"),
        ("default=nan", "default: nan is not"),
        ("default=1e999", "default: inf is not"),
        ("default=free", "default: 'free' is no number"),
        ("a b=1", "'a b' can't begin"),
        ("a=1,a=2", "'a' is there twice"),
        ("currency=usd", "currency 'usd' is not three capital"),
    ],
)
def test_wrong_prices_are_refused_with_what_is_wrong(tmp_path, value, said):
    with pytest.raises(SettingRefused) as refused:
        load(tmp_path, SCRIBEBOX_PRICES=value)
    assert f"SCRIBEBOX_PRICES: {value!r} is refused: {said}" in str(refused.value)
    assert "allowed: a table of prices" in str(refused.value)


@pytest.mark.parametrize(
    "text", ["prices = 1", "prices = [1]", "prices.a = '1'", "prices.a = true", "prices.a = nan",
             "prices.currency = 1", "prices.a.b = 1", "prices.'' = 1"],
)  # fmt: skip
def test_a_wrong_table_of_prices_is_refused(tmp_path, text):
    with pytest.raises(SettingRefused, match=r"named\.toml, prices: .*is refused: .*; allowed: "):
        load(tmp_path, text)
