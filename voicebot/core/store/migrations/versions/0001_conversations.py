"""Subjects, conversations, events, outbox, leases, tokens, audit, handoffs, switches."""

from voicebot.core.store.migrations import apply

revision, down_revision = "0001", None


def upgrade() -> None:
    """Forward only."""
    apply("0001_conversations.sql")
