"""Quirk tables: how they match, who wins, and that a wrong one is refused with its place."""

from __future__ import annotations

from typing import Any

import pytest

from pxed.config import Quirk
from pxed.config import load as settings
from pxed.dhcp.offer import SHAPES
from pxed.dhcp.quirks import NOTHING_SPECIAL, Quirks, load
from pxed.errors import ConfigError
from tests.dhcp import clients
from tests.dhcp.world import FixedPrograms, World


def _of(*tables: dict[str, Any], mac: str = "52:54:00:12:34:56", **said: Any) -> Any:
    return Quirks([Quirk.model_validate({"name": "q", **table}) for table in tables]).of(mac, **said)


@pytest.mark.parametrize(
    "condition",
    [
        {"mac": "52:54:00"},
        {"mac": ["00:11:22", "52:54:00:12"]},
        {"mac": "52:54:00:12:34:56"},
        {"mac": "52-54-00"},
        {"mac": "525400.1"},
        {"vendor_class": "PXEClient:Arch:00007"},
        {"uuid": "4c4c4544"},
        {"product": "ProLiant"},
        {"arch": 7},
        {"arch": [6, 7], "mac": "52:54:00", "product": "ProLiant DL380 Gen9"},
    ],
)
def test_every_condition_matches_by_beginning(condition: dict[str, Any]) -> None:
    said: dict[str, Any] = {
        "vendor_class": "PXEClient:Arch:00007:UNDI:003010",
        "uuid": "4c4c4544-0000-0000-0000-000000000000",
        "product": "ProLiant DL380 Gen9",
        "arch": 7,
    }
    assert _of({**condition, "shape": "pxe10"}, **said).shape == "pxe10"
    assert _of({**condition, "shape": "pxe10"}, mac="aa:bb:cc:dd:ee:ff") == NOTHING_SPECIAL


def test_all_conditions_of_a_table_must_match() -> None:
    assert _of({"mac": "52:54:00", "arch": 0, "shape": "bare"}, arch=7) == NOTHING_SPECIAL


def test_for_each_consequence_the_first_table_that_has_it_wins() -> None:
    special = _of({"arch": 7, "blksize_max": 1024}, {"mac": "52:54:00", "blksize_max": 512, "boot_program": "ipxe.efi"}, arch=7)
    assert (special.blksize_max, special.boot_program, special.shape) == (1024, "ipxe.efi", None)


def test_the_operators_tables_come_before_the_shipped_ones() -> None:
    own = Quirk(name="our VirtualBox", mac=("08:00:27",), boot_program="undionly.kkpxe")
    asked: dict[str, Any] = {"vendor_class": "PXEClient:Arch:00000:UNDI:002001", "arch": 0}
    assert load().of("08:00:27:01:02:03", **asked).boot_program == "ipxe.pxe"
    assert load([own]).of("08:00:27:01:02:03", **asked).boot_program == "undionly.kkpxe"


@pytest.mark.parametrize(
    ("table", "key", "expected"),
    [
        ({"mac": "52:54"}, "dhcp.quirks.0.name", "required"),
        ({"name": "x", "shape": "bare"}, "dhcp.quirks.0", "no condition"),
        ({"name": "x", "mac": "52:54"}, "dhcp.quirks.0", "no consequence"),
        ({"name": "x", "mac": "52:5g", "shape": "bare"}, "dhcp.quirks.0.mac", "hexadecimal"),
        ({"name": "x", "arch": 7, "shape": "round"}, "dhcp.quirks.0.shape", "'binl', 'pxe10'"),
        ({"name": "x", "arch": 7, "blksize_max": 4}, "dhcp.quirks.0.blksize_max", "greater than or equal to 8"),
        ({"name": "x", "arch": 7, "shape": "bare", "colour": 1}, "dhcp.quirks.0.colour", "is no setting of pxed"),
    ],
)
def test_a_wrong_table_is_refused_with_its_place_and_what_was_expected(table: dict[str, Any], key: str, expected: str) -> None:
    with pytest.raises(ConfigError, match=expected) as caught:
        settings(None, {"dhcp": {"quirks": [table]}})
    assert caught.value.key == key


def test_every_shape_a_quirk_may_name_exists() -> None:
    known = {shape.name for shapes in SHAPES.values() for shape in shapes} - {"plain"}
    assert known == {"binl", "pxe10", "bare", "menu", "menu3"}


def test_a_quirks_shape_and_program_reach_the_offer() -> None:
    quirk = {"name": "q", "mac": "52:54:00", "shape": "pxe10", "boot_program": "ipxe.efi"}
    world = World(settings={"dhcp": {"quirks": [quirk]}})
    answer = world.answer(clients.rom(7))
    assert (answer.boot_file, answer[43]) == ("ipxe.efi", bytes.fromhex("060108ff"))
    ack = world.answer(clients.pxe_request(7, ciaddr="10.0.0.9"), door=4011, source="10.0.0.9")
    assert ack.boot_file == "ipxe.efi"


def test_the_operators_choice_for_one_node_wins_over_every_quirk_at_once() -> None:
    """Also for a DISCOVER that was answered from memory before the choice, on port 4011 and in the lines for the site's own server."""
    quirk = {"name": "q", "mac": "52:54:00", "boot_program": "ipxe.efi"}
    world = World(settings={"dhcp": {"quirks": [quirk]}}, programs=FixedPrograms(others=("ipxe.efi", "sb/shimx64.efi")))
    assert world.answer(clients.rom(7)).boot_file == "ipxe.efi"
    world.node.boot_program = "sb/shimx64.efi"
    assert world.answer(clients.rom(7)).boot_file == "sb/shimx64.efi"
    ack = world.answer(clients.pxe_request(7, ciaddr="10.0.0.9"), door=4011, source="10.0.0.9")
    assert ack.boot_file == "sb/shimx64.efi"
    assert "sb/shimx64.efi" in world.responder.site_server_lines(world.node)[0].text
    world.node.boot_program = None
    assert world.answer(clients.rom(7)).boot_file == "ipxe.efi"


def test_a_quirks_program_that_is_not_there_leaves_the_usual_one() -> None:
    quirk = {"name": "q", "mac": "52:54:00", "boot_program": "gone.efi"}
    assert World(settings={"dhcp": {"quirks": [quirk]}}).answer(clients.rom(7)).boot_file == "snponly.efi"


def test_a_quirks_shape_that_is_ignored_gives_way_like_any() -> None:
    world = World(settings={"dhcp": {"quirks": [{"name": "q", "arch": 7, "shape": "pxe10"}]}})
    assert 43 in world.answer(clients.rom(7, xid=1))
    world.pass_time(60.0)
    assert 43 not in world.answer(clients.rom(7, xid=2))


def test_a_shape_of_another_class_changes_nothing() -> None:
    world = World(settings={"dhcp": {"quirks": [{"name": "q", "mac": "52:54:00", "shape": "menu3"}]}})
    assert 43 not in world.answer(clients.rom(7))


def test_the_product_of_a_node_counts_once_it_is_known() -> None:
    world = World(settings={"dhcp": {"quirks": [{"name": "q", "product": "ThinkPad", "shape": "pxe10"}]}})
    assert 43 not in world.answer(clients.rom(7, xid=1))
    world.inventory.learn(world.node.mac, product="ThinkPad X1")
    assert 43 in world.answer(clients.rom(7, xid=1))


def test_tftp_can_ask_for_the_block_size_cap() -> None:
    world = World(settings={"dhcp": {"quirks": [{"name": "q", "vendor_class": "PXEClient:Arch:00007", "blksize_max": 1024}]}})
    assert world.responder.blksize_max(world.node) is None
    world.ask(clients.rom(7))
    assert world.responder.blksize_max(world.node) == 1024


def test_virtualbox_gets_the_ipxe_with_its_own_driver() -> None:
    world = World(programs=FixedPrograms({0: "undionly.kpxe"}, others=("ipxe.pxe",)))
    world.arm("08:00:27:aa:bb:cc")
    assert world.answer(clients.rom(0, mac="08:00:27:aa:bb:cc")).boot_file == "ipxe.pxe"
