"""What was suggested to people who speak with callers; promises of theirs."""

from voicebot.core.store.migrations import SQL, apply

revision = "0026"
down_revision = max(path.name[:4] for path in SQL.glob("*.sql") if path.name[:4] < revision)


def upgrade() -> None:
    """Forward only."""
    apply("0026_assist.sql")
