"""Warm transfers and what they have to have done."""

from voicebot.core.store.migrations import SQL, apply

revision = "0015"
down_revision = max(path.name[:4] for path in SQL.glob("*.sql") if path.name[:4] < revision)


def upgrade() -> None:
    """Forward only."""
    apply("0015_transfers.sql")
