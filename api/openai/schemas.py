"""The shapes of OpenAI's API that the document shows."""

from typing import Any

import msgspec


class OpenaiError(msgspec.Struct):
    """What is wrong, of what kind it is, and with which parameter."""

    message: str
    type: str
    param: str | None
    code: str | None


class OpenaiProblem(msgspec.Struct):
    """A refusal in OpenAI's shape."""

    error: OpenaiError


class ListedModel(msgspec.Struct, omit_defaults=True):
    """A model as both families of clients list it; `root`: the model behind an alias."""

    id: str
    created: int
    owned_by: str
    name: str
    canonical_name: str
    architecture: str
    languages: list[str]
    version: str
    uuid: str
    object: str = msgspec.field(default_factory=lambda: "model")
    batch: bool = msgspec.field(default_factory=lambda: True)
    streaming: bool = msgspec.field(default_factory=lambda: True)
    formatted_output: bool = msgspec.field(default_factory=lambda: True)
    root: str | None = None


class ListedModels(msgspec.Struct):
    """The models: `data` is OpenAI's list, `stt` and `tts` are Deepgram's."""

    object: str
    data: list[ListedModel]
    stt: list[ListedModel]
    tts: list[Any]
