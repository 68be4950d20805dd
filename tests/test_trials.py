"""An endpoint is tested by one at a time."""

import pytest

from appliance.errors import Conflict
from scheduler.trials import Trials


def test_a_second_test_of_an_endpoint_is_refused_until_the_first_has_ended():
    trials = Trials()
    with trials.alone(1):
        with pytest.raises(Conflict, match="webhook 1 is being tested"), trials.alone(1):
            pass
        with trials.alone(2):
            pass
    with trials.alone(1):
        pass
