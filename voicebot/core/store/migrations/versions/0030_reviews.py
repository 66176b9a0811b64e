"""When somebody last listened to a call."""

from voicebot.core.store.migrations import SQL, apply

revision = "0030"
down_revision = max(path.name[:4] for path in SQL.glob("*.sql") if path.name[:4] < revision)


def upgrade() -> None:
    """Forward only."""
    apply("0030_reviews.sql")
