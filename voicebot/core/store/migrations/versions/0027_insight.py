"""What the figures need besides: segments, repeats from both sides, waits as heard, gaps by the hour."""

from voicebot.core.store.migrations import SQL, apply

revision = "0027"
down_revision = max(path.name[:4] for path in SQL.glob("*.sql") if path.name[:4] < revision)


def upgrade() -> None:
    """Forward only."""
    apply("0027_insight.sql")
