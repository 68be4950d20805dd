"""The plans of the settings are laid over those that are built in."""

import pytest

from appliance import settings_loader
from appliance.errors import SettingRefused
from appliance.plans import Plan
from appliance.settings import Settings


def load(tmp_path, text="", **environ):
    """Return the settings of a file and an environment."""
    path = tmp_path / "named.toml"
    path.write_text(text)
    return settings_loader.load({"SCRIBEBOX_CONFIG": str(path), **environ})


def test_plans_are_laid_over_those_that_are_built_in(tmp_path):
    assert Settings().plans["hobby"] == Plan(1000, 3000)
    in_file = "[plans.hobby]\ndaily_words = 5\n[plans.team-2]\nweekly_words = 0\n[plans.pro]"
    in_environment = "hobby=5/unlimited, team-2=unlimited/0,pro=unlimited"
    for more in ({"text": in_file}, {"SCRIBEBOX_PLANS": in_environment}):
        assert load(tmp_path, **more).plans == {
            "hobby": Plan(5, None),
            "pro": Plan(None, None),
            "selfhosted": Plan(None, None),
            "team-2": Plan(None, 0),
        }


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("hobby", "'hobby' is not NAME=VALUE"),
        ("hobby=5", "hobby: '5' is not DAILY/WEEKLY"),
        ("hobby=-1/2", "hobby: daily_words '-1' is no whole number"),
        ("hobby=1/2/3", "hobby: weekly_words '2/3' is no whole number"),
        ("hobby=1.5/2", "hobby: daily_words '1.5' is no whole number"),
        ("hobby=1/9999999999", "hobby: weekly_words 9999999999 is not 0 to"),
        ("Hobby=1/2", "'Hobby' can't be the name"),
        (f"{'x' * 33}=1/2", "can't be the name"),
        ("a=1/2,a=1/2", "'a' is there twice"),
    ],
)
def test_wrong_plans_are_refused_with_what_is_wrong(tmp_path, value, said):
    with pytest.raises(SettingRefused) as refused:
        load(tmp_path, SCRIBEBOX_PLANS=value)
    assert f"SCRIBEBOX_PLANS: {value!r} is refused: " in str(refused.value)
    assert said in str(refused.value) and "allowed: a table for each plan" in str(refused.value)


@pytest.mark.parametrize(
    "text", ["plans = 1", "plans.a = 1", "plans.a.words = 1", "plans.a.daily_words = true",
             "plans.a.daily_words = '5'", "plans.a.daily_words = 1.0", "plans.a.weekly_words = -1",
             "plans.'a b' = {}"],
)  # fmt: skip
def test_a_wrong_table_of_plans_is_refused(tmp_path, text):
    with pytest.raises(SettingRefused, match=r"named\.toml, plans: .*is refused: .*; allowed: "):
        load(tmp_path, text)
