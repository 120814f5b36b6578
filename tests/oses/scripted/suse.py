"""linuxrc and YaST: the profile read as YaST reads it, its scripts in their order; stage 2 behind the restart."""

from __future__ import annotations

from collections.abc import Mapping

from pxed.oses.disk import PLACEHOLDER
from tests.oses.scripted.ipxe import Booted
from tests.oses.scripted.node import Node, Stopped, chroot
from tests.oses.test_suse import yast


class Suse(Node):
    clients = ("curl",)

    @staticmethod
    def medium(family: str, release: str) -> Mapping[str, bytes]:
        loader = {f"boot/x86_64/{name}": b"x" for name in ("loader/linux", "loader/initrd", "root")}
        modules = [f"Module-{name}/repodata/repomd.xml" for name in ("Basesystem", "Server-Applications")] if family == "sles" else []
        return {**loader, "content": b"x", "media.1/products": f"/ x {release}.5-0\n".encode(), **dict.fromkeys(modules, b"<repomd/>")}

    def prepare(self) -> None:
        super().prepare()
        chroot(self.box, "mnt")

    def install(self, booted: Booted) -> None:
        tree = booted.word("install")
        text = self.text(booted.word("autoyast"))
        self.get(f"{tree}/boot/x86_64/root", tries=3)
        folder = self.box.root / "tmp/profile"
        folder.mkdir()
        (folder / "autoinst.xml").write_text(text)
        for script in yast(text)["scripts"]["pre-scripts"]:
            self.run(script["source"])
        # YaST goes on with what its scripts have made of the profile.
        changed = folder / "modified.xml"
        profile = yast(changed.read_text() if changed.exists() else text)
        if profile["partitioning"][0]["device"] == PLACEHOLDER:
            raise Stopped("YaST finds no such disk")
        assert profile["partitioning"][0]["device"] == "/dev/sda"
        for product in profile.get("add-on", {}).get("add_on_products", []):
            self.get(f"{product['media_url']}{product['product_dir']}/repodata/repomd.xml")
        self.work(600)
        for script in profile["scripts"]["chroot-scripts"]:
            assert script["chrooted"]
            self.run(script["source"], root=self.root)
        mode = profile["general"]["mode"]
        assert mode["second_stage"]
        assert not mode["final_reboot"]
        self.power = not mode["halt"]

    def first_boot(self) -> None:
        waits = self.root / "etc/systemd/system/pxed-firstboot.service.d/stage2.conf"
        assert "After=YaST2-Second-Stage.service" in waits.read_text()
        self.pxed.advance(120)  # stage 2
        super().first_boot()
