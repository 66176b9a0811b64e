"""Vectors, versions of articles that stay, gaps, shapes of resolved conversations."""

from voicebot.core.store.migrations import apply

revision, down_revision = "0004", "0003"


def upgrade() -> None:
    """Forward only."""
    apply("0004_retrieval.sql")
