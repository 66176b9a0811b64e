"""Words of unanswered questions, with the conversations that used them."""

from voicebot.core.store.migrations import apply

revision, down_revision = "0007", "0006"


def upgrade() -> None:
    """Forward only."""
    apply("0007_gap_words.sql")
