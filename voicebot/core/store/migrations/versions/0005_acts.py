"""Acts, promises, drafts, the transaction of each event."""

from voicebot.core.store.migrations import SQL, apply

revision = "0005"
down_revision = "0004" if list(SQL.glob("0004_*.sql")) else "0003"


def upgrade() -> None:
    """Forward only."""
    apply("0005_acts.sql")
