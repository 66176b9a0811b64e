"""Customers, their conversations, and what is kept of them."""

from voicebot.core.store.migrations import apply

revision, down_revision = "0006", "0005"


def upgrade() -> None:
    """Forward only."""
    apply("0006_memory.sql")
