"""Agents at a desk speak with callers in the browser."""

from voicebot.core.store.migrations import SQL, apply

revision = "0023"
down_revision = max(path.name[:4] for path in SQL.glob("*.sql") if path.name[:4] < revision)


def upgrade() -> None:
    """Forward only."""
    apply("0023_talks.sql")
