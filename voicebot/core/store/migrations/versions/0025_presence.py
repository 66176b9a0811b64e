"""Who is at the desk; an index for what goes on."""

from voicebot.core.store.migrations import SQL, apply

revision = "0025"
down_revision = max(path.name[:4] for path in SQL.glob("*.sql") if path.name[:4] < revision)


def upgrade() -> None:
    """Forward only."""
    apply("0025_presence.sql")
