"""What showed that an install is done, and what its node's log said before it failed."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Two columns of installs; those that are there know neither."""
    op.add_column("installs", sa.Column("proof", sa.Text(), nullable=False, server_default=sa.text("''")))
    op.add_column("installs", sa.Column("last_lines", sa.JSON(), nullable=False, server_default=sa.text("'[]'")))
