"""The boot scripts run by iPXE itself: Debian's `ipxe.lkrn` as QEMU's kernel, the script as its initrd, a real HTTP server behind it."""

from __future__ import annotations

import contextlib
import random
import re
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from pxed.oses.catalog import Catalog, Urls
from pxed.oses.esxi import PROBE
from pxed.oses.family import Resources
from tests.oses.debs import unpacked
from tests.oses.families import RESOURCES, sample
from tests.oses.samples import FULL, TOKEN, FakeInstall, FakeNode

IPXE = Path("/usr/lib/ipxe/ipxe.lkrn")
QEMU = shutil.which("qemu-system-x86_64")
CATALOG = Catalog()
MAC = "52:54:00:12:34:56"

RETURNING = bytes.fromhex("b80100cb") + bytes(2044)
"""A boot program that gives the machine back at once with a failure (``mov ax, 1; retf``). On BIOS iPXE starts whatever is this small."""

pytestmark = [
    pytest.mark.lab,
    pytest.mark.skipif(not QEMU, reason="qemu-system-x86_64 is not installed"),
    pytest.mark.skipif(not IPXE.exists(), reason="Debian's ipxe package is not installed"),
]


class Appliance:
    """Answers every path: the first `refuse` requests below /repo/ with 404, then with `RETURNING`."""

    def __init__(self, refuse: int) -> None:
        self.paths: list[str] = []
        self.files: dict[str, bytes] = {}
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.paths.append(self.path)
                refused = self.path.startswith("/repo/") and len(outer.below("/repo/")) <= refuse
                body = b"" if refused else outer.files.get(self.path.rsplit("/", 1)[1], RETURNING)
                self.send_response(404 if refused else 200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.urls = Urls(f"http://10.0.2.2:{self.server.server_address[1]}", TOKEN)

    def below(self, start: str) -> list[str]:
        return [path for path in self.paths if path.startswith(start)]


@contextlib.contextmanager
def appliance(refuse: int = 0) -> Iterator[Appliance]:
    made = Appliance(refuse)
    thread = threading.Thread(target=made.server.serve_forever)
    thread.start()
    try:
        yield made
    finally:
        made.server.shutdown()
        made.server.server_close()
        thread.join(10)


def ipxe(tmp_path: Path, script: str, until: Callable[[str], bool], *, network: bool = True, seconds: float = 90, memory: int = 256) -> str:
    """iPXE's screen after it ran `script` until `until(screen)` or the machine is off; AssertionError after `seconds`."""
    (tmp_path / "script.ipxe").write_text(script.replace("#!ipxe\n", "#!ipxe\ndhcp net0\n", 1) if network else script)
    argv = [
        *(str(QEMU), "-accel", "tcg", "-machine", "pc,graphics=off", "-cpu", "max", "-nographic", "-m", str(memory), "-no-reboot"),
        *("-netdev", "user,id=n,ipv6=off", "-device", f"virtio-net-pci,netdev=n,romfile=,mac={MAC}"),
        *("-kernel", str(IPXE), "-initrd", str(tmp_path / "script.ipxe")),
    ]
    with (tmp_path / "screen").open("wb") as screen:
        machine = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=screen, stderr=subprocess.STDOUT)
        try:
            end = time.monotonic() + seconds
            while True:
                seen = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]|\r", "", (tmp_path / "screen").read_text(errors="replace"))
                if until(seen) or machine.poll() is not None:
                    return seen
                assert time.monotonic() < end, f"iPXE did not get there in {seconds} s:\n{seen[-1500:]}"
                time.sleep(0.2)
        finally:
            machine.kill()
            machine.wait(10)


def profile(urls: Urls, **options: Any) -> str:
    prepared = CATALOG.prepare("debian", "12", options)
    return CATALOG.preview(prepared, FakeNode(), urls)["boot.ipxe"]


def test_an_ipxe_without_comboot_says_so_and_never_starts_esxis_loader(tmp_path: Path) -> None:
    """Debian's is one: it would take mboot.c32 for a raw PXE program."""
    catalog = Catalog(resources=RESOURCES)
    with appliance() as pxed:
        pxed.files["probe.c32"] = PROBE + bytes(2048 - len(PROBE))
        script = catalog.preview(catalog.prepare("esxi", "8", sample("esxi", "minimal")), FakeNode(), pxed.urls)["boot.ipxe"]
        screen = ipxe(tmp_path, script, lambda _: bool(pxed.below(f"/i/{TOKEN}/notify")))
        assert "built without COMBOOT" in unwrapped(screen)
        assert pxed.below("/repo/") == []
        assert "started?status=fail&message=This+iPXE+cannot+start+mboot.c32" in pxed.paths[-1]


KERNEL = "usr/lib/debian-installer/images/12/amd64/text/debian-installer/amd64/linux"
INIT = r"""
#include <stdio.h>
#include <unistd.h>
#include <sys/reboot.h>
int main(void) {
	FILE *f = fopen("/proxmox.iso", "rb");
	unsigned long sum = 0, size = 0;
	int c;
	while (f && (c = fgetc(f)) != EOF) { sum = (sum * 31 + c) % 1000003; size++; }
	printf("IMAGE %lu %lu END\n", size, sum);
	fflush(stdout);
	sleep(1);
	reboot(RB_POWER_OFF);
	return 0;
}
"""


@pytest.mark.skipif(not all(map(shutil.which, ("gcc", "cpio", "zstd"))), reason="gcc, cpio or zstd is not installed")
def test_a_kernel_has_proxmoxs_image_in_memory_beside_an_initrd_that_is_compressed_with_zstd(tmp_path: Path) -> None:
    """Debian's kernel, started by iPXE through the profile of a Proxmox install; an init of our own says what it finds at its root."""
    kernel = unpacked("netboot-12", "debian-installer-12-netboot-amd64") / KERNEL
    (tmp_path / "init.c").write_text(INIT)
    subprocess.run(["gcc", "-static", "-O1", "-o", "init", "init.c"], cwd=tmp_path, check=True, timeout=60)
    subprocess.run("echo init | cpio -o -H newc --quiet | zstd -q -o initrd.img", shell=True, cwd=tmp_path, check=True, timeout=60)
    image = random.Random(1).randbytes(300 * 2048)
    media = {"proxmox-9": {"family": "proxmox", "version": "9.1", "facts": {"prepared": True, "image_bytes": len(image)}}}
    catalog = Catalog(resources=Resources(media=lambda name: media.get(name, {})))
    prepared = catalog.prepare("proxmox", "9", {"hostname": "web1", "installDisk": "/dev/sda", "comport": "com1"})
    install = FakeInstall("proxmox", prepared.release, prepared.options)
    with appliance() as pxed:
        pxed.files = {
            "linux26": kernel.read_bytes(),
            "proxmox-9.iso": image,
            "initrd.img": (tmp_path / "initrd.img").read_bytes(),
            "image.cpio": catalog.file(install, FakeNode(), pxed.urls, "image.cpio").body,
        }
        screen = ipxe(tmp_path, catalog.profile(install, FakeNode(), pxed.urls), lambda seen: "END" in seen, seconds=240, memory=512)
    found = 0
    for letter in image:
        found = (found * 31 + letter) % 1000003
    assert f"IMAGE {len(image)} {found} END" in screen


def unwrapped(screen: str) -> str:
    """The screen's text with the line breaks of an 80-column terminal taken out."""
    return screen.replace("\n", "")


def test_ipxe_fetches_kernel_and_initrd_and_tells_us_when_they_do_not_boot(tmp_path: Path) -> None:
    with appliance() as pxed:
        script = profile(pxed.urls, **{name: value for name, value in FULL.items() if name != "repo"})
        screen = ipxe(tmp_path, script, lambda _: bool(pxed.below("/i/")))
        images = "/repo/debian/dists/bookworm/main/installer-amd64/current/images/netboot/debian-installer/amd64"
        assert pxed.paths[:2] == [f"{images}/linux", f"{images}/initrd.gz"]
        assert re.fullmatch(
            rf"/i/{TOKEN}/notify/started\?status=fail&message=iPXE\+could\+not\+fetch\+or\+start\+the\+installer,\+error\+[0-9a-f]{{8}}",
            pxed.paths[2],
        )
        assert "the installer cannot be started" in unwrapped(screen)


def test_ipxe_tries_three_times_more_before_it_tells_us(tmp_path: Path) -> None:
    with appliance(refuse=100) as pxed:
        ipxe(tmp_path, profile(pxed.urls), lambda _: bool(pxed.below("/i/")))
        assert len(pxed.below("/repo/")) == 4
        (told,) = pxed.below("/i/")
        assert told.endswith("error+2d0c613b")  # ipxe.org/2d0c613b: HTTP 404


def test_ipxe_goes_on_when_a_file_arrives_at_the_second_try(tmp_path: Path) -> None:
    with appliance(refuse=1) as pxed:
        ipxe(tmp_path, profile(pxed.urls), lambda _: bool(pxed.below("/i/")))
        assert [path.rsplit("/", 1)[1] for path in pxed.below("/repo/")] == ["linux", "linux", "initrd.gz"]


def test_ipxe_hands_the_kernel_the_line_that_was_meant(tmp_path: Path) -> None:
    with appliance() as pxed:
        script = profile(pxed.urls, kernelArgs='a;b c||d $x e="f"', hostname="web1").replace("boot || goto failed", "imgstat\nsleep 60")
        screen = unwrapped(ipxe(tmp_path, script, lambda seen: "hostname=web1" in unwrapped(seen) and "---" in unwrapped(seen)))
        assert "initrd=initrd.gz auto=true priority=critical url=" in screen
        assert f'a;b c||d $x e="f" BOOTIF=01-{MAC.replace(":", "-")} ---' in screen


@pytest.mark.parametrize(
    ("way", "shown"),
    [
        ("auto", "Booting from SAN device 0x80"),
        ("sanboot", "Booting from SAN device 0x80"),
        ("exit1", "nothing to install on rack 1"),
        ("exit0", "nothing to install on rack 1"),
        ("poweroff", "this iPXE cannot power off"),
    ],
)
def test_a_node_with_nothing_to_install_leaves_ipxe_the_way_that_was_chosen(tmp_path: Path, way: str, shown: str) -> None:
    """Without a disk `sanboot` tries both drives; then, as with `exit`, the firmware goes on: SeaBIOS finds nothing to boot."""
    script = CATALOG.localboot(FakeNode(name="rack 1", localboot=way))
    screen = ipxe(
        tmp_path,
        script,
        lambda seen: "No bootable device" in seen or "Exiting" in seen or seen.count("SeaBIOS") > 1,
        network=False,
        seconds=60,
    )
    assert shown in unwrapped(screen)
    assert ("0x81" in screen) == (way in ("auto", "sanboot", "poweroff"))
