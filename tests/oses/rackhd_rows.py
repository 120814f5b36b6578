"""What RackHD's options are here: a row per system and option, with a value as RackHD's own examples have it.

A row says which text appears in which of the install's files because of the option, or in which words it is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.oses.samples import KEY

HASH = "$6$rounds="


@dataclass(frozen=True)
class Row:
    """`option` with `value` (and what stands `beside` it) puts `text` into `file`; without a file `text` is why it is refused."""

    option: str
    value: Any
    file: str
    text: str
    beside: Mapping[str, Any] = field(default_factory=dict)
    usual: bool = False
    """It is what pxed does without the option, too."""


@dataclass(frozen=True)
class System:
    """One of RackHD's graphs; `least` is what pxed wants besides any option."""

    graph: str
    rows: tuple[Row, ...]
    least: Mapping[str, Any] = field(default_factory=dict)


def refused(option: str, value: Any, why: str, **beside: Any) -> Row:
    return Row(option, value, "", why, beside)


def device(name: str, ipv4: Mapping[str, Any] | None = None, ipv6: Mapping[str, Any] | None = None, **more: Any) -> list[dict[str, Any]]:
    return [{"device": name, **({"ipv4": ipv4} if ipv4 else {}), **({"ipv6": ipv6} if ipv6 else {}), **more}]


FOUR = {"ipAddr": "192.168.1.29", "gateway": "192.168.1.1", "netmask": "255.255.255.0"}
FOUR_LENGTH = {"ipAddr": "192.168.1.29", "gateway": "192.168.1.1", "prefixlen": 24}
SIX = {"ipAddr": "fec0::6ab4:0:5efe:157.60.14.21", "gateway": "fe80::5efe:131.107.25.1", "netmask": "ffff.ffff.ffff.ffff.0.0.0.0"}
SIX_LENGTH = {"ipAddr": "fec0::6ab4:0:5efe:157.60.14.21", "gateway": "fe80::5efe:131.107.25.1", "prefixlen": 64}
DNS = ["172.12.88.91", "192.168.20.77"]
USER = {"name": "rackhd1", "password": "123456", "uid": 1010, "sshKey": KEY}
PARTITIONS = [
    {"mountPoint": "/boot", "size": "500", "fsType": "ext3"},
    {"mountPoint": "swap", "size": "500", "fsType": "swap"},
    {"mountPoint": "/", "size": "auto", "fsType": "ext3"},
]
BONDS = [
    {
        "name": "bond0",
        "nics": ["ens802f0", "ens802f1"],
        "bondvlaninterfaces": [{"vlanid": 3, "ipv4": {"ipAddr": "192.168.3.29", "netmask": "255.255.255.0"}}],
    }
]


def of_linux(hook: str, disk: str) -> tuple[Row, ...]:
    """The rows that every Linux shares whose accounts and commands are scripts of pxed's. `hook`: the script inside the new system;
    `disk`: the one that chooses the disk."""
    return (
        Row("users", [USER], hook, "inside useradd -m -U -d '/home/rackhd1' -s '/bin/bash' -c '' -u '1010' 'rackhd1'"),
        Row("users", [{"name": "rackhd1", "password": "123456"}], hook, f"inside usermod -p '{HASH}"),
        Row("users", [{"name": "rackhd1", "password": "123456", "sshKey": KEY}], hook, f"keys '/home/rackhd1' '{KEY}'"),
        Row("rootSshKey", KEY, hook, f"keys /root '{KEY}'"),
        Row("installDisk", "/dev/sdb", disk, "want_path='/dev/sdb'"),
        Row("installDisk", "sdb", disk, "want_path='/dev/sdb'"),
        Row("installDisk", 0, disk, "want_index='0'"),
        Row("installDisk", "0x5000c5008e0b7f5d", disk, "want_wwn='0x5000c5008e0b7f5d'"),
        Row("postInstallCommands", ["echo This command will run at the end"], hook, "'echo This command will run at the end'"),
    )


def of_kernel(*, kept: str = "") -> tuple[Row, ...]:
    """Rows about the command line. `kept`: the file that hands the console on to the installed system."""
    return (
        Row("kargs", {"debug": "1", "quiet": None}, "boot.ipxe", " debug=1 quiet"),
        Row("comport", "ttyS1", "boot.ipxe", " console=tty0 console=ttyS1,115200n8"),
        Row("comport", "com1", "boot.ipxe", "console=ttyS0,115200n8"),
        *([Row("comport", "ttyS0", kept, "console=ttyS0,115200n8")] if kept else []),
    )


RED_HAT = (
    Row("version", "7", "ks.cfg", " 7: kickstart, written by pxed"),
    Row("version", 7, "ks.cfg", " 7: kickstart, written by pxed"),
    Row("repo", "http://172.31.128.1:9080/centos/7/os/x86_64", "ks.cfg", "url --url=http://172.31.128.1:9080/centos/7/os/x86_64\n"),
    Row("rootPassword", "RackHDRocks!", "ks.cfg", f"rootpw --iscrypted --allow-ssh '{HASH}"),
    Row("hostname", "rackhd-node", "ks.cfg", "network --hostname=rackhd-node "),
    Row("domain", "example.com", "ks.cfg", "--hostname=rackhd-node.example.com ", {"hostname": "rackhd-node"}),
    *of_linux("post.sh", "pre.sh"),
    Row("dnsServers", DNS, "ks.cfg", "--nameserver=172.12.88.91,192.168.20.77"),
    Row("ntpServers", ["192.168.1.21"], "ks.cfg", "timesource --ntp-server=192.168.1.21"),
    Row("networkDevices", device("ens2f0", FOUR), "ks.cfg", "--ip=192.168.1.29 --netmask=255.255.255.0 --gateway=192.168.1.1"),
    Row("networkDevices", device("ens2f0", FOUR_LENGTH), "ks.cfg", "--ip=192.168.1.29 --netmask=255.255.255.0 --gateway=192.168.1.1"),
    Row("networkDevices", device("ens2f0", None, SIX), "ks.cfg", "--ipv6=fec0::6ab4:0:5efe:9d3c:e15/64"),
    Row("networkDevices", device("ens2f0", None, SIX_LENGTH), "ks.cfg", "--ipv6=fec0::6ab4:0:5efe:9d3c:e15/64"),
    Row("networkDevices", device("00:50:56:AA:7A:85", FOUR), "ks.cfg", "--device=00:50:56:aa:7a:85"),
    Row("networkDevices", device("ens2f0", {**FOUR, "vlanIds": [101, 106]}), "ks.cfg", "--vlanid=106 --ip=192.168.1.29"),
    Row("networkDevices", device("ens2f0", {**FOUR, "mtu": 9026}), "ks.cfg", "--mtu=9026"),
    Row("bonds", BONDS, "ks.cfg", "--device=bond0 --vlanid=3 --ip=192.168.3.29"),
    Row("kvm", True, "ks.cfg", "\nqemu-kvm\nlibvirt\nvirt-install\n"),
    Row("installPartitions", PARTITIONS, "pre.sh", "part /boot --fstype=ext3 --size=477"),
    Row("packages", ["vim"], "ks.cfg", "\nvim\n"),
    Row("enableServices", ["ntpd"], "ks.cfg", "services --enabled=ntpd"),
    Row("disableServices", ["cups"], "ks.cfg", "services --disabled=cups"),
    Row("remoteLogging", True, "boot.ipxe", " inst.syslog=10.0.2.2:514", usual=True),
    *of_kernel(kept="pre.sh"),
)

ESXI = (
    Row("version", "6.5", "boot.ipxe", "/repo/esxi-6/"),
    Row("version", "6.0", "ks.cfg", "VMware ESXi 6.0 on "),
    refused("repo", "http://172.31.128.1:9080/esxi/6.0", "pxed does not know the medium that a URL leads to"),
    Row("rootPassword", "RackHDRocks!", "ks.cfg", f"rootpw --iscrypted {HASH}"),
    Row("rootSshKey", KEY, "firstboot.sh", f"keys root '{KEY}'"),
    Row("hostname", "rackhd-node", "ks.cfg", " --hostname=rackhd-node"),
    Row("domain", "abc.com", "ks.cfg", " --hostname=rackhd-node.abc.com", {"hostname": "rackhd-node"}),
    Row("users", [{"name": "rackhd1", "password": "123456"}], "firstboot.sh", "rackhd1"),
    Row("users", [{"name": "rackhd1", "password": "123456", "sshKey": KEY}], "firstboot.sh", f"'{KEY}'"),
    refused("users", [USER], "expected the user rackhd1 without uid, groups and shell: ESXi numbers its accounts itself"),
    Row("dnsServers", DNS, "firstboot.sh", "run esxcli network ip dns server add '--server=192.168.20.77'"),
    Row("ntpServers", ["192.168.1.21"], "firstboot.sh", "run esxcli system ntp set -s '192.168.1.21' -e true"),
    Row("networkDevices", device("vmnic1", FOUR), "ks.cfg", "--device=vmnic1 --ip=192.168.1.29 --netmask=255.255.255.0"),
    Row("networkDevices", device("vmnic1", FOUR_LENGTH), "ks.cfg", "--device=vmnic1 --ip=192.168.1.29 --netmask=255.255.255.0"),
    Row("networkDevices", device("vmnic1", None, SIX), "firstboot.sh", "'-i' 'vmk0' '-I' 'fec0::6ab4:0:5efe:9d3c:e15/64'"),
    Row("networkDevices", device("vmnic1", None, SIX_LENGTH), "firstboot.sh", "'-i' 'vmk0' '-I' 'fec0::6ab4:0:5efe:9d3c:e15/64'"),
    Row("networkDevices", device("00:50:56:AA:7A:85", FOUR), "ks.cfg", "--device=00:50:56:aa:7a:85"),
    Row(
        "networkDevices", device("vmnic1", {**FOUR, "vlanIds": [104, 105]}), "firstboot.sh", "'portgroup' 'set' '-p' 'pxed-vmk1' '-v' '105'"
    ),
    Row(
        "networkDevices",
        device("vmnic1", {**FOUR, "vlanIds": [104, 105]}),
        "firstboot.sh",
        "'-i' 'vmk1' '-t' 'static' '-I' '192.168.1.29' '-N' '255.255.255.0'\n",
        {"version": "6.0"},
    ),
    Row("networkDevices", device("vmnic1", FOUR, esxSwitchName="vSwitch7"), "firstboot.sh", "'vswitch' 'standard' 'add' '-v' 'vSwitch7'"),
    Row("switchDevices", [{"switchName": "vSwitch1", "uplinks": ["vmnic2", "vmnic3"]}], "firstboot.sh", "run 'uplink' 'vSwitch1' 'vmnic3'"),
    Row("switchDevices", [{"switchName": "vSwitch1", "failoverPolicy": "iphash"}], "firstboot.sh", "'-v' 'vSwitch1' '-l' 'iphash'"),
    Row("postInstallCommands", ["echo This command will run at the end"], "firstboot.sh", "'echo This command will run at the end'"),
    Row("clearDisk", "alldrives", "ks.cfg", "clearpart --alldrives --overwritevmfs"),
    Row("installDisk", "t10.ATA_____32GB_SATA_Flash_Drive", "ks.cfg", "install --disk=t10.ATA_____32GB_SATA_Flash_Drive "),
    Row("installDisk", "naa.600508b1001c1b4d", "ks.cfg", "clearpart --drives=naa.600508b1001c1b4d "),
    Row("installDisk", 0, "pre.sh", "want_index='0'"),
    refused("installDisk", "/dev/sda", "expected a disk as ESXi names it (firstdisk, naa..., t10..., mpx...)"),
    Row("kargs", {"debug": "1"}, "boot.cfg", " debug=1\n"),
    Row("comport", "com1", "boot.cfg", " com1_baud=115200 com1_Port=0x3f8 tty2Port=com1 gdbPort=default logPort=com1 debugLogToSerial=1"),
    Row("comportaddress", "0x2f8", "boot.cfg", " com1_Port=0x2f8 tty2Port=com1 "),
    Row("gdbPort", "com2", "boot.cfg", " gdbPort=com2"),
    Row("logPort", "com2", "boot.cfg", " logPort=com2"),
    Row("debugLogToSerial", "0", "boot.cfg", " debugLogToSerial=0"),
)

SUSE = (
    Row("version", "15", "boot.ipxe", "pxed: openSUSE Leap 15 on ", usual=True),
    Row("version", "12.3", "boot.ipxe", "pxed: SUSE Linux Enterprise Server 12 on "),
    Row(
        "repo",
        "http://172.31.128.1:9080/distribution/leap/42.1/repo/oss/",
        "boot.ipxe",
        " install=http://172.31.128.1:9080/distribution/leap/42.1/repo/oss ",
    ),
    Row("rootPassword", "RackHDRocks!", "autoinst.xml", f"<user_password>{HASH}"),
    Row("hostname", "rackhd-node", "autoinst.xml", "<hostname>rackhd-node</hostname>"),
    Row("domain", "example.com", "autoinst.xml", "<domain>example.com</domain>"),
    *of_linux("post.sh", "pre.sh"),
    Row("dnsServers", DNS, "autoinst.xml", "<nameserver>192.168.20.77</nameserver>"),
    Row("ntpServers", ["192.168.1.21"], "autoinst.xml", "<address>192.168.1.21</address>"),
    Row("networkDevices", device("eth1", FOUR), "autoinst.xml", "<ipaddr>192.168.1.29</ipaddr>"),
    Row("networkDevices", device("eth1", FOUR_LENGTH), "autoinst.xml", "<prefixlen>24</prefixlen>"),
    Row("networkDevices", device("eth1", None, SIX), "autoinst.xml", "fec0::6ab4:0:5efe:9d3c:e15"),
    Row("networkDevices", device("eth1", None, SIX_LENGTH), "autoinst.xml", "fec0::6ab4:0:5efe:9d3c:e15"),
    Row("networkDevices", device("eth1", {**FOUR, "vlanIds": [104, 105]}), "autoinst.xml", "<name>eth1.105</name>"),
    Row("kvm", True, "autoinst.xml", "<pattern>kvm_server</pattern>"),
    Row("installPartitions", PARTITIONS, "autoinst.xml", "<mount>/boot</mount>"),
    *of_kernel(kept="autoinst.xml"),
)

DEBIAN = (
    Row("osName", "debian", "boot.ipxe", "pxed: Debian 12 (bookworm) on ", {"version": "bookworm"}),
    Row("osName", "ubuntu", "boot.ipxe", "pxed: Ubuntu 22.04 (jammy) on ", {"version": "jammy"}),
    Row("version", "bookworm", "preseed.cfg", "mirror/suite string bookworm\n"),
    Row("repo", "http://172.31.128.1:8080/debian", "preseed.cfg", "d-i mirror/http/hostname string 172.31.128.1:8080\n"),
    Row("rootPassword", "RackHDRocks!", "preseed.cfg", f"d-i passwd/root-password-crypted password {HASH}"),
    Row("hostname", "rackhd", "preseed.cfg", "d-i netcfg/get_hostname string rackhd\n"),
    Row("domain", "example.com", "preseed.cfg", "d-i netcfg/get_domain string example.com\n"),
    *of_linux("late.sh", "disk.sh"),
    Row("dnsServers", ["8.8.8.8", "4.2.2.4"], "late.sh", "write 644 /etc/resolv.conf 'nameserver 8.8.8.8\nnameserver 4.2.2.4'"),
    Row("ntp", "192.168.1.21", "preseed.cfg", "d-i clock-setup/ntp-server string 192.168.1.21\n"),
    Row("ntpServers", ["192.168.1.21"], "preseed.cfg", "d-i clock-setup/ntp-server string 192.168.1.21\n"),
    Row("timezone", "Europe/Berlin", "preseed.cfg", "d-i time/zone string Europe/Berlin\n"),
    Row("networkDevices", device("p50p1", FOUR), "late.sh", "address 192.168.1.29/24"),
    Row("networkDevices", device("p50p1", FOUR_LENGTH), "late.sh", "address 192.168.1.29/24"),
    Row("networkDevices", device("p50p1", None, SIX), "late.sh", "address fec0::6ab4:0:5efe:9d3c:e15/64"),
    Row("networkDevices", device("p50p1", None, SIX_LENGTH), "late.sh", "address fec0::6ab4:0:5efe:9d3c:e15/64"),
    Row("networkDevices", device("p50p1", {**FOUR, "vlanIds": [104, 105]}), "late.sh", "printf 'iface %s.105 inet static"),
    Row("interface", "eth1", "boot.ipxe", " interface=eth1 "),
    Row("interface", "auto", "boot.ipxe", " interface=auto ", usual=True),
    Row("kvm", True, "preseed.cfg", "d-i pkgsel/include string qemu-system-x86 libvirt-daemon-system\n"),
    Row("installPartitions", PARTITIONS, "disk.sh", "mountpoint{ /boot }"),
    *of_kernel(),
)

UBUNTU = (
    Row("version", "jammy", "boot.ipxe", "pxed: Ubuntu 22.04 (jammy) on "),
    Row(
        "repo",
        "http://172.31.128.1:9080/ubuntu",
        "boot.ipxe",
        "http://172.31.128.1:9080/ubuntu/casper/vmlinuz ",
        {"isoUrl": "http://172.31.128.1:9080/u.iso"},
    ),
    Row("repo", "http://172.31.128.1:9080/ubuntu", "preseed.cfg", "mirror/http/hostname string 172.31.128.1:9080\n", {"version": "bionic"}),
    refused("repo", "http://172.31.128.1:9080/ubuntu", "expected the URL of the whole .iso, since repo is a URL"),
    Row("rootPassword", "RackHDRocks!", "late.sh", f"inside usermod -p '{HASH}"),
    Row("hostname", "rackhd-node", "late.sh", "write 644 /etc/hostname 'rackhd-node'"),
    Row("domain", "example.com", "late.sh", "127.0.1.1 rackhd-node.example.com rackhd-node", {"hostname": "rackhd-node"}),
    *of_linux("late.sh", "disk.sh"),
    Row("dnsServers", DNS, "late.sh", "DNS=172.12.88.91 192.168.20.77"),
    Row("ntp", "192.168.1.21", "late.sh", "NTP=192.168.1.21"),
    Row("ntpServers", ["192.168.1.21"], "late.sh", "NTP=192.168.1.21"),
    Row("timezone", "Europe/Berlin", "late.sh", "Europe/Berlin"),
    Row("networkDevices", device("p50p1", FOUR), "late.sh", '"192.168.1.29/24"'),
    Row("networkDevices", device("p50p1", FOUR_LENGTH), "late.sh", '"192.168.1.29/24"'),
    Row("networkDevices", device("p50p1", None, SIX), "late.sh", '"fec0::6ab4:0:5efe:9d3c:e15/64"'),
    Row("networkDevices", device("p50p1", None, SIX_LENGTH), "late.sh", '"fec0::6ab4:0:5efe:9d3c:e15/64"'),
    Row("networkDevices", device("p50p1", {**FOUR, "vlanIds": [104, 105]}), "late.sh", '"id": 105'),
    Row("interface", "eth1", "boot.ipxe", " ip=:::::eth1:dhcp "),
    Row("interface", "auto", "boot.ipxe", " ip=dhcp ", usual=True),
    Row("kvm", True, "user-data", '"qemu-system-x86", "libvirt-daemon-system"'),
    Row("installPartitions", PARTITIONS, "disk.sh", '"path": "/boot"'),
    *of_kernel(),
)

PHOTON = (
    Row("version", "4.0", "boot.ipxe", "pxed: Photon OS 4 on ", {"installDisk": "/dev/sda"}),
    Row("repo", "http://172.31.128.1:9080/photon/1.0", "boot.ipxe", " repo=http://172.31.128.1:9080/photon/1.0/RPMS "),
    Row("rootPassword", "RackHDRocks!", "post.sh", f"inside usermod -p '{HASH}"),
    Row("hostname", "rackhd-node", "ks.json", '"hostname": "rackhd-node"'),
    Row("domain", "example.com", "ks.json", '"hostname": "rackhd-node.example.com"', {"hostname": "rackhd-node"}),
    *of_linux("post.sh", "pre.sh"),
    Row("dnsServers", DNS, "post.sh", "DNS=172.12.88.91 192.168.20.77"),
    Row("ntpServers", ["192.168.1.21"], "post.sh", "NTP=192.168.1.21"),
    Row("networkDevices", device("eth7", FOUR), "post.sh", "Address=192.168.1.29/24"),
    Row("networkDevices", device("eth7", FOUR_LENGTH), "post.sh", "Address=192.168.1.29/24"),
    Row("networkDevices", device("eth7", None, SIX), "post.sh", "Address=fec0::6ab4:0:5efe:9d3c:e15/64"),
    Row("networkDevices", device("eth7", None, SIX_LENGTH), "post.sh", "Address=fec0::6ab4:0:5efe:9d3c:e15/64"),
    Row("networkDevices", device("eth7", {**FOUR, "vlanIds": [104, 105]}), "post.sh", "Name=eth7.105"),
    Row("installType", "full", "ks.json", "packages_developer.json"),
    Row(
        "installPartitions",
        [{"mountPoint": "/", "size": "0", "fsType": "ext3"}],
        "ks.json",
        '"mountpoint": "/", "size": 0, "filesystem": "ext3"',
    ),
    refused("kvm", True, "name the packages in packages"),
    Row("comport", "ttyS0", "boot.ipxe", " console=ttyS0,115200n8"),
)

COREOS = (
    Row("version", "current", "boot.ipxe", "pxed: Flatcar stable on ", usual=True),
    Row("repo", "http://172.31.128.1:9080/coreos/amd64-usr", "install.sh", "-b 'http://172.31.128.1:9080/coreos' -V 'amd64-usr'"),
    Row("rootPassword", "NotUsed", "target.ign", f'"name": "root", "passwordHash": "{HASH}'),
    Row("rootSshKey", KEY, "target.ign", '"name": "root", "sshAuthorizedKeys": ["ssh-ed25519 '),
    Row("hostname", "Coreos-node", "target.ign", "coreos-node\n"),
    Row("domain", "example.com", "target.ign", "coreos-node.example.com\n", {"hostname": "Coreos-node"}),
    Row("coreSshKeys", [KEY], "target.ign", '"name": "core", "sshAuthorizedKeys": ["ssh-ed25519 '),
    Row("users", [{"name": "rackhd1", "password": "rackhd1", "groups": ["sudo", "docker"]}], "target.ign", '"groups": ["sudo", "docker"]'),
    Row("users", [USER], "target.ign", f'"name": "rackhd1", "passwordHash": "{HASH}'),
    Row("dnsServers", ["172.12.88.91"], "target.ign", "DNS=172.12.88.91"),
    Row("ntpServers", ["192.168.1.21"], "target.ign", "NTP=192.168.1.21"),
    Row("networkDevices", device("ens3", FOUR), "target.ign", "Address=192.168.1.29/24"),
    Row("networkDevices", device("ens3", FOUR_LENGTH), "target.ign", "Address=192.168.1.29/24"),
    Row("networkDevices", device("ens3", None, SIX), "target.ign", "Address=fec0::6ab4:0:5efe:9d3c:e15/64"),
    Row("networkDevices", device("ens3", None, SIX_LENGTH), "target.ign", "Address=fec0::6ab4:0:5efe:9d3c:e15/64"),
    Row("installDisk", "/dev/sdb", "install.sh", "want_path='/dev/sdb'"),
    Row("installDisk", 0, "install.sh", "want_index='0'"),
    Row("comport", "ttys0", "boot.ipxe", " console=tty0 console=ttyS0,115200n8"),
    Row(
        "ignitionScriptUri", "http://172.31.128.1/ignition.json", "target.ign", '"merge": [{"source": "http://172.31.128.1/ignition.json"}]'
    ),
    Row("grubLinuxAppend", "rootflags=rw", "target.ign", '"shouldExist": ["rootflags=rw"]'),
    refused("postInstallCommands", ["true"], "nothing runs in it before it boots; use scripts.firstboot"),
    refused("kvm", True, "there are no packages to choose"),
    refused("installPartitions", PARTITIONS, "the system is an image that is written as a whole, with its partitions"),
)

SHARE = {"smbUser": "onrack", "smbPassword": "onrack", "smbRepo": "\\\\172.31.128.1\\windowsServer2012"}
WINDOWS = (
    Row("version", "2012", "boot.ipxe", "pxed: Windows Server 2012 R2 on "),
    Row("repo", "http://172.31.128.1:8080/winpe", "boot.ipxe", " http://172.31.128.1:8080/winpe/sources/boot.wim boot.wim "),
    Row("hostname", "localhost", "unattend.xml", "<ComputerName>localhost</ComputerName>"),
    Row("domain", "rackhd", "unattend.xml", "<DNSDomain>rackhd</DNSDomain>"),
    Row("username", "onrack", "unattend.xml", "<Name>onrack</Name>"),
    Row("password", "RackHDRocks!", "unattend.xml", "<AdministratorPassword>", usual=True),
    Row("firewallDisable", True, "unattend.xml", "<PublicProfile_EnableFirewall>false</PublicProfile_EnableFirewall>"),
    Row("productkey", "abcde-12345-abcde-12345-abcde", "unattend.xml", "********"),
    refused("productkey", "XXXXX-XXXXX-XXXXX-XXXXX-XXXXX", "expected a product key, which rows of X stand for"),
    refused("productkey", "XXXX-XXXX-XXXX-XXXX-XXXX", "expected a product key of five groups of five letters and digits"),
    Row("smbRepo", SHARE["smbRepo"], "share.cmd", 'net use Y: "\\\\172.31.128.1\\windowsServer2012" ', SHARE),
    Row("smbUser", "onrack", "share.cmd", '"/user:onrack"', SHARE),
    Row("smbPassword", "onrack", "share.cmd", '"********"', SHARE),
    refused("smbRepo", SHARE["smbRepo"], "expected smbRepo, smbUser and smbPassword together"),
    Row("networkDevices", device("Ethernet 4", FOUR), "unattend.xml", "<Identifier>Ethernet 4</Identifier>"),
    Row("networkDevices", device("00:50:56:AA:7A:85", FOUR), "unattend.xml", "<Identifier>00-50-56-AA-7A-85</Identifier>"),
    Row("networkDevices", device("Ethernet 4", FOUR_LENGTH), "unattend.xml", "192.168.1.29/24"),
    Row("networkDevices", device("Ethernet 4", None, SIX), "unattend.xml", "fec0::6ab4:0:5efe:9d3c:e15/64"),
    Row("networkDevices", device("Ethernet 4", None, SIX_LENGTH), "unattend.xml", "fec0::6ab4:0:5efe:9d3c:e15/64"),
    refused("networkDevices", device("Ethernet 4", {**FOUR, "vlanIds": [104]}), "the network device Ethernet 4 without vlanIds and mtu"),
    Row("dnsServers", DNS, "unattend.xml", ">192.168.20.77</IpAddress>"),
    Row("installDisk", 1, "pxed.cmd", "if %pxed_fixed% equ 1 set pxed_disk=%1"),
    refused("rootSshKey", KEY, "Windows has no SSH server by itself"),
    refused("users", [USER], "expected a user without sshKeys, uid and shell"),
)

SYSTEMS = (
    System("Graph.InstallCentOS", RED_HAT),
    System("Graph.InstallRHEL", RED_HAT),
    System("Graph.InstallESXi", ESXI, {"rootPasswordHash": "$6$abcdefgh$" + "x" * 80}),
    System("Graph.InstallSUSE", SUSE),
    System("Graph.InstallDebian", DEBIAN),
    System("Graph.InstallUbuntu", UBUNTU),
    System("Graph.InstallPhotonOS", PHOTON),
    System("Graph.InstallCoreOS", COREOS),
    System("Graph.InstallWindowsServer", WINDOWS, {"username": "ann", "password": "S3cret!x"}),
)

EVERY_OPTION = (
    "version", "repo", "osName", "baseUrl", "rootPassword", "rootSshKey", "hostname", "domain", "users", "coreSshKeys", "dnsServers",
    "ntpServers", "ntp", "timezone", "networkDevices", "switchDevices", "postInstallCommands", "clearDisk", "installDisk",
    "installPartitions", "kvm", "packages", "enableServices", "disableServices", "bonds", "remoteLogging", "kargs", "comport",
    "installType", "installScriptUri", "ignitionScriptUri", "vaultToken", "grubLinuxAppend", "productkey", "smbUser", "smbPassword",
    "smbRepo", "username", "password", "firewallDisable", "comportaddress", "gdbPort", "logPort", "debugLogToSerial", "osType",
    "profile", "installScript", "rackhdCallbackScript", "esxBootConfigTemplate", "esxBootConfigTemplateUri", "progressMilestones",
    "interface", "obmServiceName", "schedulerOverrides", "_taskTimeout",
)  # fmt: skip
"""Every option of RackHD's install tasks."""
