"""A machine without hardware: QEMU with real firmware, a network card on the lab's switch, a disk and a serial console in a file."""

from __future__ import annotations

import functools
import json
import re
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal, get_args

from tests.lab.network import Network
from tests.lab.process import Child, LabProblem, eventually, tail

Plain = Literal["bios", "uefi", "uefi-http"]
Firmware = Literal[Plain, "uefi-secure", "uefi-secure-http", "arm64", "arm64-secure"]
FIRMWARES: tuple[Plain, ...] = get_args(Plain)
OVMF = Path("/usr/share/OVMF")
AAVMF = Path("/usr/share/AAVMF")
FLASH: Mapping[Firmware, tuple[Path, Path]] = {
    "uefi": (OVMF / "OVMF_CODE_4M.fd", OVMF / "OVMF_VARS_4M.fd"),
    "uefi-http": (OVMF / "OVMF_CODE_4M.fd", OVMF / "OVMF_VARS_4M.fd"),
    "uefi-secure": (OVMF / "OVMF_CODE_4M.secboot.fd", OVMF / "OVMF_VARS_4M.ms.fd"),
    "uefi-secure-http": (OVMF / "OVMF_CODE_4M.secboot.fd", OVMF / "OVMF_VARS_4M.ms.fd"),
    "arm64": (AAVMF / "AAVMF_CODE.fd", AAVMF / "AAVMF_VARS.fd"),
    "arm64-secure": (AAVMF / "AAVMF_CODE.fd", AAVMF / "AAVMF_VARS.ms.fd"),
}
"""Code, and variables as they leave the factory: in the ``ms`` ones Microsoft's keys are enrolled and Secure Boot is on."""
MEMORY_MB = 1024
DISK_BYTES = 6 << 30
CPU_SECONDS = 7200
"""What one machine may burn before the kernel ends it."""


class Machine:
    """Network first, then disk. Off until `power_on`; `power_off` is the cord pulled and keeps disk and UEFI variables.

    The ``-http`` ones forbid the firmware IPv4 PXE, so that HTTP Boot is what is left. Under OVMF the card has no option ROM, or QEMU's
    own iPXE would be tested instead of the firmware; under SeaBIOS that ROM is the firmware. `options`: QEMU's, beside ours.
    """

    def __init__(
        self,
        network: Network,
        folder: Path,
        *,
        firmware: Firmware,
        mac: str,
        name: str = "vm",
        disk: Path | None = None,
        options: Sequence[str] = (),
    ) -> None:
        self.firmware = firmware
        self.mac = mac
        self.name = name
        self.console_log = folder / f"{name}.console.log"
        self._options = options
        self._network = network
        self._folder = folder
        self._disk = disk or _blank(folder / f"{name}.disk")
        self._qmp = folder / f"{name}.qmp"
        self._tap = network.tap()
        self._child: Child | None = None
        if firmware != "bios":
            shutil.copyfile(FLASH[firmware][1], folder / f"{name}.vars")

    def power_on(self) -> None:
        if self._child is not None and self._child.alive:
            raise LabProblem(f"{self.name} is on already")
        self._qmp.unlink(missing_ok=True)
        argv = ["prlimit", f"--cpu={CPU_SECONDS}", "--", *self._argv()]
        self._child = Child(self.name, argv, namespace=self._network.switch, log=self._folder / f"{self.name}.qemu.log")
        eventually("QEMU's monitor", lambda: self._ready(), within=20.0, every=0.05)

    def _ready(self) -> bool:
        if self._child is None or not self._child.alive:
            raise LabProblem(f"QEMU ended: {tail(self._folder / f'{self.name}.qemu.log', 5)}")
        return self._qmp.exists()

    def _argv(self) -> list[str]:
        bios = self.firmware == "bios"
        argv = [
            *self._computer(),
            *("-nodefaults", "-display", "none", "-no-user-config", "-name", self.name, "-smp", "2", "-m", str(MEMORY_MB)),
            *("-chardev", f"file,id=console,path={self.console_log},append=on", "-serial", "chardev:console"),
            *("-qmp", f"unix:{self._qmp},server=on,wait=off", "-device", "virtio-rng-pci"),
            *("-netdev", f"tap,id=net,ifname={self._tap},script=no,downscript=no"),
            *("-device", f"virtio-net-pci,netdev=net,mac={self.mac},bootindex=1" + ("" if bios else ",romfile=")),
            *("-drive", f"if=none,id=disk,file={self._disk},format=raw,cache=unsafe,discard=unmap"),
            *("-device", "virtio-blk-pci,drive=disk,bootindex=2"),
            *self._options,
        ]
        if not bios:
            argv += ["-drive", f"if=pflash,unit=0,format=raw,readonly=on,file={FLASH[self.firmware][0]}"]
            argv += ["-drive", f"if=pflash,unit=1,format=raw,file={self._folder / f'{self.name}.vars'}"]
            argv += ["-fw_cfg", "name=opt/org.tianocore/IPv6PXESupport,string=no"]  # OVMF would wait a minute for a server
        if self.firmware.endswith("-http"):
            argv += ["-fw_cfg", "name=opt/org.tianocore/IPv4PXESupport,string=no"]
        return argv

    def _computer(self) -> list[str]:
        """The emulator, its processor and its board. Secure Boot on x86 needs SMM, or the system could rewrite the keys."""
        if self.firmware.startswith("arm64"):
            return ["qemu-system-aarch64", "-machine", "virt", "-accel", "tcg,thread=multi", "-cpu", "cortex-a57"]
        if self.firmware.startswith("uefi-secure"):
            smm = ["-global", "driver=cfi.pflash01,property=secure,value=on"]
            return ["qemu-system-x86_64", "-machine", "q35,smm=on,graphics=off", *smm, *accelerator()]
        return ["qemu-system-x86_64", "-machine", f"{'pc' if self.firmware == 'bios' else 'q35'},graphics=off", *accelerator()]

    @property
    def on(self) -> bool:
        return self._child is not None and self._child.alive

    @property
    def disk(self) -> Path:
        return self._disk

    def reset(self) -> None:
        """The reset button: the firmware starts again, network first."""
        self.command("system_reset")

    def power_off(self) -> None:
        """May be called twice."""
        if self._child is not None:
            if self._child.alive:
                with suppress(OSError, LabProblem):
                    self.command("quit")
            self._child.stop()

    def command(self, name: str, **arguments: Any) -> Any:
        """One QMP command; returns its answer. LabProblem if QEMU refuses."""
        with socket.socket(socket.AF_UNIX) as monitor:
            monitor.settimeout(10.0)
            monitor.connect(str(self._qmp))
            stream = monitor.makefile("rw", encoding="utf-8")
            stream.readline()
            for each in ({"execute": "qmp_capabilities"}, {"execute": name, "arguments": arguments}):
                stream.write(json.dumps(each) + "\n")
                stream.flush()
                answer = _answer(stream)
            return answer

    def console(self, *, since: int = 0) -> str:
        """What the serial console said after byte `since` of its log, without colours and cursor movements."""
        if not self.console_log.exists():
            return ""
        with self.console_log.open("rb") as file:
            file.seek(since)
            text = file.read().decode("utf-8", "replace")
        return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b[=>()][0-9A-Za-z]?", "", text)

    @property
    def console_size(self) -> int:
        """Bytes in the console's log now: a mark for `console` and `await_console`."""
        return self.console_log.stat().st_size if self.console_log.exists() else 0

    def await_console(self, pattern: str, *, within: float, since: int = 0) -> re.Match[str]:
        """Wait until the console matches. TimeoutError says what it said last; LabProblem when QEMU died."""
        expression = re.compile(pattern)

        def look() -> re.Match[str] | None:
            found = expression.search(self.console(since=since))
            if not found and not self.on:
                raise LabProblem(f"QEMU of {self.name} ended: {tail(self._folder / f'{self.name}.qemu.log', 5)}")
            return found

        try:
            return eventually(f"{pattern!r} on the console of {self.name}", look, within=within, every=0.5)
        except TimeoutError as error:
            raise TimeoutError(f"{error}; it ends with:\n{tail(self.console_log, 12)}") from None


def _blank(path: Path) -> Path:
    """A sparse raw disk: no qemu-img needed, and the file can be looked into."""
    with path.open("wb") as file:
        file.truncate(DISK_BYTES)
    return path


def _answer(stream: Any) -> Any:
    """The next answer of the monitor; events between are skipped."""
    while line := stream.readline():
        said = json.loads(line)
        if "return" in said:
            return said["return"]
        if "error" in said:
            raise LabProblem(f"QEMU: {said['error'].get('desc')}")
    return None


@functools.cache
def accelerator() -> tuple[str, ...]:
    """KVM if a machine really runs under it (a present /dev/kvm proves nothing: nested ones hang), else TCG with a thread per CPU.

    Under TCG the plain processor is the quick one: `max` boots the installer's kernel a third slower (five levels of page tables, AVX).
    """
    tcg = ("-accel", "tcg,thread=multi", "-cpu", "qemu64")
    if not Path("/dev/kvm").exists():
        return tcg
    kvm = ("-accel", "kvm", "-cpu", "host")
    return kvm if _runs(kvm) else tcg


def _runs(acceleration: tuple[str, ...]) -> bool:
    """Whether iPXE's kernel prints what its script says within some seconds under this acceleration."""
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder, "script.ipxe")
        script.write_text("#!ipxe\necho lab-probe-${platform}\nsleep 60\n")
        argv = [
            *(
                "qemu-system-x86_64",
                "-nodefaults",
                "-display",
                "none",
                "-machine",
                "pc,graphics=off",
                *acceleration,
                "-m",
                "128",
                "-no-reboot",
            ),
            *("-serial", "stdio", "-kernel", "/usr/lib/ipxe/ipxe.lkrn", "-initrd", str(script)),
        ]
        try:
            said = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=8.0).stdout
        except subprocess.TimeoutExpired as expired:
            said = expired.stdout or b""
        return b"lab-probe-pcbios" in said
