"""The script a node is served follows its assigned boot, and nothing else."""

from __future__ import annotations

import pytest

from pxed.node.model import Boot
from tests.conftest import Logged
from tests.web.world import MAC, NODE_ADDRESS, World, run

PATH = "/p/525400123456"


def test_an_unknown_machine_is_recorded_and_sent_to_its_disk(world: World) -> None:
    response = world.ask("GET", PATH)
    assert response.code == 200
    assert response.text.startswith("#!ipxe\n")
    assert "kernel" not in response.text
    node = world.inventory.by_mac(MAC)
    assert node is not None
    assert node.address == NODE_ADDRESS
    assert world.kinds() == ["node.new", "http.localboot"]


def test_a_node_that_boots_the_installer_gets_its_profile_with_the_address_it_asked_at(world: World) -> None:
    node, install = world.armed()
    response = world.ask("GET", PATH, host="192.168.7.1", port=8080)
    assert f"http://192.168.7.1:8080/i/{install.token}/preseed.cfg" in response.text
    assert "http://192.168.7.1:8080/repo/debian/" in response.text
    assert world.kinds()[-1] == "http.profile"
    assert world.engine.progressed == [(install.id, 2, "boot profile fetched")]
    assert world.inventory.by_address(NODE_ADDRESS) is node


def test_port_80_is_not_written_and_ipv6_addresses_are_bracketed(world: World) -> None:
    world.armed()
    assert "http://10.0.0.1/repo/" in world.ask("GET", PATH, host="10.0.0.1").text
    assert "http://[fd00::1]/repo/" in world.ask("GET", PATH, host="fd00::1").text


@pytest.mark.parametrize("kind", ["disk", "silent"])
def test_a_node_with_nothing_to_install_is_sent_to_its_disk_whatever_install_it_had(world: World, kind: str) -> None:
    node, _ = world.armed()
    run(world.inventory.assign(node.id, Boot(kind)))  # type: ignore[arg-type]
    assert "kernel" not in world.ask("GET", PATH).text


@pytest.mark.parametrize("state", ["done", "failed", "cancelled", "parked"])
def test_an_install_that_does_not_run_is_not_booted(world: World, state: str) -> None:
    _, install = world.armed()
    install.state = state  # type: ignore[assignment]
    assert "kernel" not in world.ask("GET", PATH).text


def test_a_node_whose_install_has_vanished_boots_its_disk_and_the_log_says_so(world: World, logged: Logged) -> None:
    _, install = world.armed()
    del world.engine.installs[install.id]
    assert "kernel" not in world.ask("GET", PATH).text
    assert len(logged.take_errors()) == 1


def test_a_node_in_quarantine_is_sent_to_its_disk_and_the_timeline_says_why(world: World) -> None:
    """Three profiles without a word of the installer; an operator who releases it lets it go on with the same install."""
    node, install = world.armed()
    for _ in range(3):
        assert install.token in world.ask("GET", PATH).text
    script = world.ask("GET", PATH).text
    assert "nothing to install" in script
    assert install.token not in script
    assert "because it is quarantined: it fetched its boot profile 3 times" in world.timeline._memory[-1].text
    assert install.token not in world.ask("GET", "/grub/grub.cfg-01-52-54-00-12-34-56").text
    world.guard.clear(node.id)
    assert install.token in world.ask("GET", PATH).text


def test_a_node_in_back_off_that_has_come_as_far_as_its_profile_gets_it(world: World) -> None:
    node, install = world.armed()
    for _ in range(6):
        world.guard.offered(node.id, 7)
    assert world.guard.refused()[node.id].reason == "back-off"
    assert install.token in world.ask("GET", PATH).text


def test_what_an_ipxe_says_of_its_machine_is_remembered(world: World) -> None:
    """As hexadecimal digits, since iPXE's own escaping of text breaks; what is no such thing is not."""
    node, install = world.armed()
    said = {"m": "Dell & Söhne".encode().hex(), "p": b"PowerEdge R740 ".hex(), "s": ""}
    query = "&".join(f"{name}={value}" for name, value in said.items())
    assert install.token in world.ask("GET", f"{PATH}?{query}").text
    assert node.facts == {"manufacturer": "Dell & Söhne", "product": "PowerEdge R740"}
    assert install.token in world.ask("GET", f"{PATH}?m=zz&p=${{product:hexraw}}&s={'41' * 500}").text
    assert node.facts == {"manufacturer": "Dell & Söhne", "product": "PowerEdge R740", "serial": "A" * 128}


def test_head_answers_without_a_body_an_event_or_progress(world: World) -> None:
    world.armed()
    before = world.kinds()
    response = world.ask("HEAD", PATH)
    assert int(response.headers["content-length"]) > 100
    assert (world.kinds(), world.engine.progressed) == (before, [])


@pytest.mark.parametrize("path", ["/p/52-54-00-12-34-56", "/p/52:54:00:12:34:56", "/p/525400123456/", "/p/52%3A54%3A00%3A12%3A34%3A56"])
def test_other_spellings_of_the_mac_address_are_understood(world: World, path: str) -> None:
    assert world.ask("GET", path).code == 200
    assert [node.mac for node in world.inventory.all()] == [MAC]


@pytest.mark.parametrize("path", ["/p", "/p/", "/p/5254", "/p/%ff%fe", "/p/../b/ipxe.efi", "/p/" + "a" * 500])
def test_what_is_no_mac_address_is_not_found_and_records_nothing(world: World, path: str) -> None:
    assert world.ask("GET", path).code == 404
    assert not world.inventory.all()


def test_a_profile_that_cannot_be_made_is_an_error_and_the_timeline_says_why(world: World, logged: Logged) -> None:
    _, install = world.armed()
    install.release = "no such release"
    assert world.ask("GET", PATH).code == 404
    assert world.texts()[-1] == f"{MAC} got no boot profile: Debian has no release 'no such release'; there is 13, 12, 11"
    install.options = {"users": 5}
    install.release = "12"
    assert world.ask("GET", PATH).code == 422
    assert world.texts()[-1].startswith(f"{MAC} got no boot profile: options.users: expected")
    install.options = {}
    world.urls = lambda _base, _token: None
    assert world.ask("GET", PATH).code == 500
    assert world.texts()[-1] == f"{MAC} got no boot profile: this pxed has a fault, which its log describes"
    assert logged.take()


def test_autoexec_leads_to_the_profile_at_the_address_it_was_asked_at(world: World) -> None:
    text = world.ask("GET", "/autoexec.ipxe", host="10.9.8.7").text
    assert text.startswith("#!ipxe\n")
    assert "http://10.9.8.7/p/${netX/mac:hexhyp}" in text


@pytest.mark.parametrize(
    "path", ["/autoexec.ipxe", "/b/autoexec.ipxe", "/b/aarch64/autoexec.ipxe", "/b//autoexec.ipxe", "/some/where/autoexec.ipxe"]
)
def test_autoexec_is_answered_beside_every_place_that_an_ipxe_may_come_from(world: World, path: str) -> None:
    assert world.ask("GET", path).text.startswith("#!ipxe\n")


@pytest.mark.parametrize(
    "path",
    [
        *(
            "/grub/grub.cfg-01-52:54:00:12:34:56",
            "/grub/grub.cfg-01-52-54-00-12-34-56",
            "/b/secureboot/x86_64/grub.cfg-01-52-54-00-12-34-56",
        ),
        *("/debian-installer/amd64/grub/grub.cfg-01-52%3A54%3A00%3A12%3A34%3A56", "/EFI/redhat/grub.cfg-01-52-54-00-12-34-56"),
    ],
)
def test_grub_gets_the_nodes_own_configuration_by_the_mac_address_in_the_name(world: World, path: str) -> None:
    _, install = world.armed()
    response = world.ask("GET", path, host="192.168.7.1", port=8080)
    assert "linux '(http,192.168.7.1:8080)/repo/debian/dists/bookworm/" in response.text
    assert f"'url=http://192.168.7.1:8080/i/{install.token}/preseed.cfg'" in response.text
    assert world.kinds()[-1] == "http.profile"
    assert world.engine.progressed == [(install.id, 2, "boot profile fetched")]
    assert world.inventory.by_address(NODE_ADDRESS) is world.inventory.by_mac(MAC)


@pytest.mark.parametrize("path", ["/grub/grub.cfg", "/b/secureboot/x86_64/grub.cfg", "/debian-installer/amd64/grub/grub.cfg"])
def test_the_name_that_says_nothing_leads_grub_to_its_own(world: World, path: str) -> None:
    world.armed()
    before = world.kinds()
    assert "source $config_directory/grub.cfg-01-$net_default_mac" in world.ask("GET", path).text
    assert world.kinds() == before


def test_grub_on_a_node_with_nothing_to_install_is_sent_to_its_disk(world: World) -> None:
    text = world.ask("GET", "/grub/grub.cfg-01-52:54:00:12:34:56").text
    assert "chainloader" in text
    assert "linux (http" not in text.replace("'", "")
    assert world.kinds() == ["node.new", "http.localboot"]


def test_firmware_that_asks_for_grubs_size_first_leaves_no_event(world: World) -> None:
    """GRUB after UEFI HTTP Boot sends HEAD before each GET."""
    world.armed()
    before = world.kinds()
    response = world.ask("HEAD", "/grub/grub.cfg-01-52:54:00:12:34:56")
    assert response.code == 200
    assert (world.kinds(), world.engine.progressed) == (before, [])


@pytest.mark.parametrize(
    "path",
    [
        "/grub/x86_64-efi/command.lst",
        "/grub/grub.cfg-01-nonsense",
        "/grub/grub.cfg-0A4D0055",
        "/b/secureboot/revocations_sku.efi",
        "/",
        "/x",
    ],
)
def test_every_other_name_is_not_found(world: World, path: str) -> None:
    assert world.ask("GET", path).code == 404
    assert not world.inventory.all()


def test_a_boot_program_fetched_by_http_is_on_the_timeline(world: World) -> None:
    """So a firmware that boots by HTTP is seen to have followed its offer; its HEAD before that is no download."""
    world.armed()
    world.inventory.note_address(MAC, NODE_ADDRESS)
    program = world.root / "snponly.efi"
    program.write_bytes(b"MZ" + bytes(98))
    before = len(world.kinds())
    world.ask("HEAD", "/b/snponly.efi")
    assert world.kinds()[before:] == []
    world.ask("GET", "/b/snponly.efi")
    assert world.kinds()[before:] == ["http.file"]
