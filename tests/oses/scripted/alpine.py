"""Alpine: the system in memory with our archive laid over it, whose one service installs; OpenRC's local service at the first boot."""

from __future__ import annotations

import io
import re
import tarfile
from collections.abc import Mapping
from pathlib import Path

from tests.oses.sandbox import FAKES
from tests.oses.scripted.ipxe import Booted
from tests.oses.scripted.node import Node
from tests.oses.test_alpine import SETUP_ALPINE, STARTER


class Alpine(Node):
    shell = "busybox sh"
    clients = ("wget",)
    target = "disk"
    _FIRST = "etc/local.d/pxed-firstboot.start"

    @staticmethod
    def medium(_family: str, _release: str) -> Mapping[str, bytes]:
        return dict.fromkeys(("boot/vmlinuz-lts", "boot/initramfs-lts", "boot/modloop-lts", "apks/x86_64/APKINDEX.tar.gz"), b"x")

    def prepare(self) -> None:
        super().prepare()
        for name in ("proc", "var/log", "etc/apk", "mnt", "usr"):
            (self.box.root / name).mkdir(parents=True, exist_ok=True)
        inside = FAKES["in-target"].replace("target=$PXED_ROOT/target\n", "")
        for name, body in {
            "readlink": 'echo "$2"\n',
            "ip": "echo '10.0.0.2 dev eth5 src 10.0.0.77 uid 0'\n",
            "timeout": 'shift\n"$@"\n',
            "setup-alpine": SETUP_ALPINE,
            "mount": '[ "$1" = /dev/sda3 ] || exit 1\nrmdir "$2" && ln -s "$PXED_ROOT/disk" "$2"\n',
            "umount": 'rm "$1" && mkdir "$1"\n',
            "chroot": f"target=$1; shift\n{inside}",
            **dict.fromkeys(("setsid", "apk", "sync", "reboot", "poweroff"), ""),
        }.items():
            self.box.fake(name, body)

    def install(self, booted: Booted) -> None:
        self._in_memory(booted)
        restarts = len(self.box.calls("reboot"))
        self.run((self.box.root / STARTER).read_text())
        started = self.box.calls("setsid")[-1].arguments
        assert started[0] == "sh"
        self.work(60)
        parts = '"$parts"1 "$parts"2 "$parts"3'  # /dev is the host's: the shell finds no disk of the machine there
        self.run(Path(started[1]).read_text().replace('"$parts"[0-9]*', parts))
        self.power = len(self.box.calls("reboot")) > restarts

    def _in_memory(self, booted: Booted) -> None:
        """What the initramfs does: module archive, packages, our archive."""
        self.get(booted.word("modloop"), tries=3)
        self.get(f"{booted.word('alpine_repo')}/x86_64/APKINDEX.tar.gz", tries=3)
        (self.box.root / "proc/cmdline").write_text(booted.arguments)
        if (self.box.root / "mnt").is_symlink():
            (self.box.root / "mnt").unlink()
            (self.box.root / "mnt").mkdir()
        with tarfile.open(fileobj=io.BytesIO(self.get(booted.word("apkovl"), tries=12)), mode="r:gz") as packed:
            for entry in packed.getmembers():
                inside = packed.extractfile(entry) if entry.isfile() else None
                if inside is not None:
                    path = self.box.root / entry.name
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_bytes(inside.read())

    def first_boot_is_due(self) -> bool:
        return (self.root / self._FIRST).exists()

    def first_boot(self) -> None:
        found = re.search(r"\( sh (/\S+) && rm -f (/\S+) \)", (self.root / self._FIRST).read_text())
        assert found is not None
        script, starter = (self.root / path.lstrip("/") for path in found.groups())
        if not self.run(script.read_text(), good=False, root=self.root).returncode:
            starter.unlink()
