"""openai 3: speech to text in every format, streamed, translated; the list of models."""

import io

from openai import AuthenticationError, BadRequestError, OpenAI
from plan import Plan, tell


def transcribed(client, plan, **options):
    options = {"model": "whisper-1", **options}
    return client.audio.transcriptions.create(file=("talk.flac", plan.sound), **options)


def formats(client, plan):
    """Ask for each format."""
    verbose = transcribed(
        client, plan, response_format="verbose_json", timestamp_granularities=["word", "segment"],
        language="en", prompt="A weekly planning meeting.", temperature=0,
    )  # fmt: skip
    plain = transcribed(client, plan, response_format="verbose_json")
    file = io.BytesIO(plan.sound)
    file.name = "talk.flac"
    text = client.audio.transcriptions.create(
        file=file, model="gpt-4o-transcribe", response_format="text"
    )
    tell(
        json=transcribed(client, plan).to_dict(),
        text=text,
        srt=transcribed(client, plan, response_format="srt"),
        vtt=transcribed(client, plan, response_format="vtt"),
        verbose=verbose.to_dict(),
        plain=plain.to_dict(),
    )


def streamed(client, plan):
    stream = transcribed(client, plan, model="gpt-4o-mini-transcribe", stream=True)
    tell(events=[event.to_dict() for event in stream])


def translated(client, plan):
    file = ("talk.flac", plan.sound)
    json = client.audio.translations.create(file=file, model="whisper-1")
    verbose = client.audio.translations.create(
        file=file, model="whisper-1", response_format="verbose_json"
    )
    tell(json=json.to_dict(), verbose=verbose.to_dict())


def models(client, plan):
    listed = [model.to_dict() for model in client.models.list()]
    tell(models=listed, one=client.models.retrieve(listed[0]["id"]).to_dict())


def refused(client, plan):
    """Tell what comes of a wrong key, and of bytes that are no sound."""
    told = []
    stranger = OpenAI(base_url=f"{plan.url}/v1", api_key="sb_live_aaaaaaaa_" + "b" * 43)
    try:
        transcribed(stranger, plan)
    except AuthenticationError as error:
        told.append([error.status_code, error.body])
    try:
        plan.sound = b"no sound" * 99
        transcribed(client, plan)
    except BadRequestError as error:
        told.append([error.status_code, error.body])
    tell(refusals=told)


DONE = {
    "formats": formats,
    "stream": streamed,
    "translation": translated,
    "models": models,
    "refused": refused,
}
plan = Plan()
DONE[plan.what](OpenAI(base_url=f"{plan.url}/v1", api_key=plan.key), plan)
