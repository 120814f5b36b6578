"""What pxed must know about one OS family; `debian.py` is the pattern.

A release is data: names and paths that templates use. An operator's own release is the family's data with other values.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from pxed.oses.options import CommonOptions
from pxed.oses.render import Renderer
from pxed.oses.reports import LineReader, WebhookReader
from pxed.workflow.recipe import Recipe


@dataclass(frozen=True, slots=True)
class Release:
    """One version of an OS. `name` is what operators type; `data` is what the family's context and templates read."""

    name: str
    title: str
    data: Mapping[str, Any] = field(default_factory=dict)
    origin: str = ""
    """The operator's file that it comes from (`own`); empty: pxed's own."""
    like: str = ""
    """The release of pxed's own that an operator's is made like, and may be installed from the medium of."""

    @property
    def media(self) -> tuple[str, ...]:
        """The names of the releases whose media this one is installed from."""
        return (self.name, self.like) if self.like else (self.name,)


ARM64 = (11, 19)
"""Client architectures (option 93) of 64-bit ARM."""


def repository(family: str, release: Release, arch: int | None) -> str:
    """The name of the repository that an install of `family` takes its files from unless its option `repo` says otherwise: `release`'s own
    word (``data["repository"]``) or FAMILY-RELEASE, with ``-aarch64`` behind it for a node of 64-bit ARM (`arch`: option 93), unless the
    release's tree is one for every architecture (``data["one_tree"]``)."""
    name = str(release.data.get("repository", f"{family}-{release.name}"))
    return f"{name}-aarch64" if arch in ARM64 and not release.data.get("one_tree") else name


@dataclass(frozen=True, slots=True)
class Urls:
    """Where a node finds us. `base` is ``http://IP[:port]`` without a slash at its end, `token` names the install and is a secret."""

    base: str
    token: str = field(repr=False)
    syslog_port: int = 514

    def answer(self, name: str) -> str:
        """An answer file or hook of the install."""
        return f"{self.base}/i/{self.token}/{name}"

    @property
    def answers(self) -> str:
        """The folder of the install's files, without a slash at its end."""
        return f"{self.base}/i/{self.token}"

    def notify(self, phase: str) -> str:
        """Where the node tells us `phase`."""
        return f"{self.base}/i/{self.token}/notify/{phase}"

    @property
    def progress(self) -> str:
        """Where the node tells us how far it is (``?percent=&text=``)."""
        return f"{self.base}/i/{self.token}/progress"

    def program(self, path: str) -> str:
        """A file of the boot program root."""
        return f"{self.base}/b/{path}"

    def repo(self, name: str) -> str:
        """The tree of the repository `name`."""
        return f"{self.base}/repo/{name}"

    def tree(self, chosen: str | None, name: str) -> str:
        """The tree an install takes its files from: what its option `repo` says (a URL or the name of a repository), else `name`."""
        return chosen if chosen is not None and "://" in chosen else self.repo(chosen or name)

    @property
    def authority(self) -> str:
        """``IP[:port]``, IPv6 in brackets."""
        return self.base.split("://", 1)[1].split("/", 1)[0]

    @property
    def host(self) -> str:
        """The address alone, without brackets."""
        authority = self.authority
        return authority[1 : authority.index("]")] if authority.startswith("[") else authority.split(":", 1)[0]

    @property
    def port(self) -> int:
        """The TCP port, 80 when the base names none."""
        tail = self.authority.rsplit("]", 1)[-1]
        return int(tail.rsplit(":", 1)[1]) if ":" in tail else 80


class InstallView(Protocol):
    """What this room reads of an install (`pxed.workflow.Install` fits)."""

    @property
    def id(self) -> str: ...
    @property
    def token(self) -> str: ...
    @property
    def family(self) -> str: ...
    @property
    def release(self) -> str: ...
    @property
    def options(self) -> Mapping[str, Any]: ...


class NodeView(Protocol):
    """What this room reads of a node (`pxed.node.model.Node` fits)."""

    @property
    def macs(self) -> tuple[str, ...]: ...
    @property
    def mac(self) -> str: ...
    @property
    def name(self) -> str | None: ...
    @property
    def arch(self) -> int | None: ...
    @property
    def firmware(self) -> str | None: ...
    @property
    def localboot(self) -> str | None: ...


def _nothing_known(_name: str) -> Mapping[str, Any]:
    return {}


def _presumed_there(_path: str) -> bool:
    return True


Render = Callable[[str, Mapping[str, Any]], str]
"""(template, context) > text. TemplateProblem."""


@dataclass(frozen=True, slots=True)
class Resources:
    """What the appliance lends to a family beside the request, from memory.

    `media(name)` is what was recognised about the medium behind the repository of that name (docs/repositories.md; empty if nothing is);
    `holds(path)` whether the boot program root has that file; `render` is for templates inside other files.
    """

    media: Callable[[str], Mapping[str, Any]] = _nothing_known
    holds: Callable[[str], bool] = _presumed_there
    render: Render = Renderer().render


Context = Callable[[Release, Any, NodeView, Urls, Resources], dict[str, Any]]
"""(release, options, node, urls, resources) > the names that the family's templates use. Pure. InvalidRequest for options that can't be
combined."""

Made = Callable[[Mapping[str, Any]], bytes]
"""context > a file that no template can write, such as an archive. Pure."""


@dataclass(frozen=True, slots=True)
class Family:
    """One OS family: its releases (first: the default), options, recipe and files."""

    name: str
    title: str
    releases: Mapping[str, Release]
    options: type[CommonOptions]
    recipe: Recipe
    profile: str
    """The template of the iPXE script."""
    files: Mapping[str, str]
    """Public file name > template."""
    context: Context
    boot: Context | None = None
    """The names that its boot scripts use, which `context` holds too; None: they are made together. It refuses what depends on the
    appliance, such as a medium; what depends on the order alone, `context` has refused when it was placed."""
    recipe_off: Recipe | None = None
    """The recipe when the node is switched off at the end (`after`), so that its first boot is not waited for."""
    aliases: Mapping[str, str] = field(default_factory=dict)
    """Other names of releases (code names) > the release's name."""
    made: Mapping[str, Made] = field(default_factory=dict)
    """Public file name > what makes it, for files that are no templates."""
    more: Callable[[Mapping[str, Any]], Mapping[str, str]] | None = None
    """context > further text files by public name, whose number depends on the options. Pure."""
    boots: int = 2
    """How often the node boots until it is proven: the installer's own boot counts as one."""
    plain_secrets: frozenset[str] = frozenset()
    """Files that may hold a secret in plain text: one that no hash can stand for (docs/secrets.md). Only they are rendered with kept
    secrets (`sealing`), and only until the node boots its disk are they served."""
    loads: frozenset[str] = frozenset()
    """Files that the boot program fetches, not the installer: who has them has not begun yet."""
    posted: frozenset[str] = frozenset()
    """Files that this family's installer asks for by POST (it sends facts about the machine along)."""
    progress: LineReader | None = None
    """Reads progress from the lines that its installer sends by syslog."""
    webhook: WebhookReader | None = None
    """Reads what its installer posts as JSON to ``/i/<token>/webhook`` (`Urls.answer("webhook")`)."""
    others: tuple[Family, ...] = ()
    """Other installers of the same OS: families of the same name with releases of their own (SLES 16 is not installed as SLES 15 is)."""
    origin: str = ""
    """The operator's file that it comes from (`own`); empty: pxed's own."""
    templates: Mapping[str, str] = field(default_factory=dict)
    """The operator's templates: path > text. They come before pxed's own of the same path, for this family alone."""

    @property
    def installers(self) -> tuple[Family, ...]:
        """This one and the others."""
        return (self, *self.others)

    def installer(self, release: str) -> Family:
        """The one that installs `release` (no alias); this one if none does."""
        return next((each for each in self.installers if release in each.releases), self)

    def repository(self, release: Release, arch: int | None = None) -> str:
        """`repository` for a node of the client architecture `arch`."""
        return repository(self.name, release, arch)

    def recipe_for(self, options: CommonOptions) -> Recipe:
        """The recipe that fits these options."""
        return self.recipe if options.after == "reboot" or self.recipe_off is None else self.recipe_off
