"""The first schema."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_Counter = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Create every table of pxed 0.1."""
    _nodes()
    _installs()
    op.create_table(
        "events",
        sa.Column("id", _Counter, autoincrement=False, nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("node_id", sa.String(16)),
        sa.Column("install_id", sa.String(16)),
        sa.Column("data", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_events"),
    )
    op.create_index("ix_events_node", "events", ["node_id", "id"])
    op.create_index("ix_events_install", "events", ["install_id", "id"])
    op.create_table(
        "settings",
        sa.Column("key", sa.String(128), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_settings"),
    )


def _nodes() -> None:
    op.create_table(
        "nodes",
        sa.Column("id", sa.String(16), nullable=False),
        sa.Column("name", sa.String(64)),
        sa.Column("known", sa.Boolean(), nullable=False),
        sa.Column("first_seen", sa.Float(), nullable=False),
        sa.Column("last_seen", sa.Float(), nullable=False),
        sa.Column("arch", sa.Integer()),
        sa.Column("vendor_class", sa.String(128)),
        sa.Column("uuid", sa.String(128)),
        sa.Column("interface", sa.String(128)),
        sa.Column("address", sa.String(64)),
        sa.Column("localboot", sa.String(64)),
        sa.Column("facts", sa.JSON(), nullable=False),
        sa.Column("boot_kind", sa.String(16), nullable=False),
        sa.Column("boot_install", sa.String(16)),
        sa.PrimaryKeyConstraint("id", name="pk_nodes"),
        sa.UniqueConstraint("name", name="uq_nodes_name"),
    )
    op.create_table(
        "node_macs",
        sa.Column("mac", sa.String(64), nullable=False),
        sa.Column("node_id", sa.String(16), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("mac", name="pk_node_macs"),
        sa.ForeignKeyConstraint(["node_id"], ["nodes.id"], name="fk_node_macs_node_id", ondelete="CASCADE"),
    )
    op.create_index("ix_node_macs_node_id", "node_macs", ["node_id"])


def _installs() -> None:
    op.create_table(
        "installs",
        sa.Column("id", sa.String(16), nullable=False),
        sa.Column("node_id", sa.String(16), nullable=False),
        sa.Column("family", sa.String(64), nullable=False),
        sa.Column("release", sa.String(64), nullable=False),
        sa.Column("recipe", sa.String(64), nullable=False),
        sa.Column("recipe_version", sa.Integer(), nullable=False),
        sa.Column("options", sa.JSON(), nullable=False),
        sa.Column("token", sa.String(64), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("stage", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("percent", sa.Integer(), nullable=False),
        sa.Column("progress_text", sa.Text(), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.Column("finished_at", sa.Float()),
        sa.Column("retry_of", sa.String(16)),
        sa.PrimaryKeyConstraint("id", name="pk_installs"),
        sa.UniqueConstraint("token", name="uq_installs_token"),
    )
    op.create_index("ix_installs_node", "installs", ["node_id"])
    running = sa.text("state = 'running'")
    op.create_index("uq_installs_running", "installs", ["node_id"], unique=True, sqlite_where=running, postgresql_where=running)
    op.create_table(
        "journal",
        sa.Column("install_id", sa.String(16), nullable=False),
        sa.Column("position", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("step", sa.Text(), nullable=False),
        sa.Column("reached_at", sa.Float(), nullable=False),
        sa.Column("deadline", sa.Float()),
        sa.Column("answer", sa.JSON(none_as_null=True)),
        sa.Column("answered_at", sa.Float()),
        sa.PrimaryKeyConstraint("install_id", "position", name="pk_journal"),
        sa.ForeignKeyConstraint(["install_id"], ["installs.id"], name="fk_journal_install_id", ondelete="CASCADE"),
    )
    op.create_table(
        "inbox",
        sa.Column("id", _Counter, nullable=False),
        sa.Column("install_id", sa.String(16), nullable=False),
        sa.Column("phase", sa.String(64)),
        sa.Column("counted_as", sa.String(64)),
        sa.Column("status", sa.String(8), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("data", sa.JSON(), nullable=False),
        sa.Column("source", sa.String(64), nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
        sa.Column("duplicate", sa.Boolean(), nullable=False),
        sa.Column("position", sa.Integer()),
        sa.PrimaryKeyConstraint("id", name="pk_inbox"),
        sa.ForeignKeyConstraint(["install_id"], ["installs.id"], name="fk_inbox_install_id", ondelete="CASCADE"),
    )
    op.create_index("ix_inbox_install_id", "inbox", ["install_id"])
