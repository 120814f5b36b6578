"""Every element that a profile of pxed may hold, with the type AutoYaST wants: a list of our own, since no package of PyPI or Debian
brings a schema (test_vendor_schemas.py runs those of somebody who has them).

Names and types were compared one by one with the RELAX NG schemas in the public repositories of YaST's modules: general, reporting,
partitioning, scripts, software (yast-autoinstallation), networking (yast-network), proxy, ntpclient, firewall, users, bootloader,
services-manager, add-on, and language, keyboard, timezone (yast-country). SLES 12 and 15 differ in ntp-client and firewall, and in how an
interface is named. Not in those schemas, as far as they were at hand, but in profiles that YaST's own tests and developers publish: the
`name` of a firewall zone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

TEXT, BOOL, INT, WORD = "text", "boolean", "integer", "symbol"

_REPORT = {"show": BOOL, "log": BOOL, "timeout": INT}
_SCRIPT = {"filename": TEXT, "interpreter": TEXT, "feedback": BOOL, "source": TEXT}
_PARTITION = {
    "create": BOOL, "format": BOOL, "partition_id": INT, "size": TEXT, "filesystem": WORD, "mount": TEXT, "mountby": WORD, "label": TEXT,
    "lv_name": TEXT, "lvm_group": TEXT,
}  # fmt: skip
_INTERFACE = {
    "startmode": TEXT, "bootproto": TEXT, "ipaddr": TEXT, "prefixlen": TEXT, "mtu": TEXT, "vlan_id": TEXT, "etherdevice": TEXT,
    "aliases": {"*": {"IPADDR": TEXT, "PREFIXLEN": TEXT, "LABEL": TEXT}},
}  # fmt: skip


def _profile(interface: Mapping[str, str], ntp: Mapping[str, Any], firewall: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "general": {
            "mode": {"confirm": BOOL, "second_stage": BOOL, "halt": BOOL, "final_reboot": BOOL},
            "signature-handling": {
                "accept_unsigned_file": BOOL,
                "accept_file_without_checksum": BOOL,
                "accept_unknown_gpg_key": BOOL,
                "import_gpg_key": BOOL,
                "accept_verification_failed": BOOL,
            },
        },
        "report": {"messages": _REPORT, "warnings": _REPORT, "errors": _REPORT, "yesno_messages": _REPORT},
        "language": {"language": TEXT},
        "keyboard": {"keymap": TEXT},
        "timezone": {"hwclock": TEXT, "timezone": TEXT},
        "ntp-client": ntp,
        "bootloader": {"global": {"append": TEXT}},
        "proxy": {"enabled": BOOL, "http_proxy": TEXT, "https_proxy": TEXT, "no_proxy": TEXT},
        "firewall": {"enable_firewall": BOOL, "start_firewall": BOOL, **firewall},
        "networking": {
            "dns": {"dhcp_hostname": BOOL, "hostname": TEXT, "domain": TEXT, "nameservers": [TEXT], "searchlist": [TEXT]},
            "keep_install_network": BOOL,
            "interfaces": [{**_INTERFACE, **interface}],
            "routing": {
                "ipv4_forward": BOOL,
                "ipv6_forward": BOOL,
                "routes": [{"destination": TEXT, "gateway": TEXT, "device": TEXT, "netmask": TEXT}],
            },
        },
        "partitioning": [
            {"device": TEXT, "type": WORD, "disklabel": TEXT, "initialize": BOOL, "use": TEXT, "partitions": [_PARTITION]},
        ],
        "software": {"products": [TEXT], "install_recommended": BOOL, "patterns": [TEXT], "packages": [TEXT]},
        "add-on": {"add_on_products": [{"media_url": TEXT, "product": TEXT, "product_dir": TEXT}]},
        "services-manager": {"default_target": TEXT, "services": {"enable": [TEXT], "disable": [TEXT]}},
        "users": [{"username": TEXT, "encrypted": BOOL, "user_password": TEXT}],
        "scripts": {"pre-scripts": [_SCRIPT], "chroot-scripts": [{**_SCRIPT, "chrooted": BOOL}]},
    }


_MODERN = _profile(
    {"name": TEXT},
    {"ntp_policy": TEXT, "ntp_sync": TEXT, "ntp_servers": [{"address": TEXT, "iburst": BOOL, "offline": BOOL}]},
    {"default_zone": TEXT, "zones": [{"name": TEXT, "services": [TEXT]}]},
)
ELEMENTS: Mapping[str, Mapping[str, Any]] = {
    "15": _MODERN,
    "12": _profile(
        {"device": TEXT},
        {
            "configure_dhcp": BOOL,
            "start_at_boot": BOOL,
            "start_in_chroot": BOOL,
            "ntp_policy": TEXT,
            "peers": [{"address": TEXT, "type": TEXT, "options": TEXT}],
        },
        {"FW_CONFIGURATIONS_EXT": TEXT},
    ),
}
"""Release > element > its type: a word, a list of one type, or a mapping of its own elements (``*``: of any name)."""


ENTRIES = {
    ("partitioning", "drive"), ("partitions", "partition"), ("users", "user"), ("pre-scripts", "script"), ("chroot-scripts", "script"),
    ("interfaces", "interface"), ("routes", "route"), ("nameservers", "nameserver"), ("searchlist", "search"), ("peers", "peer"),
    ("ntp_servers", "ntp_server"), ("zones", "zone"), ("services", "service"), ("enable", "service"), ("disable", "service"),
    ("patterns", "pattern"), ("packages", "package"), ("products", "product"), ("add_on_products", "listentry"),
}  # fmt: skip
"""(list, what the schemas call its entries). For some of them newer schemas take ``listentry``, too."""


def wrong(value: Any, expected: Any, path: str = "profile") -> list[str]:
    """What in `value` (as the test's reader has it; a symbol begins with a colon) is not `expected`, by path."""
    if isinstance(expected, Mapping):
        if not isinstance(value, Mapping):
            return [f"{path}: no map"]
        unknown = [f"{path}/{name}: no such element" for name in value if name not in expected and "*" not in expected]
        known = {name: expected.get(name, expected.get("*")) for name in value}
        return unknown + [said for name, each in known.items() if each is not None for said in wrong(value[name], each, f"{path}/{name}")]
    if isinstance(expected, list):
        if not isinstance(value, list):
            return [f"{path}: no list"]
        return [said for each in value for said in wrong(each, expected[0], f"{path}[]")]
    kind = {bool: BOOL, int: INT, str: TEXT}.get(type(value), "another")
    kind = WORD if kind == TEXT and value.startswith(":") and expected == WORD else kind
    return [] if kind == expected else [f"{path}: {kind} instead of {expected}"]
