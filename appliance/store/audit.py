"""Who did what with which key: append-only."""

from sqlmodel import Session

from appliance.store.entities import Audit
from appliance.store.keys import Caller


def note(
    session: Session,
    action: str,
    target: str,
    *,
    result: str = "ok",
    account_id: int | None = None,
    key_id: str | None = None,
    address: str | None = None,
) -> None:
    """Add one line, in the transaction of what it tells of."""
    session.add(
        Audit(
            action=action,
            target=target,
            result=result,
            account_id=account_id,
            key_id=key_id,
            address=address,
        )
    )


def by(session: Session, caller: Caller, address: str | None, action: str, target: str) -> None:
    """Add the line of what a caller did over HTTP."""
    note(
        session,
        action,
        target,
        account_id=caller.account_id,
        key_id=caller.key_id,
        address=address,
    )
