"""The words an account's transcriptions should know and those they should replace."""

from sqlmodel import Session

from appliance.store.entities import Vocabulary


def of(session: Session, account_id: int) -> Vocabulary:
    """Return the account's vocabulary, empty if it has set none."""
    return session.get(Vocabulary, account_id) or Vocabulary(account_id=account_id)
