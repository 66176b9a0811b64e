"""The hash chain over audit and access log: heads, links, keys, prunes."""

from voicebot.core.store.migrations import apply

revision, down_revision = "0009", "0008"


def upgrade() -> None:
    """Forward only."""
    apply("0009_audit_chain.sql")
