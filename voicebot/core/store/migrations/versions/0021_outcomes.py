"""How conversations ended, what agents say of them, and corrections."""

from voicebot.core.store.migrations import SQL, apply

revision = "0021"
down_revision = max(path.name[:4] for path in SQL.glob("*.sql") if path.name[:4] < revision)


def upgrade() -> None:
    """Forward only."""
    apply("0021_outcomes.sql")
