"""Which microphones there are, how one is found by its name, and what becomes of its samples."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from running_capture import scripted_portaudio
from speech_fixtures import tone
from virtual_microphone import VirtualMicrophone, missing

from engine import microphone
from engine.converter import Converter
from engine.errors import MicrophoneUnavailable
from engine.microphone import Device, devices, find

DESK = Device("desk: USB Audio (hw:1,0)", 2, 48_000, is_default=False)
WALL = Device("wall: USB Audio (hw:2,0)", 1, 44_100, is_default=False)
MAIN = Device("default", 32, 44_100, is_default=True)
INPUTS = [(4, DESK), (7, WALL), (9, MAIN)]


@pytest.fixture
def script(tmp_path, monkeypatch):
    """Put a device that the test describes in the place of PortAudio."""
    return scripted_portaudio(tmp_path / "portaudio", monkeypatch)


@pytest.mark.skipif(missing() is not None, reason=str(missing()))
def test_pulseaudio_is_told_by_its_names(monkeypatch):
    with VirtualMicrophone() as plugged:
        for name, value in plugged.environment.items():
            monkeypatch.setenv(name, value)
        found = devices()
    assert {device.name for device in found} == {"pulse", "default"}
    assert [device.name for device in found if device.is_default] == ["default"]


def test_devices_are_those_of_now(script):
    script()
    assert devices() == [Device("desk (hw:1,0)", 2, 48_000, is_default=True)]
    script(device="another", channels=1)
    assert devices() == [Device("another", 1, 48_000, is_default=True)]
    script(channels=0)
    assert devices() == []


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        ({"missing": "PortAudio library not found"}, "sudo apt install libportaudio2"),
        ({"broken": "Error initializing PortAudio"}, "PortAudio does not start: Error init"),
        ({"unlisted": "Host error"}, "PortAudio lists no devices: Host error"),
        ({"crashes": True}, "PortAudio broke while it listed the microphones"),
        ({"hangs": True}, "did not list the microphones in 1 s"),
    ],
)
def test_what_is_wrong_with_portaudio_is_said(script, monkeypatch, fault, says):
    if "hangs" in fault:
        monkeypatch.setattr(microphone, "LISTING_S", 1)
    script(**fault)
    with pytest.raises(MicrophoneUnavailable, match=says):
        devices()


def test_a_device_is_found_by_its_name():
    assert find(INPUTS, WALL.name) == (7, WALL)
    assert find(INPUTS, None) == (9, MAIN)
    assert find(INPUTS[:2], None) == (4, DESK)  # there is no default


def test_a_card_may_have_got_another_number():
    assert find(INPUTS, "wall: USB Audio (hw:5,0)") == (7, WALL)
    twins = [(1, WALL), (2, Device("wall: USB Audio (hw:3,0)", 1, 44_100, is_default=False))]
    with pytest.raises(MicrophoneUnavailable, match="there are: 'wall: USB Audio"):
        find(twins, "wall: USB Audio (hw:5,0)")
    assert find(twins, "wall: USB Audio (hw:3,0)") == twins[1]


def test_a_name_that_is_unknown_is_answered_with_those_that_are_known():
    with pytest.raises(MicrophoneUnavailable, match="no input device 'roof'; there are: 'desk:"):
        find(INPUTS, "roof")
    with pytest.raises(MicrophoneUnavailable, match="plug in a microphone"):
        find([], None)


@given(cuts=st.lists(st.integers(1, 4000), max_size=20), rate=st.sampled_from([44_100, 48_000]))
def test_the_blocks_of_a_stream_make_no_difference(cuts, rate):
    sound = np.repeat(tone(0.5, rate), 2).tobytes()  # in stereo
    whole, parts = Converter(rate, 2), Converter(rate, 2)
    expected = whole.convert(sound) + whole.rest()
    got, at = b"", 0
    for cut in cuts:
        if block := sound[at : at + 4 * cut]:
            got += parts.convert(block)
        at += 4 * cut
    if sound[at:]:
        got += parts.convert(sound[at:])
    assert got + parts.rest() == expected


@pytest.mark.parametrize("rate", [8000, 22_050, 44_100, 48_000, 96_000])
def test_a_converted_tone_is_that_tone(rate):
    converter = Converter(rate, 1)
    made = np.frombuffer(converter.convert(tone(2, rate).tobytes()) + converter.rest(), np.int16)
    assert len(made) == pytest.approx(32_000, abs=2)
    assert np.corrcoef(made[400:31_600], tone(2)[400:31_600])[0, 1] > 0.999


def test_what_needs_no_conversion_is_left_alone():
    assert Converter(16_000, 1).convert(b"abcd") == b"abcd"
    assert Converter(16_000, 1).rest() == b""
