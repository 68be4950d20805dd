"""`GET /v1/models` for both families of clients: OpenAI's `data`, Deepgram's `stt`.

There is one model at a time, and `whisper-1`, under which OpenAI's clients look for it.
"""

from litestar import get
from litestar.di import NamedDependency
from litestar.exceptions import ServiceUnavailableException
from litestar.params import FromPath

from api.auth import DEEPGRAM
from api.listen import messages
from api.openai.refusals import for_callers
from api.openai.schemas import ListedModel, ListedModels
from api.threads import threaded
from appliance.box import Box
from appliance.errors import NotFound
from engine.models import Model, Shelf

PATH = "/v1/models"
ALIAS = "whisper-1"
PUBLISHED = 1_663_718_400  # 2022-09-21: Whisper itself
LOADING_S = 5.0


@get(
    PATH,
    operation_id="listModels",
    **for_callers(surface=DEEPGRAM, without=(404, 408, 413, 507)),
    tags=["openai"],
)
@threaded
def list_models(box: NamedDependency[Box]) -> ListedModels:
    """List the model of this box in the forms of OpenAI and Deepgram."""
    models = listed(box)
    return ListedModels("list", models, models[:1], [])


@get(
    f"{PATH}/{{model_id:str}}",
    operation_id="getModel",
    **for_callers(surface=DEEPGRAM, without=(408, 413, 507)),
    tags=["openai"],
)
@threaded
def get_model(box: NamedDependency[Box], model_id: FromPath[str]) -> ListedModel:
    """Return one of them, by its name or its uuid."""
    models = listed(box)
    for model in models:
        if model_id in (model.id, model.canonical_name, model.uuid):
            return model
    there = ", ".join(model.id for model in models)
    raise NotFound(f"model '{model_id[:60]}': this box has {there}; any name will do to transcribe")


def listed(box: Box) -> list[ListedModel]:
    """Return what clients may ask for; waits for a model that is being loaded."""
    try:
        whisper = box.worker.model(LOADING_S)
    except TimeoutError:
        headers = {"Retry-After": "5"}
        raise ServiceUnavailableException("The model is being loaded.", headers=headers) from None
    model, codes = whisper.model, sorted(whisper.languages)
    return [described(model, codes, model.label), described(model, codes, ALIAS)]


def label(box: Box) -> str:
    """Return the name of the model that listens, also while it is being loaded."""
    if box.worker.state == "ready":
        return box.worker.model().model.label
    shelf = Shelf(box.settings.data_dir / "models")
    return f"whisper-{box.settings.model or next(iter(shelf.names()), 'unknown')}"


def described(model: Model, languages: list[str], id: str) -> ListedModel:
    """Return a model under one of its names."""
    known = messages.Model.of(model)
    return ListedModel(
        id=id,
        created=PUBLISHED,
        owned_by="local",
        name=known.name,
        canonical_name=known.name,
        architecture=messages.ARCHITECTURE,
        languages=languages,
        version=known.version,
        uuid=known.uuid,
        root=known.name if id != known.name else None,
    )
