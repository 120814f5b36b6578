"""Whether this host can run the lab."""

from __future__ import annotations

import os
import shutil

TOOLS = {
    "ip": "iproute2",
    "setpriv": "util-linux",
    "dnsmasq": "dnsmasq-base",
    "qemu-system-x86_64": "qemu-system-x86",
    "dpkg-deb": "dpkg",
    "apt-get": "apt",
}
FILES = {
    "/usr/share/OVMF/OVMF_CODE_4M.fd": "ovmf",
    "/usr/share/seabios/bios-256k.bin": "seabios",
    "/usr/lib/ipxe/snponly.efi": "ipxe",
    "/usr/lib/ipxe/qemu": "ipxe-qemu",
}


def missing() -> str:
    """Why this host can't run the lab, in one sentence; "" when it can."""
    if os.geteuid() != 0:
        return "the lab needs root: network namespaces and port 67"
    absent = {package for tool, package in TOOLS.items() if shutil.which(tool) is None}
    absent |= {package for file, package in FILES.items() if not os.path.exists(file)}
    return f"the lab needs these packages: {' '.join(sorted(absent))}" if absent else ""
