"""Every table of pxed, to be read in one look. Times are UTC seconds since the epoch; JSON columns hold what their comment says.

A change here needs a migration (`pxed/store/migrations/versions`); a test compares the two.
"""

from __future__ import annotations

from sqlalchemy import JSON, BigInteger, Boolean, Column, Float, ForeignKey, Index, Integer, MetaData, String, Table, Text, text

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(column_0_label)s",
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
    }
)
_Counter = BigInteger().with_variant(Integer, "sqlite")

nodes = Table(  # a machine: pxed.node.model.Node
    "nodes",
    metadata,
    Column("id", String(16), primary_key=True),
    Column("name", String(64), unique=True),
    Column("known", Boolean, nullable=False),  # adopted by an operator; the others may be forgotten
    Column("first_seen", Float, nullable=False),
    Column("last_seen", Float, nullable=False),
    Column("arch", Integer),  # option 93
    Column("vendor_class", String(128)),
    Column("uuid", String(128)),
    Column("interface", String(128)),
    Column("address", String(64)),
    Column("localboot", String(64)),
    Column("boot_program", String(255)),  # the operator's choice: a chain or a path below the boot program root
    Column("facts", JSON, nullable=False),
    Column("boot_kind", String(16), nullable=False),  # silent | installer | disk: written by the workflow only
    Column("boot_install", String(16)),  # set exactly while an install runs
)

node_macs = Table(
    "node_macs",
    metadata,
    Column("mac", String(64), primary_key=True),
    Column("node_id", ForeignKey("nodes.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("position", Integer, nullable=False),
)

installs = Table(  # one run of a recipe on a node; no foreign key to nodes: an install outlives its node
    "installs",
    metadata,
    Column("id", String(16), primary_key=True),
    Column("node_id", String(16), nullable=False),
    Column("family", String(64), nullable=False),
    Column("release", String(64), nullable=False),
    Column("recipe", String(64), nullable=False),
    Column("recipe_version", Integer, nullable=False),
    Column("options", JSON, nullable=False),  # validated, secrets hashed
    Column("token", String(64), nullable=False, unique=True),
    Column("state", String(16), nullable=False),  # running | done | unproven | failed | cancelled | parked
    Column("stage", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("percent", Integer, nullable=False),
    Column("progress_text", Text, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("finished_at", Float),
    Column("retry_of", String(16)),
    Column("proof", Text, nullable=False, server_default=text("''")),  # what showed that it is done
    Column("last_lines", JSON, nullable=False, server_default=text("'[]'")),  # of the node's log, before it failed
    Column("installer", String(16), nullable=False, server_default=text("'armed'")),  # armed | served | working | gone
    Column("fetched", BigInteger, nullable=False, server_default=text("0")),  # bytes of packages
)
Index("ix_installs_node", installs.c.node_id)
Index(  # the database itself refuses a second running install on a node
    "uq_installs_running",
    installs.c.node_id,
    unique=True,
    sqlite_where=text("state = 'running'"),
    postgresql_where=text("state = 'running'"),
)

journal = Table(  # every await of a recipe takes one position
    "journal",
    metadata,
    Column("install_id", ForeignKey("installs.id", ondelete="CASCADE"), primary_key=True),
    Column("position", Integer, primary_key=True, autoincrement=False),
    Column("step", Text, nullable=False),  # boot('installer'), notification('started', within=1800.0)
    Column("reached_at", Float, nullable=False),
    Column("deadline", Float),
    Column("answer", JSON(none_as_null=True)),  # NULL while it waits; {"ok": null | notification} or {"failed": sentence, "missed"?: true}
    Column("answered_at", Float),
)

inbox = Table(  # every notification, in the order in which it was acknowledged
    "inbox",
    metadata,
    Column("id", _Counter, primary_key=True),
    Column("install_id", ForeignKey("installs.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("phase", String(64)),  # as the node sent it; NULL: counts for the next one awaited
    Column("counted_as", String(64)),  # the phase of the await it answered
    Column("status", String(8), nullable=False),  # ok | fail
    Column("message", Text, nullable=False),
    Column("data", JSON, nullable=False),
    Column("source", String(64), nullable=False),  # IP address it came from; "pxed": evidence of its own
    Column("at", Float, nullable=False),
    Column("duplicate", Boolean, nullable=False),  # the phase had come before: changes nothing
    Column("position", Integer),  # the journal position it answered
)

events = Table(  # the timeline
    "events",
    metadata,
    Column("id", _Counter, primary_key=True, autoincrement=False),
    Column("at", Float, nullable=False),
    Column("kind", String(32), nullable=False),
    Column("text", Text, nullable=False),
    Column("node_id", String(16)),
    Column("install_id", String(16)),
    Column("data", JSON, nullable=False),
)
Index("ix_events_node", events.c.node_id, events.c.id)
Index("ix_events_install", events.c.install_id, events.c.id)

settings = Table(
    "settings",
    metadata,
    Column("key", String(128), primary_key=True),
    Column("value", Text, nullable=False),
)
