"""boot.cfg of each ESXi generation, rewritten for the network."""

from __future__ import annotations

import pytest

from pxed.oses.bootcfg import network_boot

PREFIX = "http://192.0.2.1/repo/esxi-8"
KS = "ks=http://192.0.2.1/i/T/ks.cfg"

SIX = """\
bootstate=0
title=Loading ESXi installer
timeout=5
kernel=/tboot.b00
kernelopt=runweasel
modules=/b.b00 --- /jumpstrt.gz --- /useropts.gz --- /k.b00 --- /chardevs.b00 --- /imgpayld.tgz
build=
updated=0
"""
SIX_NETWORK = f"""\
bootstate=0
title=Loading ESXi installer
timeout=5
prefix={PREFIX}
kernel=tboot.b00
kernelopt=runweasel {KS}
modules=b.b00 --- jumpstrt.gz --- useropts.gz --- k.b00 --- chardevs.b00 --- imgpayld.tgz
build=
updated=0
errtimeout=30
"""
SIX_SEVEN = """\
bootstate=0\r
title=Loading ESXi installer\r
timeout=5\r
prefix=\r
kernel=/b.b00\r
kernelopt=cdromBoot runweasel\r
modules=/jumpstrt.gz --- /useropts.gz --- /features.gz --- /k.b00\r
build=6.7.0-3.73.14320388\r
updated=0\r
"""
SIX_SEVEN_NETWORK = f"""\
bootstate=0
title=Loading ESXi installer
timeout=5
prefix={PREFIX}
kernel=b.b00
kernelopt=runweasel {KS}
modules=jumpstrt.gz --- useropts.gz --- features.gz --- k.b00
build=6.7.0-3.73.14320388
updated=0
errtimeout=30
"""
SEVEN = """\
bootstate=0
title=Loading ESXi installer
timeout=5
prefix=
kernel=/b.b00
kernelopt=runweasel cdromBoot
modules=/jumpstrt.gz --- /useropts.gz --- /features.gz --- /k.b00 --- /uc_intel.b00 --- /VMX.V00
build=7.0.3-0.65.20842708
updated=0
"""
SEVEN_NETWORK = f"""\
bootstate=0
title=Loading ESXi installer
timeout=5
prefix={PREFIX}
kernel=b.b00
kernelopt=runweasel {KS} netdevice=52:54:00:12:34:56 bootproto=dhcp
modules=jumpstrt.gz --- useropts.gz --- features.gz --- k.b00 --- uc_intel.b00 --- vmx.v00
build=7.0.3-0.65.20842708
updated=0
errtimeout=30
"""
EIGHT = """\
bootstate=0
title=Loading ESXi installer
timeout=5
prefix=
kernel=/b.b00
kernelopt=runweasel cdromBoot allowLegacyCPU=false
modules=/jumpstrt.gz --- /useropts.gz --- /features.gz --- /k.b00 Mode=Quiet --- /procfs.b00
build=8.0.2-0.0.22380479
updated=0
"""
EIGHT_NETWORK = f"""\
bootstate=0
title=Loading ESXi installer
timeout=5
prefix={PREFIX}
kernel=b.b00
kernelopt=runweasel {KS} allowLegacyCPU=true
modules=jumpstrt.gz --- useropts.gz --- features.gz --- k.b00 Mode=Quiet --- procfs.b00
build=8.0.2-0.0.22380479
updated=0
errtimeout=30
"""


@pytest.mark.parametrize(
    ("medium", "options", "network"),
    [
        (SIX, [KS], SIX_NETWORK),
        (SIX_SEVEN, [KS], SIX_SEVEN_NETWORK),
        (SEVEN, [KS, "netdevice=52:54:00:12:34:56", "bootproto=dhcp"], SEVEN_NETWORK),
        (EIGHT, [KS, "allowLegacyCPU=true"], EIGHT_NETWORK),
    ],
    ids=["6.0", "6.7", "7", "8"],
)
def test_each_generation(medium: str, options: list[str], network: str) -> None:
    assert network_boot(medium, prefix=PREFIX, options=options) == network
    assert network_boot(network, prefix=PREFIX, options=options) == network


def test_a_medium_without_kernel_options_still_starts_the_installer() -> None:
    assert "kernelopt=runweasel ks=x\n" in network_boot("KERNEL=/B.B00\nMODULES=/K.B00\n# c=d\n", prefix=PREFIX, options=["ks=x"])


def test_what_the_medium_says_of_errors_stays() -> None:
    assert "errtimeout=5\n" in network_boot(EIGHT + "errtimeout=5\n", prefix=PREFIX, options=[])


def test_a_path_that_is_a_url_stays() -> None:
    out = network_boot("kernel=b.b00\nmodules=http://192.0.2.9/Own/X.v00 --- /K.b00\n", prefix=PREFIX, options=[])
    assert "modules=http://192.0.2.9/Own/X.v00 --- k.b00\n" in out


@pytest.mark.parametrize("option", ["a b", "a\nkernel=evil", "", "a\0", "a\u2028b"])
def test_an_option_cannot_bring_a_line_or_another_option(option: str) -> None:
    with pytest.raises(ValueError, match="without blanks"):
        network_boot(SEVEN, prefix=PREFIX, options=[option])


@pytest.mark.parametrize(("text", "key"), [("", "kernel"), ("kernel=b.b00\nmodules=\n", "modules")])
def test_what_is_no_boot_cfg_says_what_it_lacks(text: str, key: str) -> None:
    with pytest.raises(ValueError, match=f"no {key}="):
        network_boot(text, prefix=PREFIX, options=[])
