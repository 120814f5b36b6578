"""Cases 1-28: who asks on port 67, by firmware and boot loader, and what is offered. Every answer is decoded by scapy."""

from __future__ import annotations

import pytest

from pxed.dhcp.offer import TELL
from tests.dhcp import clients
from tests.dhcp.decode import OFFER
from tests.dhcp.world import SERVER, FixedPrograms, World

EVERYBODY = ("255.255.255.255", 68)
PROFILE = f"http://{SERVER}/p/525400123456{TELL}"


def test_case_001_bios_is_offered_undionly_with_43_6_8() -> None:
    world = World()
    sent = world.ask(clients.rom(0, xid=0xDEADBEEF))[0]
    answer = sent.answer
    assert (answer.op, answer.xid, answer.message, answer.yiaddr, answer.siaddr) == (2, 0xDEADBEEF, OFFER, "0.0.0.0", SERVER)
    assert (answer[54], answer[60], answer[97]) == (SERVER, b"PXEClient", clients.GUID)
    assert answer[43] == bytes.fromhex("060108ff")
    assert answer.file == b"undionly.kpxe"
    assert answer.sname == SERVER.encode()
    assert sent.destination == EVERYBODY
    assert (sent.door, sent.ifindex, sent.server) == (67, 2, SERVER)


def test_case_002_without_the_broadcast_flag_the_offer_is_broadcast_all_the_same() -> None:
    sent = World().ask(clients.rom(0, flags=0))[0]
    assert sent.destination == EVERYBODY
    assert sent.answer.flags == 0x8000


def test_case_003_x64_uefi_is_offered_without_43_so_that_it_comes_to_4011() -> None:
    answer = World().answer(clients.rom(7))
    assert 43 not in answer
    assert (answer.siaddr, answer[54], answer[60], answer.boot_file) == (SERVER, SERVER, b"PXEClient", "snponly.efi")


def test_case_004_arch_9_is_treated_as_7() -> None:
    world = World()
    nine, seven = world.answer(clients.rom(9)), world.answer(clients.rom(7))
    assert (nine.boot_file, nine.codes) == (seven.boot_file, seven.codes)


def test_case_005_ia32_gets_its_own_file_or_nothing() -> None:
    assert World(programs=FixedPrograms({6: "i386/snponly.efi"})).answer(clients.rom(6)).boot_file == "i386/snponly.efi"
    world = World(programs=FixedPrograms({7: "snponly.efi"}))
    assert world.silent(clients.rom(6)) == "no-program"
    assert "IA32 UEFI" in world.told("dhcp.problem")[0].text


def test_case_006_arm64_gets_the_arm64_file() -> None:
    assert World().answer(clients.rom(11)).boot_file == "arm64/snponly.efi"


def test_case_007_riscv_gets_its_file_or_nothing() -> None:
    assert World().answer(clients.rom(27)).boot_file == "riscv64/snponly.efi"
    assert World(programs=FixedPrograms({})).silent(clients.rom(27)) == "no-program"


@pytest.mark.parametrize(
    "packet",
    [
        clients.rom(41),
        clients.rom(0, mac="b8:27:eb:01:02:03"),
        clients.rom(0, mac="dc:a6:32:01:02:03"),
        clients.packet([(k, b"\0RPi4" + bytes(12) if k == 97 else v) for k, v in clients.pxe_options(0)]),
    ],
)
def test_case_008_raspberry_pi_gets_its_menu_and_no_undionly(packet: bytes) -> None:
    world = World()
    world.arm("b8:27:eb:01:02:03")
    world.arm("dc:a6:32:01:02:03")
    answer = world.answer(packet)
    assert answer[43] == bytes.fromhex("060108 0914 000011") + b"Raspberry Pi Boot" + bytes.fromhex("0a04 00") + b"PXE\xff"
    assert answer[66] == SERVER.encode()
    assert answer.boot_file == ""


def test_case_008b_uefi_on_a_raspberry_pi_is_uefi() -> None:
    world = World()
    world.arm("dc:a6:32:01:02:03")
    assert world.answer(clients.rom(11, mac="dc:a6:32:01:02:03")).boot_file == "arm64/snponly.efi"


@pytest.mark.parametrize(
    ("codes", "file"),
    [
        ("00090007", "snponly.efi"),
        ("0007000b", "snponly.efi"),
        ("000b0007", "arm64/snponly.efi"),
        ("ffff000b", "arm64/snponly.efi"),
        ("00020000", "undionly.kpxe"),
    ],
)
def test_case_009_of_several_architectures_the_first_known_counts(codes: str, file: str) -> None:
    options = [(k, bytes.fromhex(codes) if k == 93 else v) for k, v in clients.pxe_options(7, vendor=b"PXEClient")]
    assert World().answer(clients.packet(options)).boot_file == file


def test_case_010_architecture_ffff_is_not_answered() -> None:
    world = World()
    assert world.silent(clients.rom(0xFFFF)) == "architecture"
    assert world.silent(clients.rom(0xFFFF, xid=2)) == "architecture"
    assert len(world.told("dhcp.silent")) == 1


def test_case_011_without_93_and_not_ipxe_there_is_no_answer() -> None:
    assert World().silent(clients.rom(None)) == "architecture"


@pytest.mark.parametrize("value", [b"\x00", b"\x00\x07\x00", b""])
def test_case_012_93_of_odd_length_is_malformed(value: bytes) -> None:
    options = [(k, value if k == 93 else v) for k, v in clients.pxe_options(7)]
    assert World().silent(clients.packet(options)) == "malformed-architecture"


def test_case_013_ipxe_with_http_gets_its_profile_at_once() -> None:
    answer = World().answer(clients.ipxe(0, user=b"iPXE"))
    assert (answer.boot_file, answer[60], answer.siaddr) == (PROFILE, b"PXEClient", SERVER)
    assert 43 not in answer


def test_case_014_user_class_with_length_prefix_is_the_same_as_the_raw_string() -> None:
    world = World()
    raw, prefixed = world.ask(clients.ipxe(0, user=b"iPXE"))[0], world.ask(clients.ipxe(0, user=b"\x04iPXE"))[0]
    assert raw.data == prefixed.data
    assert world.answer(clients.ipxe(0, user=b"\x03foo\x04iPXE")).boot_file == PROFILE


def test_case_015_ipxe_without_http_gets_a_full_ipxe_by_tftp() -> None:
    answer = World().answer(clients.ipxe(0, features=clients.IPXE_NO_HTTP))
    assert answer.boot_file == f"tftp://{SERVER}/undionly.kpxe"
    assert answer[43] == bytes.fromhex("060108ff")


def test_case_016_our_own_user_class_needs_no_175() -> None:
    assert World().answer(clients.ipxe(None, user=b"pxed", features=None)).boot_file == PROFILE
    assert World().answer(clients.ipxe(None, user=b"\x04pxed", features=None)).boot_file == PROFILE


def test_case_017_ipxe_on_uefi_gets_its_profile_and_60_stays_pxeclient() -> None:
    answer = World().answer(clients.ipxe(7, features=bytes.fromhex("130101240101")))
    assert (answer.boot_file, answer[60]) == (PROFILE, b"PXEClient")


@pytest.mark.parametrize("user", [b"", b"\xff\xff\xff", b"\x00", b"\x05abc", b"iPXE2", b"\x00iPXE"])
def test_case_018_a_garbage_user_class_is_a_rom(user: bytes) -> None:
    assert World().answer(clients.ipxe(0, user=user)).boot_file == "undionly.kpxe"


def test_case_019_http_boot_gets_an_absolute_url_and_60_httpclient() -> None:
    answer = World().answer(clients.http_boot(16))
    assert (answer.boot_file, answer[60]) == (f"http://{SERVER}/b/snponly.efi", b"HTTPClient")
    assert 43 not in answer


def test_case_020_http_boot_on_arm64_gets_the_arm64_file() -> None:
    assert World().answer(clients.http_boot(19)).boot_file == f"http://{SERVER}/b/arm64/snponly.efi"


def test_case_021_httpclient_wins_over_a_pxe_architecture() -> None:
    """And over a user class that makes other clients an iPXE."""
    options = clients.pxe_options(7, vendor=b"HTTPClient:Arch:00007:UNDI:003000")
    for more in ([], [(77, b"pxed")]):
        answer = World().answer(clients.packet([*options, *more]))
        assert (answer[60], answer.boot_file) == (b"HTTPClient", f"http://{SERVER}/b/snponly.efi")


def test_case_022_pxeclient_with_an_http_architecture_is_answered_as_pxe_and_noted() -> None:
    world = World()
    answer = world.answer(clients.rom(16))
    assert (answer[60], answer.boot_file) == (b"PXEClient", "snponly.efi")
    assert "answered as PXE" in world.told("dhcp.offer")[0].text


@pytest.mark.parametrize("vendor", [b"pxeclient:Arch:00007:UNDI:003000", b"PxeClient", b"xPXEClient", b"PXE"])
def test_case_023_60_is_case_sensitive(vendor: bytes) -> None:
    assert World().silent(clients.packet(clients.pxe_options(7, vendor=vendor))) == "not-pxe"


def test_case_024_60_may_be_just_pxeclient() -> None:
    assert World().answer(clients.packet(clients.pxe_options(7, vendor=b"PXEClient"))).boot_file == "snponly.efi"


def test_case_025_93_wins_over_the_architecture_in_60_and_the_timeline_says_so() -> None:
    world = World()
    answer = world.answer(clients.packet(clients.pxe_options(0, vendor=b"PXEClient:Arch:00007:UNDI:003000")))
    assert answer.boot_file == "undionly.kpxe"
    assert "option 60 says architecture 7, option 93 says 0" in world.told("dhcp.offer")[0].text


def _is_nobodys_business(vendor: bytes, message: int) -> None:
    world = World(boot=None)
    counted = world.silent(clients.packet(clients.pxe_options(None, vendor=vendor, message=message)))
    assert counted == ("not-pxe" if message == 1 else "other-message")
    assert world.inventory.all() == []


def test_case_026_apple_bsdp_is_not_answered_and_not_recorded() -> None:
    _is_nobodys_business(b"AAPLBSDPC/i386/iMac4,1", 8)
    _is_nobodys_business(b"AAPLBSDPC/i386/iMac4,1", 1)


def test_case_027_windows_is_not_answered_and_not_recorded() -> None:
    _is_nobodys_business(b"MSFT 5.0", 1)


def test_case_028_arista_is_not_answered_and_not_recorded() -> None:
    _is_nobodys_business(b"Arista;DCS-7050", 1)
