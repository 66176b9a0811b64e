"""Drafts decided on from any process; what agents whisper to the bot."""

from voicebot.core.store.migrations import SQL, apply

revision = "0024"
down_revision = max(path.name[:4] for path in SQL.glob("*.sql") if path.name[:4] < revision)


def upgrade() -> None:
    """Forward only."""
    apply("0024_drafts.sql")
