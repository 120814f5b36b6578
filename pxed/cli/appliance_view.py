"""What a running appliance knows of its network that a look at the host can't show: machines that follow no offer or go round in circles,
other servers that answer network boots. Pure: `services.dhcp` of its health report in, findings out. The API may be of another version:
what has not the expected shape is left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pxed.cli.findings import Finding
from pxed.cli.node_commands import site_lines
from pxed.cli.output import clean, duration

Tree = dict[str, Any]

_OF_INTEREST = 24 * 3600.0
"""Seconds; a server that answered no network boot for so long may be gone, or somebody has mended it."""
_DEAF = Finding(
    "dhcp",
    "warn",
    "The appliance can't hear other servers on the wire, so it would not notice that another one answers network boots",
    "Start it as root or with CAP_NET_RAW",
)


def ignoring(health: Tree) -> list[Tree]:
    """The machines that follow no proxy offer: objects with ``node``, ``label``, ``mac``, ``shapes``."""
    return _objects(_dhcp(health).get("ignoring"))


def findings(health: Tree, lines: Mapping[str, Any], now: float) -> list[Finding]:
    """`lines`: node id > its lines for the site's DHCP server, for those that they were asked of. `now`: UTC seconds."""
    dhcp = _dhcp(health)
    booting = [each for each in _objects(dhcp.get("neighbours")) if each.get("kind") in ("proxy", "lease+boot")]
    return [
        *([_DEAF] if dhcp.get("hears_others") is False else []),
        *(_neighbour(each, age) for each in booting if (age := _age(each, now)) < _OF_INTEREST),
        *(_ignores(each, _objects(lines.get(str(each.get("node"))))) for each in ignoring(health)),
        *(_refused(node, each) for node, each in _tree(dhcp.get("refused")).items()),
    ]


def _age(neighbour: Tree, now: float) -> float:
    """Seconds since that server last answered a network boot."""
    at = neighbour.get("boot_seen")
    return max(0.0, now - at) if isinstance(at, int | float) else 0.0


def _neighbour(each: Tree, age: float) -> Finding:
    server, interface, file = clean(each.get("address")), clean(each.get("interface")), clean(each.get("boot_file"))
    named = f" ({file})" if file else ""
    if each.get("kind") == "proxy":
        text = f"The appliance heard another proxy-DHCP server, {server} on {interface}{named}, {duration(age)} ago"
        text += "; each firmware picks one of the two"
        return Finding("dhcp", "warn", text, f"Stop it ({server}: WDS, dnsmasq proxy, FOG, MAAS ...), or keep the machines of each apart")
    text = f"The appliance heard the DHCP server {server} on {interface} name a boot server of its own{named}, {duration(age)} ago"
    return Finding("dhcp", "warn", text, f"Take next-server, filename and the options 60, 66, 67 out of the configuration of {server}")


def _ignores(each: Tree, pieces: list[Tree]) -> Finding:
    label, shapes = clean(each.get("label")), each.get("shapes")
    tried = ", ".join(clean(shape) for shape in shapes) if isinstance(shapes, list) else ""
    text = f"{label} follows no proxy offer (tried: {tried})"
    remedy = f"Let your own DHCP server send it here; pxed node dhcp {label} prints the lines" + (":" if pieces else "")
    return Finding("offers", "warn", text, remedy, site_lines(pieces))


def _refused(node: str, each: Any) -> Finding:
    said = _tree(each)
    label = clean(said.get("label") or node)
    return Finding(
        "loops", "warn", f"{label} gets no offers ({clean(said.get('reason'))}): {clean(said.get('text'))}", f"pxed node release {label}"
    )


def _dhcp(health: Tree) -> Tree:
    return _tree(_tree(health.get("services")).get("dhcp"))


def _tree(value: Any) -> Tree:
    return value if isinstance(value, dict) else {}


def _objects(value: Any) -> list[Tree]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []
