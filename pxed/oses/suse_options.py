"""What an operator may ask of SLES and Leap, whichever of their installers it is: YaST up to release 15, Agama from 16 on."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from pxed.oses.features import Kvm, Services
from pxed.oses.options import CommonOptions
from pxed.oses.strict import listed


def _matching(pattern: str, expected: str) -> AfterValidator:
    def check(value: str) -> str:
        if not re.fullmatch(pattern, value):
            raise ValueError(expected)
        return value

    return AfterValidator(check)


Pattern = Annotated[str, _matching(r"[A-Za-z0-9][A-Za-z0-9_.+-]{0,80}", "a pattern's name, like base or lamp_server")]
Module = Annotated[str, _matching(r"[A-Z][A-Za-z0-9-]{0,40}", "a module as the Full medium writes it, like Server-Applications")]


class SuseOptions(Services, Kvm, CommonOptions):
    """What SUSE's installer adds to the common options."""

    refused: ClassVar[Mapping[str, str]] = {
        "groups": "SUSE has patterns; see patterns",
        "tasks": "Debian has tasks; see patterns",
        "registration": "pxed does not register with SUSE; install from the Full medium, and register in scripts.firstboot",
        "updates": "updates need a registered system; scripts.firstboot can run zypper",
    }

    kept_arguments = ("kernelArgs", "targetKernelArgs")  # YaST and Agama propose the installer's own command line

    after: Literal["reboot", "poweroff"] = Field(default="reboot", description="What the node does when stage 1 ends")
    patterns: Annotated[list[Pattern], BeforeValidator(listed)] = Field(
        default_factory=list, description="Software patterns; without any: a small system"
    )
    firewall: bool | None = Field(default=None, description="true also lets ssh in; default: the installer's own")


class SlesOptions(SuseOptions):
    """SLES 15 comes in modules."""

    modules: Annotated[list[Module], BeforeValidator(listed)] | None = Field(
        default=None, description="Modules of the Full medium (SLES 15); default: Basesystem, Server-Applications"
    )
