"""A node's own boot program."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """The operator may choose what firmware of one node is given first."""
    op.add_column("nodes", sa.Column("boot_program", sa.String(255)))
