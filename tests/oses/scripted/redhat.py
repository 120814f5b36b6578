"""anaconda, and EL6's: dracut's (or the old loader's) words, a kickstart and its sections; systemd or SysV scripts at the first boot."""

from __future__ import annotations

import shlex
from collections.abc import Mapping

from tests.oses.scripted.ipxe import Booted
from tests.oses.scripted.node import Node, chroot


def kickstart(text: str) -> tuple[dict[str, list[str]], dict[str, tuple[list[str], str]]]:
    """Command > its words, section > (its switches, its text). ``%include`` is a command."""
    commands: dict[str, list[str]] = {}
    sections: dict[str, tuple[list[str], str]] = {}
    section = None
    for line in text.splitlines():
        if line.startswith("%end"):
            section = None
        elif section is not None:
            sections[section] = (sections[section][0], f"{sections[section][1]}{line}\n")
        elif line.startswith("%") and not line.startswith("%include"):
            section, *switches = line.split()
            assert section not in sections
            sections[section] = (switches, "")
        elif words := shlex.split(line, comments=True):
            commands[words[0]] = words[1:]
    assert section is None, f"{section} has no %end"
    return commands, sections


def switch(words: list[str], name: str) -> str:
    """The value of ``name=value``; ValueError unless it is there once."""
    (found,) = [word.split("=", 1)[1] for word in words if word.startswith(f"{name}=")]
    return found


class RedHat(Node):
    clients = ("curl",)
    old = False
    """EL6."""

    @staticmethod
    def medium(_family: str, _release: str) -> Mapping[str, bytes]:
        images = ("images/pxeboot/vmlinuz", "images/pxeboot/initrd.img", "images/install.img", "repodata/repomd.xml")
        return dict.fromkeys(images, b"x")

    def prepare(self) -> None:
        super().prepare()
        chroot(self.box, "mnt/sysimage")

    def install(self, booted: Booted) -> None:
        ks, tree = ("ks", "method") if self.old else ("inst.ks", "inst.stage2")
        assert self.old or "ks" not in {word.split("=")[0] for word in booted.arguments.split()}
        text = self.text(booted.word(ks))
        self.get(f"{booted.word(tree)}/images/install.img", tries=3)
        commands, sections = kickstart(text)
        switches, before = sections["%pre"]
        assert "--erroronfail" in switches
        self.run(before)
        # With the script's own file in place the kickstart is read for good.
        assert commands["%include"] == ["/tmp/pxed-disk.ks"]
        chosen, _ = kickstart((self.box.root / "tmp/pxed-disk.ks").read_text())
        assert switch(chosen["ignoredisk"], "--only-use") == "sda"
        assert "zerombr" in commands
        self.get(f"{switch(commands['url'], '--url')}/repodata/repomd.xml")
        self.work(600)
        switches, after = sections["%post"]
        assert "--nochroot" in switches
        self.run(after)
        (end,) = {"reboot", "poweroff", "halt"} & set(commands)
        self.power = end == "reboot"


class OldRedHat(RedHat):
    """EL6: an old loader, and SysV scripts."""

    old = True
    arch = 0
    _START = "etc/rc.d/rc3.d/S99pxed-firstboot"

    def first_boot_is_due(self) -> bool:
        return (self.root / self._START).is_symlink()

    def first_boot(self) -> None:
        self.run(f"set -- start\n{(self.root / self._START).resolve(strict=True).read_text()}", good=False, root=self.root)
