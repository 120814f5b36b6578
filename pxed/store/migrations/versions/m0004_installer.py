"""What was seen of an install's installer: a node is not given it again once it works."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

_PROFILE = 2
"""Percent at which an install stood that had given out its boot profile and had heard nothing yet."""


def upgrade() -> None:
    """One column of installs. Of those that run, what is known tells how far they are."""
    op.add_column("installs", sa.Column("installer", sa.String(16), nullable=False, server_default=sa.text("'armed'")))
    installs = sa.table("installs", sa.column("state"), sa.column("percent"), sa.column("installer"))
    running = sa.update(installs).where(installs.c.state == "running")
    op.execute(running.where(installs.c.percent == _PROFILE).values(installer="served"))
    op.execute(running.where(installs.c.percent > _PROFILE).values(installer="working"))
