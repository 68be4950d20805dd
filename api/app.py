"""The HTTP surface: every route in one table."""

from collections.abc import Callable
from typing import Any

from litestar import Litestar
from litestar.datastructures import State
from litestar.middleware import DefineMiddleware

from api import (
    accounts,
    deliveries,
    grant,
    health,
    history,
    history_audio,
    jobs,
    keys,
    me,
    metrics,
    openapi,
    page,
    problems,
    recording_events,
    recordings,
    sessions,
    sign_in,
    token,
    transcripts,
    uploads,
    usage,
    vocabulary,
    waveform,
    webhooks,
)
from api.auth import Authentication
from api.dependencies import provided
from api.lifespan import lifespan
from api.listen import file as listen_file
from api.listen import stream
from api.openai import models, transcriptions, translations
from api.response_headers import guard
from appliance.box import Box
from appliance.settings import Settings

ROUTES: list[Any] = [
    health.health,  # GET /health
    metrics.metrics,  # GET /metrics
    page.get_page,  # GET /
    page.get_page_file,  # GET /page/{path}
    me.get_me,  # GET /api/v1/me
    sign_in.sign_in,  # POST /api/v1/sign-in
    sign_in.sign_out,  # POST /api/v1/sign-out
    sessions.list_sessions,  # GET /api/v1/audioscribe/sessions/
    uploads.upload,  # POST /api/v1/audioscribe/sessions/
    sessions.get_session,  # GET /api/v1/audioscribe/sessions/{id}/
    sessions.change_session,  # PATCH /api/v1/audioscribe/sessions/{id}/
    sessions.delete_session,  # DELETE /api/v1/audioscribe/sessions/{id}/
    transcripts.get_segments,  # GET /api/v1/audioscribe/sessions/{id}/segments
    transcripts.get_audio,  # GET /api/v1/audioscribe/sessions/{id}/audio
    waveform.get_peaks,  # GET /api/v1/audioscribe/sessions/{id}/peaks
    waveform.get_audio_url,  # GET /api/v1/audioscribe/sessions/{id}/audio-url
    waveform.fetch_audio,  # GET /api/v1/audioscribe/audio/{id}
    transcripts.export,  # GET /api/v1/audioscribe/sessions/{id}/export
    jobs.list_jobs,  # GET /api/v1/jobs
    jobs.get_job,  # GET /api/v1/jobs/{id}
    jobs.cancel_job,  # POST /api/v1/jobs/{id}/cancel
    recordings.list_devices,  # GET /api/v1/recordings/devices
    recordings.start_recording,  # POST /api/v1/recordings
    recordings.list_recordings,  # GET /api/v1/recordings
    recordings.get_recording,  # GET /api/v1/recordings/{id}
    recordings.stop_recording,  # POST /api/v1/recordings/{id}/stop
    recordings.discard_recording,  # POST /api/v1/recordings/{id}/discard
    recording_events.watch_recording,  # GET /api/v1/recordings/{id}/events
    vocabulary.get_vocabulary,  # GET /api/v1/vocabulary
    vocabulary.put_vocabulary,  # PUT /api/v1/vocabulary
    keys.list_keys,  # GET /api/v1/keys
    keys.create_key,  # POST /api/v1/keys
    keys.revoke_key,  # DELETE /api/v1/keys/{id}
    accounts.list_accounts,  # GET /api/v1/accounts
    accounts.create_account,  # POST /api/v1/accounts
    accounts.change_account,  # PATCH /api/v1/accounts/{id}
    webhooks.list_webhooks,  # GET /api/v1/webhooks
    webhooks.create_webhook,  # POST /api/v1/webhooks
    webhooks.get_webhook,  # GET /api/v1/webhooks/{id}
    webhooks.change_webhook,  # PATCH /api/v1/webhooks/{id}
    webhooks.delete_webhook,  # DELETE /api/v1/webhooks/{id}
    webhooks.rotate_webhook,  # POST /api/v1/webhooks/{id}/rotate
    deliveries.test_webhook,  # POST /api/v1/webhooks/{id}/test
    deliveries.replay_deliveries,  # POST /api/v1/webhooks/{id}/replay
    deliveries.list_deliveries,  # GET /api/v1/webhooks/deliveries
    deliveries.replay_delivery,  # POST /api/v1/webhooks/deliveries/{id}/replay
    usage.get_usage,  # GET /v1/transcribe/usage
    usage.get_daily_usage,  # GET /v1/transcribe/usage/daily
    usage.check_limit,  # GET /v1/transcribe/usage/check-limit
    token.get_token,  # GET /v1/transcribe/token
    grant.grant_token,  # POST /v1/auth/grant
    stream.listen,  # WS /v1/listen
    listen_file.transcribe_file,  # POST /v1/listen
    transcriptions.create_transcription,  # POST /v1/audio/transcriptions
    translations.create_translation,  # POST /v1/audio/translations
    models.list_models,  # GET /v1/models
    models.get_model,  # GET /v1/models/{id}
    history.list_history,  # GET /v1/transcribe/history
    history.add_history,  # POST /v1/transcribe/history
    history.delete_history,  # DELETE /v1/transcribe/history/{id}
    history_audio.create_upload_url,  # POST /v1/transcribe/history/audio/upload-url
    history_audio.attach_audio,  # POST /v1/transcribe/history/{id}/audio
    history_audio.get_audio_url,  # GET /v1/transcribe/history/{id}/audio
    history_audio.put_audio,  # PUT and POST /v1/transcribe/audio/{storageId}
    history_audio.fetch_audio,  # GET /v1/transcribe/audio/{storageId}
]


def create(
    settings: Settings,
    url: str,
    on_started: Callable[[Box], None] = lambda _: None,
    on_failed: Callable[[Exception], None] = lambda _: None,
) -> Litestar:
    """Return the app; the box starts with it and stops with it."""
    return Litestar(
        route_handlers=list(ROUTES),
        lifespan=[lifespan(settings, url, on_started, on_failed)],
        dependencies=provided(),
        middleware=[
            DefineMiddleware(Authentication, exclude="^/schema", exclude_from_auth_key="open"),
        ],
        exception_handlers=problems.HANDLERS,
        before_send=[guard],
        state=State({"metrics": metrics.Metrics()}),
        openapi_config=openapi.document(),
        logging_config=None,
        debug=False,
    )
