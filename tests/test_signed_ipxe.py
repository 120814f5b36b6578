"""Signed iPXE 2.0 as an operator lays it out: `pxed bootloaders` shows it, firmware with Secure Boot is offered it, and each file that it
asks for on its way to the profile is served. The programs are header and signature only: none that is really signed was at hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pxed.repo.bootprograms import scan
from tests.cli.fake import run
from tests.dhcp import clients
from tests.dhcp.world import SERVER, World
from tests.repo.images import ARM64, X64, bios, ipxe
from tests.repo.test_chains import shim
from tests.tftp.appliance import Appliance
from tests.web.real import Client, serving

UNSIGNED = {"undionly.kpxe": bios(), "snponly.efi": ipxe(X64), "aarch64/snponly.efi": ipxe(ARM64)}
SIGNED = {
    "ipxe-signed/x86_64/ipxe-shimx64.efi": shim(),
    "ipxe-signed/x86_64/ipxe.efi": ipxe(X64, signed=True),
    "ipxe-signed/aarch64/ipxe-shimaa64.efi": shim(ARM64),
    "ipxe-signed/aarch64/ipxe.efi": ipxe(ARM64, signed=True),
}
FIRST = {7: "ipxe-signed/x86_64/ipxe-shimx64.efi", 11: "ipxe-signed/aarch64/ipxe-shimaa64.efi"}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The layout of docs/secure-boot.md, beside what needs no signature."""
    for name, content in {**UNSIGNED, **SIGNED}.items():
        path = tmp_path / "tftproot" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return tmp_path / "tftproot"


def http_boot(arch: int) -> bytes:
    return clients.packet(clients.pxe_options(arch, vendor=b"HTTPClient:Arch:%05d:UNDI:003000" % arch))


def test_bootloaders_lists_both_halves_as_signed_and_complains_of_nothing(root: Path) -> None:
    tree = json.loads(run("bootloaders", "--list", "--json", state_dir=root.parent).stdout)
    listed = {each["path"]: (each["machine"], each["kind"], each["signed"]) for each in tree["programs"]}
    assert {path: listed[path] for path in SIGNED} == {
        "ipxe-signed/x86_64/ipxe-shimx64.efi": ("x86_64", "shim", True),
        "ipxe-signed/x86_64/ipxe.efi": ("x86_64", "ipxe", True),
        "ipxe-signed/aarch64/ipxe-shimaa64.efi": ("aarch64", "shim", True),
        "ipxe-signed/aarch64/ipxe.efi": ("aarch64", "ipxe", True),
    }
    assert tree["complaints"] == []


@pytest.mark.parametrize("chosen", ["for all", "for one node", "by a quirk"])
def test_firmware_with_secure_boot_is_offered_the_shim_by_pxe_and_http_boot(root: Path, chosen: str) -> None:
    """And iPXE, once it runs, its profile; BIOS gets what needs no signature, whatever the chain."""
    quirk = {"name": "signed", "mac": "52:54:00", "boot_program": "ipxe-signed"}
    programs: Any = scan(root, chain="ipxe-signed" if chosen == "for all" else "ipxe")
    world = World(programs=programs, settings={"dhcp": {"quirks": [quirk]}} if chosen == "by a quirk" else None)
    if chosen == "for one node":
        world.node.boot_program = "ipxe-signed"
    for arch, http_arch in ((7, 16), (11, 19)):
        assert world.answer(clients.rom(arch)).boot_file == FIRST[arch]
        told = world.answer(clients.pxe_request(arch, ciaddr="10.0.0.77"), door=4011, source="10.0.0.77", source_port=4011)
        assert told.boot_file == FIRST[arch]
        assert world.answer(http_boot(http_arch)).boot_file == f"http://{SERVER}/b/{FIRST[arch]}"
        assert world.answer(clients.ipxe(arch)).boot_file.startswith(f"http://{SERVER}/p/525400123456")
    assert world.answer(clients.rom(0)).boot_file == "undionly.kpxe"


def test_the_shim_finds_its_second_stage_beside_itself_by_tftp(root: Path) -> None:
    """Its own path with another last part, in the spellings that shims are known for."""
    with Appliance(root) as appliance:
        for folder in ("x86_64", "aarch64"):
            second = SIGNED[f"ipxe-signed/{folder}/ipxe.efi"]
            for name in (f"ipxe-signed/{folder}/ipxe.efi", f"/ipxe-signed/{folder}//ipxe.efi", f"\\ipxe-signed\\{folder}\\ipxe.efi"):
                assert appliance.client().fetch(name, ("blksize", 1468)) == second


async def test_and_by_http(root: Path) -> None:
    async with serving(root) as port:
        for folder in ("x86_64", "aarch64"):
            for name in (f"ipxe-signed/{folder}/ipxe.efi", f"ipxe-signed/{folder}//ipxe.efi"):
                client = Client(port)
                client.get(f"/b/{name}", Connection="close")
                head, body = await client.response()
                assert (head["status"], body) == ("200", SIGNED[f"ipxe-signed/{folder}/ipxe.efi"])
                client.close()
