"""The schema's history: one ``sql/NNNN_name.sql`` and one thin ``versions/NNNN_name.py`` per step.

A version module is three names and a call::

    from voicebot.core.store.migrations import apply

    revision, down_revision = "0002", "0001"


    def upgrade() -> None:
        apply("0002_knowledge.sql")

All pending steps run in ONE transaction, so no statement that refuses to (``CREATE INDEX
CONCURRENTLY``). There is no way back down: a step that turns out wrong gets another step.
"""

from pathlib import Path

from alembic import op

SQL = Path(__file__).with_name("sql")


def apply(name: str) -> None:
    """Runs the statements of ``sql/NAME`` in the migration's transaction."""
    driver = op.get_bind().connection.driver_connection
    assert driver is not None
    driver.execute((SQL / name).read_bytes())
