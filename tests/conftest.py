"""What several test modules share: the shelf of models, and one worker for each model."""

import shutil
import signal

import pytest
from hypothesis import HealthCheck, settings
from litestar.testing import TestClient
from page_browser import chromium, page_box, visit  # noqa: F401 (fixtures)

from api import app
from api.head import Head
from appliance.settings import Settings
from appliance.store import accounts
from appliance.store.database import Database
from engine.hardware import Hardware
from engine.models import Shelf
from engine.whisper import Whisper
from engine.worker import Worker

# a busy machine is no defect
settings.register_profile("scribebox", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("scribebox")

# whoever runs the tests in the background makes them, and so their children, ignore Ctrl-C
signal.signal(signal.SIGINT, signal.default_int_handler)

LOADING_S = 240


@pytest.fixture(scope="session")
def shelf(tmp_path_factory):
    """Hold the session's models; `base` is joined here, once. Tests add none to it."""
    folder = tmp_path_factory.mktemp("models")
    yield Shelf(folder)
    shutil.rmtree(folder)  # 145 MB that pytest would keep for three sessions


@pytest.fixture(scope="session")
def tiny(shelf):
    """Run one worker with tiny.en: for everything that needs real text of English speech."""
    yield from working(shelf, "tiny.en")


@pytest.fixture(scope="session")
def base(shelf):
    """Run one worker with base, which is slower to load: for other languages than English."""
    yield from working(shelf, "base")


def working(shelf, name):
    workers = Hardware().resolved().workers
    worker = Worker(lambda: Whisper(shelf.find(name)), workers=workers).start()
    worker.model(LOADING_S)
    yield worker
    worker.stop()


@pytest.fixture
def database(tmp_path):
    """Open an empty database, a file as in real life."""
    opened = Database(tmp_path / "scribebox.db")
    yield opened
    opened.close()


@pytest.fixture
def account(database):
    """Return the number of an account in it."""
    with database.write() as session:
        return accounts.create(session, "alice").id


@pytest.fixture
def started(tmp_path):
    """Run the app without a model to load (its name is unknown): nothing there transcribes."""
    application = app.create(Settings(data_dir=tmp_path, model="absent"), "http://127.0.0.1:1")
    with TestClient(Head(application)) as client:
        client.application = application
        yield client
