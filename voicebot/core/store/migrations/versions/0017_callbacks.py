"""Calls that we make; messages that callers leave."""

from voicebot.core.store.migrations import SQL, apply

revision = "0017"
down_revision = max(path.name[:4] for path in SQL.glob("*.sql") if path.name[:4] < revision)


def upgrade() -> None:
    """Forward only."""
    apply("0017_callbacks.sql")
