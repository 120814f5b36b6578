"""All of pxed as a process in a namespace, with machines that are to be installed, for tests in packets."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from tests.lab.appliance import Appliance
from tests.lab.network import Network

KERNEL = "dists/bookworm/main/installer-amd64/current/images/netboot/debian-installer/amd64"
INITRD = 300_000
"""Bytes."""


def started(namespace: str, folder: Path, nodes: Mapping[str, Mapping[str, Any]], *, config: str = "") -> Appliance:
    """It serves eth0 of `namespace`; Debian's kernel and initial RAM disk are made of nothing. `nodes`: MAC address > options of its
    install, other than the host's name."""
    mirror = folder / "mirror" / KERNEL
    mirror.mkdir(parents=True)
    (mirror / "linux").write_bytes(os.urandom(100_000))
    (mirror / "initrd.gz").write_bytes(os.urandom(INITRD))
    network = cast(Network, SimpleNamespace(appliance=namespace))
    pxed = Appliance(network, folder, layers=[str(folder / "mirror")], config=config)
    pxed.start()
    for number, (mac, options) in enumerate(nodes.items()):
        asked = {"node": mac, "os": "debian", "release": "12", "options": {"hostname": f"node{number}", **options}}
        pxed.api("POST", "installs", asked)
    return pxed
