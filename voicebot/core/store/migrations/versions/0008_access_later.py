"""Reads of personal data wait in an outbox; a row of the access log never changes."""

from voicebot.core.store.migrations import apply

revision, down_revision = "0008", "0007"


def upgrade() -> None:
    """Forward only."""
    apply("0008_access_later.sql")
