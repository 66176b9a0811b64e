"""Turns that may have been cut off, and the list of recordings."""

from voicebot.core.store.migrations import SQL, apply

revision = "0029"
down_revision = max(path.name[:4] for path in SQL.glob("*.sql") if path.name[:4] < revision)


def upgrade() -> None:
    """Forward only."""
    apply("0029_recordings.sql")
