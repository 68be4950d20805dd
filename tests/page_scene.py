"""A box in the middle of its life, for looking at every view of its page: real parts throughout.

Sessions, one of them with sound and a transcript; keys, webhooks with deliveries, a vocabulary,
weeks of usage; with a microphone also a recording that hears a meeting, again and again.
`hostile` is planted wherever the page shows what somebody else wrote.
"""

import contextlib
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from delivering import tell_all
from heard_sessions import Planted, babble, segment
from many_sessions import finished
from page_browser import PageBox, page_box_at
from receiver import receiving
from running_box import WAIT_S
from speech_fixtures import Speech, fixture
from virtual_microphone import VirtualMicrophone, wait_until

from appliance import welcome
from appliance.data_folder import DataFolder
from appliance.store import accounts, usage
from appliance.store.database import Database
from appliance.store.entities import now

MEETING = fixture("meeting")
DAYS = 30
SESSIONS = (  # hours ago, title, tags, note
    (2, "Interview with the caretaker", "interview, house",
     "The heating in the west wing has not been touched since the nineties. He keeps a list of "
     "every valve and would like somebody to copy it before he retires."),
    (5, "Stand-up", "team",
     "The release is ready for Thursday. Two tickets are left, both about the export."),
    (21, "Customer call, bakery on the square", "customer",
     "They want the labels on the shelf by the first of the month. The sample with the larger "
     "type is the one they liked. Send a price for two thousand."),
    (28, "Budget for the new kitchen", "budget, meeting",
     "Three companies have answered. The cheapest leaves out the ventilation, which the landlord "
     "insists on. We decide before the end of next week."),
    (47, "Lecture on room acoustics", "lecture",
     "A room of bare concrete needs absorbers at the height of the ear before anything else. "
     "Carpets help the neighbours below more than the people in the room."),
    (52, "Idea on the way home", "",
     "Ask whether the old workshop could be had for the summer, with the roof as it is."),
    (75, "Board meeting", "board, meeting",
     "The minutes of the last meeting are accepted. The treasurer reports that the reserve now "
     "covers six months. Elections are moved to the spring."),
    (98, "Site visit, house on the hill", "house",
     "The windows on the north side come first, then the roof over the stairs. The scaffolding "
     "can stand until March if the permit is extended."),
    (124, "Podcast, raw take", "podcast, draft",
     "Cut the first minute. The story of the ferry works better before the question about the "
     "bridge."),
    (171, "Weekly planning", "meeting, team",
     "The holiday plan is still missing some names. Please write your dates on the list."),
)  # fmt: skip
TALK = (
    "Let us begin with the house on the hill.",
    "The supplier asks for two more weeks.",
    "Then we meet again on Thursday at ten.",
)


@dataclass(frozen=True, slots=True)
class Place:
    """A view: its address, and what is there once it can be looked at."""

    name: str
    hash: str
    ready: str
    planted: str = ""  # where something hostile is to be read, as text


@dataclass(slots=True)
class Scene:
    """The box, and the places that there are."""

    box: PageBox
    places: list[Place] = field(default_factory=list)

    def add(self, name: str, hash: str, ready: str, planted: str = "") -> None:
        """Have one more place."""
        self.places.append(Place(name, hash, ready, planted))


@contextlib.contextmanager
def set_up(path: Path, microphone: VirtualMicrophone | None, hostile: str = "") -> Iterator[Scene]:
    """Make the box in that folder, and run it until the block ends."""
    folder = DataFolder(path).make()
    with contextlib.closing(Database(folder.database)) as database:
        welcome.bootstrap(database, folder)
        live(database)
    planted = plant(path, hostile) if hostile else None
    environment = microphone.environment if microphone else {}
    with contextlib.ExitStack() as stack:
        there = stack.enter_context(receiving())
        settings = {
            "SCRIBEBOX_PLANS": "office=4000/20000",
            "SCRIBEBOX_WEBHOOK_ALLOW": f"127.0.0.1:{there.port}",
            **environment,
        }
        box = stack.enter_context(page_box_at(path, **settings))
        wait_until(lambda: health(box)["engine"]["status"] == "ok", "engine", WAIT_S)
        scene = Scene(box)
        furnish(box, there, hostile)
        number = planted or int(
            box.upload(MEETING.path, title="Weekly planning meeting", tags="meeting, kitchen")["id"]
        )
        add_places(scene, number, hostile)
        if microphone is not None:
            stack.enter_context(recording(scene, microphone, hostile))
        yield scene


def health(box: PageBox) -> dict:
    """Return how the parts of the box are."""
    return box.client.get("/health").json()["checks"]


def plant(path: Path, hostile: str) -> int:
    """Plant a session whose every text is hostile; return its number."""
    said = [segment(f"{one} {hostile}", 500 + 6000 * at) for at, one in enumerate(TALK)]
    said.append(segment(hostile, 20_000, suppressed="repetition"))
    sound = babble(path / "planted.flac", said, 24).read_bytes()
    with Planted(path) as planting:
        return planting.session(
            f"Planted {hostile}", said, audio=sound, seconds=24, note=f"A note. {hostile}",
            tags=hostile, warning=hostile,
        )  # fmt: skip


def live(database: Database) -> None:
    """Have a week of sessions, and weeks of dictation."""
    with database.write() as session:
        owner = accounts.named(session, accounts.DEFAULT).id
        for hours, title, tags, note in reversed(SESSIONS):
            at = now() - timedelta(hours=hours)
            session.add(finished(owner, at, title, note, tags.replace(", ", ",")))
        for day in range(DAYS):
            words = (7 * day % 11) * 130 + 240 if day % 7 not in (2, 3) else 0
            usage.add(session, owner, usage.DICTATION, words=words, audio_ms=430 * words,
                      cost_micros=3 * words, at=now() - timedelta(days=day))  # fmt: skip


def furnish(box: PageBox, there, hostile: str) -> None:
    """Have keys, webhooks with deliveries of both ends, and a vocabulary."""
    box.client.patch("/api/v1/accounts/1", json={"plan": "office"}).raise_for_status()
    box.new_key("sessions:read", "recordings", name=f"Meeting room {hostile}".strip())
    box.new_key("webhooks", name="Archive")
    ended = box.described_key("listen", name="Old laptop")["id"]
    box.client.delete(f"/api/v1/keys/{ended}").raise_for_status()
    there.set("/busy", "500")
    for path, what in (("/archive", f"The archive {hostile}"), ("/busy", "The calendar")):
        wanted = {"url": there.url(path), "description": what.strip()}
        box.client.post("/api/v1/webhooks", json=wanted).raise_for_status()
    with contextlib.closing(Database(box.data / "scribebox.db")) as database:
        tell_all(database, 1, 2)
    there.wait_for(4)
    words = {
        "hotwords": ["Scribebox", "Ada Lovelace", "Kubernetes", *([hostile] if hostile else [])],
        "replacements": [{"from": "scribe box", "to": hostile or "Scribebox"}],
    }
    box.client.put("/api/v1/vocabulary", json=words).raise_for_status()


def add_places(scene: Scene, number: int, hostile: str) -> None:
    """Name the views that are there without a microphone."""
    scene.add("record", "#/record", "[data-view=record] h1")
    scene.add("sessions", "#/sessions", "[data-view=sessions] li h2 a, [data-view=sessions] li a",
              "main")  # fmt: skip
    scene.add("session", f"#/sessions/{number}", "[data-view=session] article h1", "main")
    for tab in ("usage", "keys", "webhooks", "vocabulary", "health"):
        shows = "main" if tab in ("keys", "webhooks", "vocabulary") else ""
        scene.add(f"box-{tab}", f"#/box/{tab}", ".box-body > :not(.loading)", shows)
    scene.add("nowhere", f"#/nowhere{hostile}", ".empty h1")


@contextlib.contextmanager
def recording(scene: Scene, microphone: VirtualMicrophone, hostile: str) -> Iterator[None]:
    """Record a meeting that goes on until the block ends."""
    begun = scene.box.client.post("/api/v1/recordings", json={"title": f"Planning {hostile}"})
    assert begun.status_code == 201, begun.text
    number = begun.json()["id"]
    with endless(microphone, MEETING):
        status = f"/api/v1/recordings/{number}"
        wait_until(
            lambda: scene.box.client.get(status).json()["transcribedSeconds"] > 3, "text", 120
        )
        scene.add("live", f"#/record/{number}", ".lines > .line")
        scene.add("captions", f"#/captions/{number}", ".cap-line")
        yield
    scene.box.client.post(f"{status}/discard").raise_for_status()


@contextlib.contextmanager
def endless(microphone: VirtualMicrophone, speech: Speech) -> Iterator[None]:
    """Let the microphone hear a file again and again until the block ends."""
    # a shell of its own group: it ends with the program that it runs
    again = 'while paplay --device=mic "$0"; do :; done'
    player = subprocess.Popen(
        ["sh", "-c", again, str(speech.path)],
        env={**os.environ, **microphone.environment},
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield
    finally:
        os.killpg(player.pid, 15)
        player.wait(60)
