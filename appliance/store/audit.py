"""Who did what with which key: append-only."""

from sqlmodel import Session

from appliance.store.entities import Audit


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
