"""What an operator's word for an install stands for: its id, the beginning of it, or the machine it runs on."""

from __future__ import annotations

from typing import Any

from pxed.cli.client import Client, Refused

_SHORTEST_PREFIX = 3


async def find_install(client: Client, handle: str) -> dict[str, Any]:
    """The install: `handle` is its id, a node (then its latest one), or a unique beginning of an id. Refused (404) otherwise."""
    exact = await _get(client, "installs", handle)
    if exact is not None:
        return exact
    node = await _get(client, "nodes", handle)
    if node is not None and node.get("install"):
        found: dict[str, Any] = node["install"]
        return found
    begins = [each for each in (await client.get("installs"))["installs"] if str(each.get("id")).startswith(handle)]
    if len(begins) == 1 and len(handle) >= _SHORTEST_PREFIX:
        return dict(begins[0])
    if node is not None:
        raise Refused(f"No install was ever made on {handle}", status=404)
    several = f"{len(begins)} installs begin with {handle}" if begins else f"There is neither an install nor a node {handle}"
    raise Refused(several, status=404)


async def find_target(client: Client, handle: str) -> tuple[str, dict[str, Any]]:
    """("install", I) or ("node", N): a node stands for its install as long as that runs. Refused (404)."""
    exact = await _get(client, "installs", handle)
    if exact is not None:
        return "install", exact
    node = await _get(client, "nodes", handle)
    if node is None:
        return "install", await find_install(client, handle)
    running = node.get("install") or {}
    return ("install", running) if running.get("state") == "running" else ("node", node)


async def _get(client: Client, kind: str, handle: str) -> dict[str, Any] | None:
    """None if there is no such thing, also if the appliance says that it can't even be one."""
    try:
        found: dict[str, Any] = await client.get(kind, handle)
    except Refused as e:
        if e.status in (400, 404, 422):
            return None
        raise
    return found
