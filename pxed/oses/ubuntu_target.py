"""What every installed Ubuntu is given, whichever its installer: the names of templates/ubuntu/_target.sh.j2. Pure."""

from __future__ import annotations

import json
from typing import Any

from pxed.oses.netplan import netplan
from pxed.oses.network import resolved


def target(options: Any) -> dict[str, Any]:
    """The names of templates/ubuntu/_target.sh.j2: what Ubuntu's installed system is given beyond accounts and the first boot."""
    bonds = getattr(options, "bonds", [])
    written = netplan(options.networkDevices, bonds) if options.networkDevices or bonds else None
    named = [*(device.device for device in options.networkDevices), *(nic for bond in bonds for nic in bond.nics)]
    return {
        "netplan": f"# Written by pxed when this system was installed.\n{json.dumps(written, indent=2)}" if written else "",
        "named_macs": list(dict.fromkeys(name for name in named if ":" in name)),
        "resolved": resolved(options),
    }
