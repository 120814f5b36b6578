"""Nodes over the API."""

from __future__ import annotations

import pytest
from sqlalchemy import String

from pxed.node.model import LONGEST_BOOT_PROGRAM, Boot
from pxed.repo.bootprograms import BootProgram, BootPrograms
from pxed.store.schema import nodes
from pxed.web.api.nodes import EVENTS_FOR_VERDICT
from tests.web.api.client import Api
from tests.web.world import MAC, World, run


def test_a_node_is_added_shown_renamed_and_removed(api: Api) -> None:
    made = api.send("POST", "/nodes", {"mac": "52-54-00-12-34-56", "name": "web1"}, code=201)
    assert (made["macs"], made["name"], made["state"]) == ([MAC], "web1", "idle")
    assert [node["id"] for node in api.get("/nodes")["nodes"]] == [made["id"]]
    changed = api.send("PATCH", "/nodes/web1", {"name": "web2", "localboot": "sanboot"})
    assert (changed["name"], changed["localboot"]) == ("web2", "sanboot")
    assert api.send("PATCH", "/nodes/web2", {"name": None})["name"] is None
    assert api.send("DELETE", f"/nodes/{MAC}", code=204) is None
    assert api.get("/nodes") == {"nodes": []}


def test_what_a_node_said_of_itself_is_shown(api: Api, world: World) -> None:
    node = world.inventory.seen(MAC, arch=7, vendor_class="PXEClient:Arch:00007", uuid="u", interface="eth1")
    world.inventory.note_address(MAC, "10.0.0.9")
    shown = api.get(f"/nodes/{node.id}")
    assert shown["arch"] == {"code": 7, "name": "x86_64 UEFI"}
    assert (shown["firmware"], shown["address"], shown["interface"]) == ("uefi", "10.0.0.9", "eth1")
    assert (shown["state"], shown["install"], shown["install_id"]) == ("new", None, None)
    assert shown["first_seen"].endswith("Z")
    assert shown["verdict"]


def test_a_node_that_is_being_installed_shows_its_install(api: Api, world: World) -> None:
    node, install = world.armed()
    shown = api.get(f"/nodes/{node.id}")
    assert (shown["state"], shown["install_id"], shown["install"]["id"]) == ("installing", install.id, install.id)
    assert shown["boot"] == {"kind": "installer", "install": install.id}
    assert api.get("/nodes")["nodes"][0]["state"] == "installing"


def test_the_verdict_knows_what_happened_before_an_installer_became_chatty(api: Api, world: World) -> None:
    node, install = world.armed()
    told = world.timeline.record
    for kind, data in (("install.created", {}), ("http.profile", {}), ("http.answer", {}), ("notification", {"phase": "started"})):
        told(kind, kind, node=node.id, install=install.id, data=data)
    for number in range(EVENTS_FOR_VERDICT):
        told("syslog" if number % 2 else "install.progress", str(number), node=node.id, install=install.id)
    world.reactor.advance(7200)
    assert "the installer has gone silent" in api.get(f"/nodes/{node.id}")["verdict"]


@pytest.mark.parametrize(
    ("state", "shown"), [("done", "installed"), ("unproven", "unproven"), ("failed", "failed"), ("parked", "failed"), ("cancelled", "idle")]
)
def test_the_latest_install_tells_a_nodes_state(api: Api, world: World, state: str, shown: str) -> None:
    node, old = world.armed()
    old.state = "done"
    run(world.inventory.assign(node.id, Boot()))
    world.reactor.advance(5)
    _, new = world.armed()
    new.state = state  # type: ignore[assignment]
    assert api.get(f"/nodes/{node.id}")["state"] == shown
    assert api.get("/nodes")["nodes"][0]["install_id"] == new.id


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "mac"),
        ({"mac": "zz"}, "mac"),
        ({"mac": 5}, "mac"),
        ({"mac": MAC, "name": "no spaces"}, "name"),
        ({"mac": MAC, "nmae": "x"}, "nmae"),
        ({"mac": MAC, "name": ["x"]}, "name"),
    ],
)
def test_a_wrong_field_is_named_and_nothing_is_added(api: Api, body: dict[str, object], field: str) -> None:
    error = api.fails("POST", "/nodes", body)
    assert (error["status"], error["field"]) == (422, field)
    assert error["expected"]
    assert api.get("/nodes") == {"nodes": []}


def test_a_way_to_boot_from_disk_that_does_not_exist_is_refused(api: Api, world: World) -> None:
    world.inventory.seen(MAC)
    error = api.fails("PATCH", f"/nodes/{MAC}", {"localboot": "magic"})
    assert (error["status"], error["field"]) == (422, "localboot")
    assert "sanboot" in error["expected"]


def test_a_node_that_the_guard_refuses_is_shown_and_released(api: Api, world: World) -> None:
    node, _ = world.armed()
    for _ in range(3):
        world.ask("GET", f"/p/{MAC}")
    refused = api.get("/nodes")["nodes"][0]["refused"]
    assert (refused["reason"], refused["left"]) == ("quarantined", None)
    shown = api.get(f"/nodes/{MAC}")
    assert shown["refused"] == refused
    assert shown["verdict"].startswith("Quarantined: it fetched its boot profile 3 times")
    assert f"`pxed node release {MAC}`" in shown["verdict"]
    assert api.send("POST", f"/nodes/{MAC}/release")["refused"] is None
    assert world.timeline._memory[-1].text == f"{MAC} may boot from the network again"
    before = len(world.timeline._memory)
    assert api.send("POST", f"/nodes/{MAC}/release")["refused"] is None
    assert len(world.timeline._memory) == before, "to release it again changes nothing"
    for _ in range(6):
        world.guard.offered(node.id, 7)
    assert api.get(f"/nodes/{MAC}")["refused"]["left"] == 600
    assert api.fails("POST", "/nodes/nobody/release")["status"] == 404


def test_the_lines_for_the_sites_own_server_are_shown(api: Api, world: World) -> None:
    world.inventory.seen(MAC)
    (piece,) = api.get(f"/nodes/{MAC}/dhcp")["lines"]
    assert piece == {"server": "dnsmasq", "file": "/etc/dnsmasq.d/pxed.conf", "text": f"dhcp-mac=set:x,{MAC}\n"}
    assert api.fails("GET", "/nodes/nobody/dhcp")["status"] == 404


def test_a_nodes_own_boot_program_is_a_chain_or_a_program_that_runs_on_it(api: Api, world: World) -> None:
    world.programs = BootPrograms(
        [
            BootProgram("snponly.efi", "x86_64", "ipxe", 1),
            BootProgram("sb/shimx64.efi", "x86_64", "shim", 1, signed=True),
            BootProgram("sb/grubx64.efi", "x86_64", "grub", 1, signed=True),
            BootProgram("aarch64/ipxe.efi", "aarch64", "ipxe", 1),
        ]
    )
    world.inventory.seen(MAC, arch=7)
    for program in ("shim-grub", "sb/shimx64.efi", "snponly.efi", "ipxe"):
        assert api.send("PATCH", f"/nodes/{MAC}", {"boot_program": program})["boot_program"] == program
    for program, why in (
        ("aarch64/ipxe.efi", "is here for aarch64, not for x86_64 UEFI"),
        ("gone.efi", "there is no boot program 'gone.efi' here"),
        ("ipxe-signed", "nothing here makes up the chain ipxe-signed"),
    ):
        refusal = api.fails("PATCH", f"/nodes/{MAC}", {"boot_program": program})
        assert (refusal["status"], refusal["field"]) == (422, "boot_program")
        assert why in refusal["message"]
    assert api.get(f"/nodes/{MAC}")["boot_program"] == "ipxe", "what was refused changed nothing"
    assert api.send("PATCH", f"/nodes/{MAC}", {"boot_program": None})["boot_program"] is None


def test_a_boot_program_longer_than_is_kept_is_refused_by_name(api: Api, world: World) -> None:
    """PostgreSQL would refuse it as a broken operation: a status of 500 that names nothing."""
    column = nodes.c.boot_program.type
    assert isinstance(column, String)
    assert column.length == LONGEST_BOOT_PROGRAM
    deep = "d/" * ((LONGEST_BOOT_PROGRAM - 8) // 2)
    longest = f"{deep}{'x' * (LONGEST_BOOT_PROGRAM - len(deep) - 4)}.efi"
    world.programs = BootPrograms([BootProgram(path, "x86_64", "ipxe", 1) for path in ("ipxe.efi", longest, f"{longest}x")])
    world.inventory.seen(MAC, arch=7)
    assert api.send("PATCH", f"/nodes/{MAC}", {"boot_program": longest})["boot_program"] == longest
    for program in (f"{longest}x", "/" * LONGEST_BOOT_PROGRAM + "ipxe.efi"):
        refusal = api.fails("PATCH", f"/nodes/{MAC}", {"boot_program": program})
        assert (refusal["status"], refusal["field"], refusal["expected"]) == (422, "boot_program", "at most 255 letters")
    assert api.get(f"/nodes/{MAC}")["boot_program"] == longest, "what was refused changed nothing"


def test_a_node_is_found_by_id_name_and_mac_or_not_at_all(api: Api, world: World) -> None:
    node = world.inventory.seen(MAC)
    for handle in (node.id, MAC, "525400123456", MAC.upper(), "52%3A54%3A00%3A12%3A34%3A56"):
        assert api.get(f"/nodes/{handle}")["id"] == node.id
    assert api.fails("GET", "/nodes/nobody")["status"] == 404


def test_a_node_in_the_middle_of_an_install_is_not_removed(api: Api, world: World) -> None:
    node, _ = world.armed()
    assert api.fails("DELETE", f"/nodes/{node.id}")["status"] == 409


def test_a_nodes_events_come_in_pages(api: Api, world: World) -> None:
    node = world.inventory.seen(MAC)
    for number in range(10):
        world.timeline.record("dhcp.offer", f"number {number}", node=node.id, data={"n": number})
        world.timeline.record("dhcp.offer", "another node's")
    events = api.get(f"/nodes/{node.id}/events?limit=4")["events"]
    assert [event["data"]["n"] for event in events] == [6, 7, 8, 9]
    first = api.get(f"/nodes/{node.id}/events?after=1&limit=3")["events"]
    more = api.get(f"/nodes/{node.id}/events?after={first[-1]['id']}&limit=2")["events"]
    assert [event["data"]["n"] for event in first + more] == [0, 1, 2, 3, 4]
    assert set(events[0]) == {"id", "at", "kind", "text", "node", "install", "data"}


@pytest.mark.parametrize("query", ["after=x", "limit=-1", "limit=99999999", "after=1.5", "after=" + "9" * 30])
def test_numbers_in_queries_are_checked(api: Api, world: World, query: str) -> None:
    world.inventory.seen(MAC)
    assert api.fails("GET", f"/nodes/{MAC}/events?{query}")["status"] == 422
