"""How many bytes of packages the node of an install has fetched: what the next install of the same system is measured by."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """One column of installs."""
    op.add_column("installs", sa.Column("fetched", sa.BigInteger, nullable=False, server_default=sa.text("0")))
