"""The account's vocabulary over HTTP."""

from litestar import get, put
from litestar.di import NamedDependency
from litestar.params import JSONBody

from api.auth import needs
from api.schemas import Replacement, Vocabulary
from api.threads import threaded, writing
from appliance.box import Box
from appliance.store import entities, vocabulary
from appliance.store.keys import Caller

PATH = "/api/v1/vocabulary"


@get(
    PATH,
    operation_id="getVocabulary",
    **needs("sessions:read"),
    tags=["vocabulary"],
)
@threaded
def get_vocabulary(box: NamedDependency[Box], caller: NamedDependency[Caller]) -> Vocabulary:
    """Return hotwords and replacements."""
    with box.database.read() as session:
        return described(vocabulary.of(session, caller.account_id))


@put(
    PATH,
    operation_id="putVocabulary",
    **needs("sessions:write", _413="The body is too large."),
    tags=["vocabulary"],
)
@writing
def put_vocabulary(
    data: JSONBody[Vocabulary], box: NamedDependency[Box], caller: NamedDependency[Caller]
) -> Vocabulary:
    """Set all of it; every transcription of the account uses it from the next one on."""
    pairs = [(replacement.heard, replacement.meant) for replacement in data.replacements]
    with box.database.write() as session:
        row = vocabulary.put(session, caller.account_id, data.hotwords, pairs)
    return described(row)


def described(row: entities.Vocabulary) -> Vocabulary:
    """Return the vocabulary as clients see it."""
    pairs = [Replacement(pair["from"], pair["to"]) for pair in row.replacements]
    return Vocabulary(hotwords=row.hotwords, replacements=pairs)
