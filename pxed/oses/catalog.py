"""Everything pxed can install: from an operator's request to a stored install, and from an install to the files its node fetches.

`prepare` hashes passwords (tens of milliseconds each) and renders every file: call it in a thread. `profile`, `grub` and `file` render from
memory, in about a millisecond unless an operator's templates have a part in it; the doors have `rendering` call them. `localboot`,
`autoexec` and `which` are a few lines each.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal
from urllib.parse import quote

from pxed.errors import InvalidRequest, NotFound
from pxed.node.identity import hex_hyphen
from pxed.oses import listing, rackhd
from pxed.oses import options as common
from pxed.oses.alpine import ALPINE
from pxed.oses.bounded import BoundedRenderer
from pxed.oses.coreos import FAMILIES as COREOS
from pxed.oses.debian import DEBIAN
from pxed.oses.esxi import ESXI
from pxed.oses.family import Family, InstallView, NodeView, Release, Render, Resources, Urls
from pxed.oses.features import refusals
from pxed.oses.linux import refuse_long
from pxed.oses.options import CommonOptions
from pxed.oses.photon import PHOTON
from pxed.oses.proxmox import PROXMOX
from pxed.oses.redhat import FAMILIES as REDHAT
from pxed.oses.remembered import Remembered
from pxed.oses.render import Renderer, TemplateProblem, kind_of
from pxed.oses.reports import Report, by_bytes
from pxed.oses.sealing import Sealing, cover, refuse_sealed
from pxed.oses.strict import parse
from pxed.oses.suse import FAMILIES as SUSE
from pxed.oses.ubuntu import UBUNTU
from pxed.oses.windows import WINDOWS
from pxed.workflow.install import INSTALLED, Install
from pxed.workflow.recipe import RecipeBook

__all__ = ["FAMILIES", "LOCALBOOT", "Catalog", "Prepared", "Release", "Rendered", "Resources", "Urls"]

FAMILIES: tuple[Family, ...] = (DEBIAN, UBUNTU, *REDHAT, *SUSE, ESXI, *COREOS, PHOTON, WINDOWS, PROXMOX, ALPINE)
LOCALBOOT = ("auto", "exit1", "exit0", "sanboot", "grub", "poweroff")
"""How a node may leave iPXE for its own disk (`Node.localboot`); ``auto``: ``exit 1`` on UEFI, `sanboot` on BIOS.

``grub``: through a GRUB of the boot program root, which looks for the disk's own loader.
"""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A request that has been found good: what the engine stores. `options` are canonical JSON values, passwords hashed."""

    family: str
    release: str
    recipe: str
    options: dict[str, Any]

    def __repr__(self) -> str:
        return f"Prepared(family={self.family!r}, release={self.release!r}, recipe={self.recipe!r})"


@dataclass(frozen=True, slots=True)
class Rendered:
    """One file as it goes out."""

    body: bytes
    content_type: str


@dataclass(frozen=True, slots=True)
class _Sample:
    """A node that no template can know more about than that it exists."""

    macs: tuple[str, ...] = ("52:54:00:12:34:56",)
    name: str | None = None
    arch: int | None = None
    firmware: str | None = None
    localboot: str | None = None

    @property
    def mac(self) -> str:
        return self.macs[0]


SAMPLE_URLS = Urls("http://192.0.2.1:65535", "0" * 43)


MOST = 2000
"""Values in the options of one install: what they are checked and rendered in grows with them (2000 packages: a few milliseconds)."""


def _bounded(family: Family) -> Render:
    return BoundedRenderer(family.templates).render


class Catalog:
    """The OS families of this appliance. `sealing` holds the appliance's key (until one is set, a key that nobody else has).

    `own(family)` renders a family that has an operator's templates; by default here, where nothing can end what `bounded` can't count.
    """

    def __init__(
        self,
        families: Sequence[Family] = FAMILIES,
        *,
        renderer: Renderer | None = None,
        own: Callable[[Family], Render] = _bounded,
        resources: Resources | None = None,
    ) -> None:
        self.sealing = Sealing()
        self._options = Remembered()
        self.families: dict[str, Family] = {family.name: family for family in families}
        self.recipes = RecipeBook()
        self._render = (renderer or Renderer()).render
        self._own = {family.name: own(family) for family in families if family.templates}
        self._resources = resources or Resources()
        for family in families:
            for installer in family.installers:
                for recipe in (installer.recipe, installer.recipe_off):
                    if recipe is not None:
                        self.recipes.add(recipe)

    def prepare(self, family: str, release: str | None, options: Mapping[str, Any]) -> Prepared:
        """NotFound names what exists; InvalidRequest names the field. Every file is rendered once against a sample node.

        RackHD's names will do (`rackhd`): a graph for `family`, the option ``version`` for `release`.
        """
        family, release, options = rackhd.meant(family, release, options, self.families)
        found, chosen = self._found(family, release)
        if _values(options) > MOST:
            raise InvalidRequest(
                f"options hold more than {MOST} values; a list can go into a script or a group of packages",
                field="options",
                expected=f"at most {MOST} values",
            )
        asked = parse(found.options, options, field="options", refused=refusals(found.options, found.title))
        refuse_sealed(asked, "options")
        if (lack := asked.lacking()) is not None:
            raise InvalidRequest(f"options.{lack[0]}: expected {lack[1]}", field=f"options.{lack[0]}", expected=lack[1])
        hashed = asked.sealed()
        self._try(found, chosen, hashed)
        stored = self.sealing.close(hashed).stored()
        self._options.covered(found.options, stored)  # here, not when its node waits for the boot script
        return Prepared(found.name, chosen.name, found.recipe_for(hashed).name, stored)

    def check(self, install: InstallView) -> None:
        """Whether `install` could be ordered again as it is stored; as slow as `prepare`. NotFound, InvalidRequest: another pxed stored
        it, or its medium has changed. CannotUnseal."""
        found, release = self._found(install.family, install.release)
        options = self.sealing.reveal(parse(found.options, install.options, field="options"))
        self._try(found, release, options)

    def has_own_templates(self, install: InstallView) -> bool:
        """Whether an operator's templates have a part in the files of `install`."""
        return install.family in self._own

    def warnings(self, install: Prepared | InstallView) -> list[str]:
        """What its operator will probably regret, in sentences."""
        return parse(self._family(install.family).installer(install.release).options, install.options, field="options").warnings()

    def profile(self, install: InstallView, node: NodeView, urls: Urls) -> str:
        """The iPXE script that boots the installer of `install`."""
        family, release = self._found(install.family, install.release)
        return self._renderer(family)(family.profile, self._boot_context(family, release, install, node, urls))

    def grub(self, install: InstallView, node: NodeView, urls: Urls, mac: str) -> str:
        """The GRUB script that boots the same installer; `mac` is that of the NIC that asks.

        An install that GRUB cannot start gets a script that says so, tells pxed and leaves for the disk.
        """
        family, release = self._found(install.family, install.release)
        context = {**self._boot_context(family, release, install, node, urls), "mac": hex_hyphen(mac)}
        if "boot" in context and context["boot"].bios_only:
            context["failure"] = f"{context['title']} starts from BIOS only, and this is UEFI firmware"
        elif "boot" in context:
            try:
                return self._renderer(family)("boot/linux.grub.j2", context)
            except TemplateProblem as problem:
                context["failure"] = f"GRUB cannot start this install ({problem})"
        else:
            context["failure"] = f"GRUB cannot start the installer of {context['title']}, iPXE can"
        context = {"label": node.name or node.mac, "notify_started": urls.notify("started"), **context}
        return self._render("boot/refused.grub.j2", context)

    def file(self, install: InstallView, node: NodeView, urls: Urls, name: str) -> Rendered:
        """One answer file or hook of `install`; with its secrets only if the family lists it in `plain_secrets`. NotFound, CannotUnseal."""
        family = self._installer(install)
        context = self._context(install, node, urls, reveal=name in family.plain_secrets)
        if name in family.files:
            return Rendered(self._renderer(family)(family.files[name], context).encode(), kind_of(family.files[name]).content_type)
        if name in family.made:
            return Rendered(family.made[name](context), "application/octet-stream")
        written = family.more(context) if family.more is not None else {}
        if name in written:
            return Rendered(written[name].encode(), "text/plain; charset=utf-8")
        raise NotFound(
            f"An install of {install.family} has no file {name[:80]!r}; it has {', '.join((*family.files, *family.made, *written))}"
        )

    def plain_secrets(self, install: InstallView) -> frozenset[str]:
        """The files of `install` that hold a secret in plain text: for the installer, and for nobody afterwards."""
        return self._installer(install).plain_secrets

    def loads(self, install: InstallView) -> frozenset[str]:
        """The files of `install` that are fetched before its installer runs."""
        return self._installer(install).loads

    def preview(self, prepared: Prepared, node: NodeView | None, urls: Urls) -> dict[str, str]:
        """Every file that an install of `prepared` would have, by public name; the boot script is ``boot.ipxe``. Secrets are masked."""
        found, release = self._found(prepared.family, prepared.release)
        options = cover(found.options.model_validate(prepared.options))
        context = self._context_of(found, release, options, node or _Sample(), urls)
        return self._everything(found, context)

    def needs(self, prepared: Prepared | InstallView, arch: int | None = None) -> str | None:
        """The name of the repository that an install of `prepared` takes its files from on a node of the client architecture `arch`; None
        if its option `repo` is a URL."""
        named = prepared.options.get("repo")
        if named is not None:
            return None if "://" in named else str(named)
        found, release = self._found(prepared.family, prepared.release)
        return found.repository(release, arch)

    def lost(self, install: InstallView) -> str:
        """Why an install can't go on with the families there are now: the file that its family or release came from is gone, or says
        something else. Empty if it can."""
        try:
            family, _ = self._found(install.family, install.release)
            self._options.covered(family.options, install.options)
        except NotFound as gone:
            return f"{gone}. If a file of {install.family} was removed, put it back and start pxed again"
        except InvalidRequest as wrong:
            return (
                f"Its options are no longer those of {install.family}: {wrong}. If a file of {install.family} was changed, change it back"
            )
        return ""

    def localboot(self, node: NodeView | None, syntax: Literal["ipxe", "grub"] = "ipxe", base: str = "", grub: str | None = None) -> str:
        """The script for a node that reached a boot loader although there is nothing to install.

        `base` as in `Urls`; `grub`: path of a GRUB for this node below the boot program root, for iPXE to leave by.
        """
        way = node.localboot if node is not None and node.localboot in LOCALBOOT else "auto"
        label = (node.name or node.mac) if node is not None else "this machine"
        urls = Urls(base, "") if base else None
        program = {"path": quote(grub), "url": f"{base}/b/{quote(grub)}", "server": urls.host} if grub and urls else None
        return self._render(f"boot/localboot.{syntax}.j2", {"way": way, "label": label, "grub": program})

    def autoexec(self, base: str) -> str:
        """The iPXE script that leads to the node's profile; `base` as in `Urls`."""
        return self._render("boot/autoexec.ipxe.j2", {"base": base})

    def which(self) -> str:
        """The GRUB script that leads to the node's own."""
        return self._render("boot/which.grub.j2", {})

    def addresses(self, install: InstallView) -> list[str]:
        """The static IP addresses that `install` gives its node."""
        options = self._installer(install).options.model_validate(dict(install.options))
        given = [address for device in options.networkDevices for address in (device.ipv4, device.ipv6)]
        return [address.ipAddr for address in given if address is not None]

    def line(self, install: InstallView, program: str, text: str) -> tuple[int, str] | None:
        """(percent, text) that a syslog line of the node stands for, None if its family reads nothing from it."""
        reader = self._installer(install).progress
        return reader(program, text) if reader is not None else None

    def webhook(self, install: InstallView, event: Mapping[str, Any]) -> Report | None:
        """What an installer posts as JSON. NotFound if its family takes no such posts."""
        reader = self._installer(install).webhook
        if reader is None:
            raise NotFound(f"The installer of {install.family} posts nothing")
        return reader(event)

    def asks_by_post(self, install: InstallView, name: str) -> bool:
        """Whether the installer of `install` asks for its file `name` by POST."""
        return name in self._installer(install).posted

    def fetched(self, install: Install, before: int) -> tuple[int, str]:
        """(percent, text) of the packages that the node has fetched. A release may know how many bytes that will be
        (``data["expected_bytes"]``); `before`: how many the last install of that system fetched, 0 if there was none."""
        sent = install.fetched
        try:
            expected = self._found(install.family, install.release)[1].data.get("expected_bytes")
            recipe = self.recipes.get(install.recipe, install.recipe_version)
        except (NotFound, KeyError):  # a family or version of a former pxed
            return by_bytes(sent, None, None, install.percent, before)
        ends = [recipe.milestone("started"), recipe.milestone(INSTALLED)]
        span = (ends[0].percent, ends[1].percent) if ends[0] is not None and ends[1] is not None else None
        return by_bytes(sent, expected, span, install.percent, before)

    def visible(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """Stored options without their secrets."""
        shown: dict[str, Any] = common.visible(options)
        return shown

    def list(self) -> list[dict[str, Any]]:
        """Families, releases and how their installs go on, as JSON values (`listing`)."""
        return listing.listing(self.families.values())

    def schema(self, family: str, release: str | None = None) -> dict[str, Any]:
        """JSON Schema of the options of a release (None: the default one), canonical names. NotFound."""
        found, _release = self._found(*rackhd.meant(family, release, {}, self.families)[:2])
        return listing.schema(found.options)

    def _try(self, family: Family, release: Release, options: CommonOptions) -> None:
        """Render every file once, against a sample node. InvalidRequest."""
        context = self._context_of(family, release, options, _Sample(), SAMPLE_URLS)
        if "boot" in context:
            refuse_long(context["boot"].line)
        try:
            self._everything(family, context)
        except TemplateProblem as problem:
            raise InvalidRequest(
                f"These options cannot be written into the installer's files: {problem}",
                field="options",
                expected="values that the format of that file can hold",
            ) from None

    def _everything(self, family: Family, context: Mapping[str, Any]) -> dict[str, str]:
        """Every file by public name; a made one shows as its size."""
        render = self._renderer(family)
        written = {name: render(template, context) for name, template in {"boot.ipxe": family.profile, **family.files}.items()}
        more = family.more(context) if family.more is not None else {}
        return {**written, **more, **{name: f"({len(make(context))} bytes, no text)\n" for name, make in family.made.items()}}

    def _boot_context(self, family: Family, release: Release, install: InstallView, node: NodeView, urls: Urls) -> dict[str, Any]:
        """The names that the boot scripts of `install` use; all that there are for an operator's templates."""
        if family.boot is None or self.has_own_templates(install):
            return self._context(install, node, urls)
        return family.boot(release, self._options.covered(family.options, install.options), node, urls, self._resources)

    def _context(self, install: InstallView, node: NodeView, urls: Urls, *, reveal: bool = False) -> dict[str, Any]:
        """With masks in place of secrets unless `reveal`; then CannotUnseal."""
        family, release = self._found(install.family, install.release)
        if reveal:
            options = self.sealing.reveal(parse(family.options, install.options, field="options"))
        else:
            options = self._options.covered(family.options, install.options)
        return self._context_of(family, release, options, node, urls)

    def _context_of(self, family: Family, release: Release, options: CommonOptions, node: NodeView, urls: Urls) -> dict[str, Any]:
        return family.context(release, options, node, urls, replace(self._resources, render=self._renderer(family)))

    def _renderer(self, family: Family) -> Render:
        return self._own.get(family.name, self._render)

    def _installer(self, install: InstallView) -> Family:
        return self._family(install.family).installer(install.release)

    def _family(self, name: str) -> Family:
        if name not in self.families:
            near = difflib.get_close_matches(name, [*self.families, *(f"Graph.{graph}" for graph in rackhd.GRAPHS)], n=1, cutoff=0.8)
            hint = f" (perhaps {near[0]})" if near else ""
            raise NotFound(f"There is no operating system {name[:80]!r}{hint}; there is {', '.join(sorted(self.families))}", field="os")
        return self.families[name]

    def _found(self, family: str, release: str | None) -> tuple[Family, Release]:
        """The installer of `release` (its name or an alias; None: the default) and the release. NotFound."""
        known = self._family(family)
        if release is None:
            return known, next(iter(known.releases.values()))
        for installer in known.installers:
            found = installer.releases.get(installer.aliases.get(release, release))
            if found is not None:
                return installer, found
        releases = [name for installer in known.installers for name in installer.releases]
        near = difflib.get_close_matches(release, [*releases, *(alias for each in known.installers for alias in each.aliases)], n=1)
        hint = f" (perhaps {near[0]})" if near else ""
        raise NotFound(f"{known.title} has no release {release[:80]!r}{hint}; there is {', '.join(releases)}", field="release")


def _values(given: Any) -> int:
    """How many single values a JSON value holds; an empty list counts as one."""
    if isinstance(given, Mapping):
        return max(1, sum(map(_values, given.values())))
    return max(1, sum(map(_values, given))) if isinstance(given, list | tuple) else 1
