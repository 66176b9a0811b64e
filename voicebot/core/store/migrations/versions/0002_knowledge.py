"""Articles, chunks with full text, and how common each word is in them."""

from voicebot.core.store.migrations import apply

revision, down_revision = "0002", "0001"


def upgrade() -> None:
    """Forward only."""
    apply("0002_knowledge.sql")
