"""`Configure`: a client changes in mid-stream the terms that are to be listened for."""

from api.listen import messages
from api.listen.inbox import Command
from api.listen.messages import Message
from api.listen.options import terms
from api.listen.query import InvalidOption

Terms = tuple[str, ...]


def configured(command: Command, request_id: str) -> tuple[Message, Terms | None]:
    """Return the answer, and the terms from now on; None leaves them, as null or nothing does."""
    asked = command.get("keyterms")
    if asked is None:
        return messages.configure_success(request_id=request_id), None
    if not isinstance(asked, list) or not all(isinstance(term, str) for term in asked):
        return failure(
            request_id, messages.INTERNAL_ERROR, "keyterms: want a list of strings"
        ), None
    try:
        found = terms(asked)
    except InvalidOption as error:
        return failure(request_id, messages.LIMIT_EXCEEDED, str(error)), None
    return messages.configure_success(request_id=request_id, keyterms=found), found


def failure(request_id: str, code: str, description: str) -> Message:
    """Return why the terms are as they were."""
    return messages.configure_failure(request_id=request_id, code=code, description=description)
