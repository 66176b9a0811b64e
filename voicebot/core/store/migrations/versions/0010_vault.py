"""The vault: values behind the tokens that stand for what is personal."""

from voicebot.core.store.migrations import apply

revision, down_revision = "0010", "0009"


def upgrade() -> None:
    """Forward only."""
    apply("0010_vault.sql")
