"""What people at the desk write to customers in chats; chats that they gave back to the bot."""

from voicebot.core.store.migrations import SQL, apply

revision = "0028"
down_revision = max(path.name[:4] for path in SQL.glob("*.sql") if path.name[:4] < revision)


def upgrade() -> None:
    """Forward only."""
    apply("0028_chat_lines.sql")
