"""Boot scripts over HTTP: a node's profile, and the files that boot loaders ask for of their own accord (`pxed.oses.scripts`)."""

from __future__ import annotations

from typing import Any

from pxed.node.identity import normalise_mac
from pxed.oses.scripts import BootScripts
from pxed.web.files import path_below
from pxed.web.request import NotHere, Plain

SCRIPT = "text/plain; charset=utf-8"


_TOLD = {"m": "manufacturer", "p": "product", "s": "serial"}


class Profiles(Plain):
    """``/p/<mac>``: twelve hexadecimal digits, or any other spelling of a MAC address.

    ``?m=&p=&s=``: what its SMBIOS says of maker, product and serial number, in hexadecimal digits.
    """

    def __init__(self, scripts: BootScripts) -> None:
        super().__init__()
        self._scripts = scripts

    async def get(self, request: Any) -> None:
        try:
            mac = normalise_mac(b"".join(request.postpath[:1]).decode("ascii"))
        except ValueError:
            request.reply(404, "the path of a profile is /p/ and the MAC address, twelve hexadecimal digits\n")
            return
        script = await self._scripts.of(mac, request.peer, request.base, "ipxe", asked=request.method == b"GET")
        self._scripts.told(mac, {name: _hex(request.argument(letter)) for letter, name in _TOLD.items()})
        request.reply(200, script, SCRIPT)


def _hex(digits: str | None) -> str:
    """The text that iPXE wrote as hexadecimal digits; "" for none, or for what is no such thing."""
    try:
        return bytes.fromhex((digits or "")[:256]).decode("utf-8", "replace").strip()
    except ValueError:
        return ""


class Elsewhere(NotHere):
    """Every path that the tree does not know: ``autoexec.ipxe`` and GRUB's configuration in any folder, else 404."""

    def __init__(self, scripts: BootScripts) -> None:
        super().__init__()
        self._scripts = scripts

    async def get(self, request: Any) -> None:
        if not await answer(self._scripts, request, path_below(request)):
            await super().get(request)


async def answer(scripts: BootScripts, request: Any, name: str) -> bool:
    """Answer `request` if a boot loader asks for `name` of its own accord; else False and nothing is done."""
    script = await scripts.named(name, request.peer, request.base, asked=request.method == b"GET")
    if script is not None:
        request.reply(200, script, SCRIPT)
    return script is not None
