import json
import subprocess
import sys

import av
import numpy as np
import pytest
from speech_fixtures import tone, write_wav

from engine.audio import Decoding
from engine.errors import AudioUnreadable

CONFINED = """
import ctypes, errno, json, os, socket, subprocess, sys
from engine import decoder

decoder.warm_up()
decoder.confine(memory_bytes=2 << 30, cpu_seconds=60)
path = sys.argv[1]
tries = {
    "open": lambda: open(path, "rb"),
    "os.open": lambda: os.open(path, os.O_RDONLY),
    "write": lambda: open(path + ".new", "wb"),
    "folder": lambda: os.listdir(os.path.dirname(path)),
    "dup": lambda: os.dup(0),
    "pipe": os.pipe,
    "socket": lambda: socket.socket(socket.AF_INET, socket.SOCK_STREAM),
    "program": lambda: subprocess.run(["true"], capture_output=True),
    "demuxer": lambda: decoder.decode(path, open(1, "wb", closefd=False)),
}
said = {}
for name, attempt in tries.items():
    try:
        attempt()
        said[name] = "done"
    except OSError as error:
        said[name] = errno.errorcode[error.errno]
    except decoder.Unreadable:
        said[name] = "Unreadable"
print(json.dumps(said))
sys.stdout.flush()
os._exit(0)
"""


def ffconcat(target):
    return f"ffconcat version 1.0\nfile '{target}'\n"


def hls(target):
    return f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{target}\n#EXT-X-ENDLIST\n"


def hls_key(target):
    return (
        f'#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXT-X-KEY:METHOD=AES-128,URI="{target}"\n'
        f"#EXTINF:9,\n{target}\n#EXT-X-ENDLIST\n"
    )


@pytest.fixture
def secret(tmp_path):
    """Put a recording that is none of the caller's business into the folder."""
    return write_wav(tmp_path / "secret.wav", tone(9, hertz=700, level=0.5))


@pytest.mark.parametrize("name", ["list.ffconcat", "list.m3u8", "list.wav", "list.mp3", "list"])
@pytest.mark.parametrize("how", ["relative", "absolute", "url"])
@pytest.mark.parametrize("playlist", [ffconcat, hls, hls_key])
def test_a_playlist_gives_nothing_of_another_file(playlist, how, name, secret):
    targets = {"relative": secret.name, "absolute": str(secret), "url": secret.as_uri()}
    path = secret.with_name(name)
    path.write_text(playlist(targets[how]))
    blocks = []
    with pytest.raises(AudioUnreadable, match="not an audio file"), Decoding(path) as decoding:
        blocks.extend(decoding)
    assert blocks == []


def test_the_playlists_are_live_bait(secret):
    """Without our whitelist FFmpeg follows the very lists that the test above has refused."""
    path = secret.with_name("list.ffconcat")
    path.write_text(ffconcat(secret.name))
    with av.open(str(path), options={"safe": "0"}) as container:
        frame = next(container.decode(audio=0))
    assert np.abs(frame.to_ndarray()).max() > 10_000


def test_a_confined_child_can_open_nothing(secret):
    child = subprocess.run(
        [sys.executable, "-P", "-c", CONFINED, str(secret)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=120,
        check=True,
    )
    said = json.loads(child.stdout.splitlines()[-1])
    assert said.pop("demuxer") == "Unreadable"
    assert set(said.values()) == {"EMFILE"}, said
    assert not secret.with_name("secret.wav.new").exists()


def test_a_decoder_run_by_hand_tells_what_it_is_and_how_it_went(secret):
    with secret.open("rb") as file:
        child = subprocess.run(
            [sys.executable, "-P", "-m", "engine.decoder", str(2 << 30), "60"],
            stdin=file,
            capture_output=True,
            timeout=120,
            check=True,
        )
    header, pcm = child.stdout.split(b"\n", 1)
    told = {"seconds": 9.0, "format": "wav", "codec": "pcm_s16le", "channels": 1}
    assert json.loads(header) == told
    assert np.array_equal(np.frombuffer(pcm, np.int16), tone(9, hertz=700, level=0.5))
    assert json.loads(child.stderr) == {"samples": 9 * 16_000, "corrupt": 0}
