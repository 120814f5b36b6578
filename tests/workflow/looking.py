"""What these tests look at behind the engine's back: the rows themselves."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Table, select

from pxed.node.model import Boot
from pxed.store.schema import inbox, installs, journal, nodes
from pxed.testing import MemoryAppliance, result_of
from pxed.workflow.install import Install

MAC = "52:54:00:00:00:01"


def rows(appliance: MemoryAppliance, table: Table) -> list[dict[str, Any]]:
    """Every row of a table, by its primary key."""
    query = select(table).order_by(*table.primary_key.columns)
    return result_of(appliance.store.read(lambda c: [dict(row) for row in c.execute(query).mappings()]))


def journal_of(appliance: MemoryAppliance, install: Install) -> list[tuple[int, str, Any]]:
    return [(r["position"], r["step"].split("(")[0], r["answer"]) for r in rows(appliance, journal) if r["install_id"] == install.id]


def inbox_of(appliance: MemoryAppliance, install: Install) -> list[tuple[str | None, bool, int | None]]:
    """(phase, duplicate, the position it answered)"""
    return [(r["phase"], r["duplicate"], r["position"]) for r in rows(appliance, inbox) if r["install_id"] == install.id]


def boot_of(appliance: MemoryAppliance, mac: str = MAC) -> Boot:
    """What the node boots: in memory, which has to be what is stored; that is, nothing where an installer is stored to have begun."""
    node = appliance.inventory.by_mac(mac)
    assert node is not None
    stored = next(r for r in rows(appliance, nodes) if r["id"] == node.id)
    begun = [r["id"] for r in rows(appliance, installs) if r["installer"] in ("working", "gone")]
    kind = "silent" if stored["boot_kind"] == "installer" and stored["boot_install"] in begun else stored["boot_kind"]
    assert (kind, stored["boot_install"]) == (node.boot.kind, node.boot.install), "shown and stored differ"
    return node.boot


def state_of(appliance: MemoryAppliance, install: Install) -> str:
    """The install's state: in memory, which has to be what is stored."""
    stored = next(r for r in rows(appliance, installs) if r["id"] == install.id)
    shown = appliance.engine.get(install.id)
    for name in ("state", "reason", "stage", "percent", "finished_at", "progress_text"):
        assert getattr(shown, name) == stored[name], f"{name}: shown and stored differ"
    return shown.state


def say(appliance: MemoryAppliance, install: Install, phase: str | None, **more: Any) -> Install:
    return result_of(appliance.engine.deliver(install.token, phase, **more))


def kinds(appliance: MemoryAppliance) -> list[str]:
    return [event.kind for event in result_of(appliance.timeline.history())]
