"""A CallSid is unique among conversations that have not ended."""

from voicebot.core.store.migrations import apply

revision, down_revision = "0003", "0002"


def upgrade() -> None:
    """Forward only."""
    apply("0003_reused_calls.sql")
