"""Calls of tools, uses of limits, text messages that wait to be sent."""

from voicebot.core.store.migrations import SQL, apply

revision = "0011"
down_revision = max(path.name[:4] for path in SQL.glob("*.sql") if path.name[:4] < revision)


def upgrade() -> None:
    """Forward only."""
    apply("0011_tools.sql")
