"""The queue of handoffs: teams, holders, changes, deliveries."""

from voicebot.core.store.migrations import SQL, apply

revision = "0016"
down_revision = max(path.name[:4] for path in SQL.glob("*.sql") if path.name[:4] < revision)


def upgrade() -> None:
    """Forward only."""
    apply("0016_queue.sql")
