"""The list of microphones for those who ask often: never waited for, looked at now and then."""

import threading

import pytest

from appliance.microphones import FRESH_S, Microphones
from engine.errors import MicrophoneUnavailable
from engine.microphone import Device

WAIT_S = 60
JABRA = Device("Jabra: USB Audio (hw:1,0)", 1, 16_000, True)


class Looks:
    """Look when it is let, note how often, and give what is plugged in."""

    def __init__(self):
        self.devices, self.count = [JABRA], 0
        self.now, self.go = 1000.0, threading.Event()
        self.microphones = Microphones(self.look, lambda: self.now)

    def look(self):
        self.count += 1
        assert self.go.wait(WAIT_S)
        if self.devices is None:
            raise MicrophoneUnavailable("PortAudio is missing")
        return self.devices

    def done(self):
        """Wait for the look that is under way."""
        self.go.set()
        with self.microphones.left_alone():
            pass


def test_nobody_waits_and_one_look_serves_all_who_ask():
    looks = Looks()
    assert [looks.microphones.known() for _ in range(5)] == [None] * 5
    looks.done()
    assert looks.microphones.known().devices == (JABRA,)
    assert looks.count == 1


def test_what_is_old_is_told_until_it_is_known_anew():
    looks = Looks()
    looks.microphones.known()
    looks.done()
    looks.devices, looks.now = [], looks.now + FRESH_S + 1
    looks.go.clear()
    assert looks.microphones.known().devices == (JABRA,)
    looks.done()
    assert looks.microphones.known().devices == ()
    assert looks.count == 2


def test_without_portaudio_there_is_none_and_who_asks_himself_learns_why():
    looks = Looks()
    looks.devices = None
    looks.microphones.known()
    looks.done()
    assert looks.microphones.known().devices == ()
    with pytest.raises(MicrophoneUnavailable):
        looks.microphones.listed()


def test_no_look_begins_while_a_recording_does():
    looks = Looks()
    looks.go.set()
    with looks.microphones.left_alone(), looks.microphones.left_alone():
        assert looks.microphones.known() is None
    assert looks.count == 0
    looks.microphones.known()
    looks.done()
    assert looks.count == 1


def test_a_name_is_found_on_whatever_card_it_is_now():
    looks = Looks()
    looks.go.set()
    looks.microphones.listed()
    listing = looks.microphones.known()
    assert listing.has("Jabra: USB Audio (hw:2,0)") and listing.has("Jabra: USB Audio")
    assert not listing.has("Blue Yeti")
