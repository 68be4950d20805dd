"""A recording of three minutes while the box is busy; `bench/recording_soak.py` takes thirty."""

import sys
from pathlib import Path

import pytest
from virtual_microphone import missing

sys.path.insert(0, str(Path(__file__).parent / "bench"))
from background import table
from recording_soak import soak

pytestmark = [pytest.mark.long, pytest.mark.skipif(missing() is not None, reason=str(missing()))]


def test_a_recording_under_load_loses_no_sample_and_its_memory_stays_flat(tmp_path):
    rows = soak(tmp_path, minutes=3)
    table(rows)  # shown if it fails
    assert [row for row in rows if row.good is False] == []
