"""The box as it runs: everything below the HTTP surface, started and stopped in order."""

import contextlib
import logging
from collections.abc import Iterator
from dataclasses import dataclass

from appliance import backup, welcome
from appliance.audio_folder import AudioFolder
from appliance.capturing import CaptureOptions
from appliance.countdown import STOP_S, Countdown
from appliance.data_folder import DataFolder
from appliance.direct import Direct
from appliance.history_audio import HistoryAudio
from appliance.listeners import Listeners
from appliance.recorder import Recorder, RecorderOptions
from appliance.secret import LOCAL_TOKENS, PAGE_TOKENS, SIGNED_URLS, WEBHOOK_SECRETS
from appliance.secret import load as load_secret
from appliance.settings import Settings
from appliance.signatures import Signatures
from appliance.standby import Standby, StandbyOptions
from appliance.store import jobs, migrations
from appliance.store.database import Database
from appliance.tokens import LocalTokens, PageTokens
from appliance.uploads import Uploads
from appliance.vendor import Vendor
from appliance.webhook_secrets import WebhookSecrets
from engine.cloud import Cloud
from engine.failover import Mode
from engine.hardware import Hardware
from engine.models import Shelf
from engine.whisper import Whisper, check_language
from engine.worker import Worker

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Box:
    """The running parts, for those who serve it."""

    settings: Settings
    folder: DataFolder
    database: Database
    worker: Worker
    standby: Standby
    uploads: Uploads
    direct: Direct
    listeners: Listeners
    recorder: Recorder
    history_audio: HistoryAudio
    signatures: Signatures
    tokens: LocalTokens
    page_tokens: PageTokens
    vendor: Vendor
    webhook_secrets: WebhookSecrets
    new_admin_key: str | None  # in plain, at the first start only


def open_store(
    settings: Settings, *, held: bool = False
) -> tuple[DataFolder, Database, str | None]:
    """Open (and at first make) the data folder and the database in it; `held`: by the caller.

    A database of an older version is backed up before it is brought up to date.
    """
    folder = DataFolder(settings.data_dir).make()
    with contextlib.ExitStack() as stack:
        if migrations.pending(folder.database) is not None and not held:
            stack.enter_context(folder.held("upgrade"))  # not under a server of that version
        if (step := migrations.pending(folder.database)) is not None:
            log.warning("the database is of an older version: it is backed up, then changed")
            log.warning("its backup: %s", backup.before_migration(folder, step))
        database = Database(folder.database)
    return folder, database, welcome.bootstrap(database, folder)


def engine(settings: Settings) -> Worker:
    """Return a worker for the model of the settings, not yet started."""
    shelf = Shelf(settings.data_dir / "models")
    hardware = Hardware(settings.device, settings.threads, settings.workers).resolved()

    def load() -> Whisper:
        model = shelf.find(settings.model)
        check_language(model, settings.language)
        return Whisper(model, hardware)

    return Worker(load, workers=hardware.workers)


@contextlib.contextmanager
def running(settings: Settings, url: str, countdown: Countdown | None = None) -> Iterator[Box]:
    """Start the parts in order, hand them out, stop them in reverse.

    The lock of the data folder is held throughout; what a crash left is mended before anything
    new begins; the model loads while the box already answers.
    """
    countdown = countdown or Countdown(STOP_S)
    folder = DataFolder(settings.data_dir).make()
    with folder.held("serve", url=url), contextlib.ExitStack() as stack:
        _, database, new_admin_key = open_store(settings, held=True)
        stack.callback(database.close)
        with database.write() as session:
            cut_off = jobs.requeue_running(session)
        if cut_off:
            log.warning("%d jobs that were cut off start again", cut_off)
        worker = engine(settings).start()
        stack.callback(lambda: worker.stop(countdown.left_s()))
        audio = AudioFolder(folder.audio, settings.upload_limit_bytes, settings.disk_refuse_bytes)
        standby = Standby(database, worker, standby_options(settings)).start()
        stack.callback(lambda: standby.stop(countdown.left_s()))
        uploads = Uploads(database, audio, worker, settings.language, standby)
        welcome.say_hello(database, uploads)
        uploads.start()
        stack.callback(lambda: uploads.stop(countdown.left_s()))
        direct = direct_of(settings, folder, worker)
        stack.callback(direct.close)
        recorder = Recorder(
            database, worker, audio, folder.recordings, recorder_options(settings), standby
        )
        stack.callback(lambda: recorder.close(countdown.left_s()))
        secret = load_secret(folder.secret)
        tokens = LocalTokens(secret.key(LOCAL_TOKENS))
        yield Box(
            settings=settings,
            folder=folder,
            database=database,
            worker=worker,
            standby=standby,
            uploads=uploads,
            direct=direct,
            listeners=Listeners(),
            recorder=recorder,
            history_audio=HistoryAudio(database, audio),
            signatures=Signatures(secret.key(SIGNED_URLS)),
            webhook_secrets=WebhookSecrets(secret.key(WEBHOOK_SECRETS)),
            tokens=tokens,
            page_tokens=PageTokens(secret.key(PAGE_TOKENS)),
            vendor=Vendor(database, tokens, settings.plans, cloud_of(settings)),
            new_admin_key=new_admin_key,
        )


def direct_of(settings: Settings, folder: DataFolder, worker: Worker) -> Direct:
    """Return who transcribes files for callers that wait."""
    limit_bytes, refuse_bytes = settings.upload_limit_bytes, settings.disk_refuse_bytes
    return Direct(worker, folder.path / "direct", limit_bytes, refuse_bytes, settings.language)


def recorder_options(settings: Settings) -> RecorderOptions:
    """Return what the settings say about recordings."""
    return RecorderOptions(
        device=settings.input_device,
        profile=settings.profile,
        language=settings.language,
        refuse_bytes=settings.disk_refuse_bytes,
        capture=CaptureOptions(settings.journal_sync_ms, settings.disk_stop_bytes),
    )


def standby_options(settings: Settings) -> StandbyOptions:
    """Return what the settings say about the cloud behind the box."""
    return StandbyOptions(
        mode=Mode(settings.failover),
        lag_seconds=settings.failover_lag_seconds,
        cloud=cloud_of(settings),
        plans=settings.plans,
        prices=settings.prices,
    )


def cloud_of(settings: Settings) -> Cloud | None:
    """Return the cloud of the settings, None if they hold no key for it."""
    key = settings.deepgram_api_key
    return Cloud(settings.deepgram_url, key.get_secret_value()) if key is not None else None
