"""Ubuntu 18.04: debian-installer from netboot images, driven by Debian's preseed file and hooks; the end of it is Ubuntu's own.

It is the second installer of the family `ubuntu` (`Family.others`). Kernel, initrd and packages come from one tree: either the alternate
server's medium (``ubuntu-18.04.*-server-amd64.iso``, whose base system is one image, install/filesystem.squashfs), or a mirror
(``http://MIRROR/ubuntu``; what is not recognised as that medium is taken for one).

Sources: Ubuntu's installation guide for 18.04, appendix B; RackHD's ubuntu-preseed and its payload for an .iso.
Traps: an installer of the medium that is not told of its base system stops with "could not find any live images"; the live server's medium
(``live-server``) has another installer, which takes no answers in this release; names of tasks are Ubuntu's own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

from pydantic import AfterValidator, BeforeValidator, Field

from pxed.oses.debian import FILES, MILESTONES, DebianOptions, install, install_and_stop, preseeded, task
from pxed.oses.debian_progress import progress
from pxed.oses.family import Family, NodeView, Release, Resources, Urls, repository
from pxed.oses.features import Bonds
from pxed.oses.strict import lines, refusal
from pxed.oses.ubuntu_target import target
from pxed.workflow.recipe import Recipe

MEDIUM_IMAGES = "/install/netboot/ubuntu-installer/{arch}"
MIRROR_IMAGES = "/dists/%s-updates/main/installer-{arch}/current/images/netboot/ubuntu-installer/{arch}"

Answer = tuple[str, str, str, Any]
"""Owner, question, type, value."""


class BionicOptions(Bonds, DebianOptions):
    """Ubuntu's debian-installer: Debian's options, and bonds by netplan."""

    refused: ClassVar[Mapping[str, str]] = {
        **{name: reason for name, reason in DebianOptions.refused.items() if "Debian" not in reason},
        "enableServices": "Ubuntu enables the services of the packages it installs; scripts.post can change that",
        "disableServices": "Ubuntu enables the services of the packages it installs; scripts.post can change that",
        "firewall": "Ubuntu installs with its firewall switched off; scripts.post can run ufw",
        "selinux": "Ubuntu uses AppArmor",
        "registration": "Ubuntu Pro is not among pxed's options; scripts.firstboot can run `ua attach`",
        "edition": "18.04 has none; see tasks",
        "isoUrl": "18.04 is not installed from the image as a whole; see repo",
        "mirror": "18.04 takes everything from one tree; see repo",
    }

    tasks: Annotated[list[Annotated[str, AfterValidator(task)]], BeforeValidator(lines)] = Field(
        default_factory=lambda: ["server", "openssh-server"], description="tasksel's tasks; [] for the base system only"
    )


def context(release: Release, options: BionicOptions, node: NodeView, urls: Urls, resources: Resources) -> dict[str, Any]:
    """The names that templates/debian/ and templates/ubuntu/ use. InvalidRequest: the live server's medium."""
    name = options.repo or repository("ubuntu", release, node.arch)
    tree = urls.tree(name, name)
    medium = {} if "://" in name else resources.media(name)
    on_medium = medium.get("release") in release.media
    if on_medium and medium.get("facts", {}).get("installer") != "d-i":
        raise refusal(
            "repo",
            f"the repository {name} is the live server's medium, whose installer takes no answers in {release.name}",
            'the medium ubuntu-18.04.*-server-*.iso (without "live"), or a mirror',
        )
    images = MEDIUM_IMAGES if on_medium else MIRROR_IMAGES % release.data["codename"]
    return {
        **preseeded(release, options, node, urls, tree=tree, images=tree + images),
        "udebs": "",
        "network_config": "",
        "further": [*_asked(options), *(_medium(tree) if on_medium else [])],
        **target(options),
    }


def _asked(options: BionicOptions) -> list[Answer]:
    """Questions that Debian's installer does not have, or words differently."""
    layout, _, variant = options.keyboard.partition("-")
    return [
        ("d-i", "console-setup/ask_detect", "boolean", False),
        ("d-i", "keyboard-configuration/layoutcode", "string", layout),
        ("d-i", "keyboard-configuration/variantcode", "string", variant),
        ("d-i", "user-setup/allow-password-weak", "boolean", True),
        ("d-i", "user-setup/encrypt-home", "boolean", False),
        ("d-i", "pkgsel/install-language-support", "boolean", False),
        ("d-i", "pkgsel/language-pack-patterns", "string", ""),
    ]


def _medium(tree: str) -> list[Answer]:
    """The medium as a mirror: its base system, the parts of the archive that it has, and nothing that is only on Ubuntu's servers."""
    return [
        ("d-i", "live-installer/net-image", "string", f"{tree}/install/filesystem.squashfs"),
        ("d-i", "debian-installer/allow_unauthenticated", "boolean", True),
        ("d-i", "apt-setup/restricted", "boolean", True),
        ("d-i", "apt-setup/universe", "boolean", False),
        ("d-i", "apt-setup/multiverse", "boolean", False),
        ("d-i", "apt-setup/backports", "boolean", False),
    ]


BIONIC = Family(
    name="ubuntu",
    title="Ubuntu",
    releases={
        "18.04": Release(
            "18.04",
            "Ubuntu 18.04 (bionic)",
            {"codename": "bionic", "clock": "", "needs": "1 GB of memory; the server medium that is not called live, or a mirror"},
        )
    },
    options=BionicOptions,
    recipe=Recipe("ubuntu-preseed", 1, install, MILESTONES),
    recipe_off=Recipe("ubuntu-preseed-off", 1, install_and_stop, MILESTONES[:2]),
    profile="boot/linux.ipxe.j2",
    files={**FILES, "late.sh": "ubuntu/preseed-late.sh.j2"},
    plain_secrets=frozenset({"preseed.cfg"}),
    context=context,
    progress=progress,
    aliases={"bionic": "18.04"},
)
