"""RackHD's names at pxed's door: graphs for families, options that say which release is meant, and those that nobody here has any use for.

Options that have a counterpart are aliases in the option models (`strict.names`). docs/os/rackhd-names.md is the whole table. Pure.
Sources: RackHD's graphs and the option schemas of its install tasks.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NoReturn

from pxed.errors import InvalidRequest

if TYPE_CHECKING:
    from pxed.oses.family import Family

GRAPHS: Mapping[str, tuple[str, ...]] = {
    "InstallCentOS": ("centos",),
    "InstallCoreOS": ("flatcar",),
    "InstallDebian": ("debian", "ubuntu"),
    "InstallESXi": ("esxi",),
    "InstallPhotonOS": ("photon",),
    "InstallRHEL": ("rhel",),
    "InstallSUSE": ("leap", "sles"),
    "InstallUbuntu": ("ubuntu", "debian"),
    "InstallWindowsServer": ("windows",),
}
"""RackHD's graph > the families that it may install; the first that has the release that is asked for is meant."""

_TEMPLATES = "pxed's templates are its own; a system of yours may have others (docs/os/own.md)"
_BOOT_CFG = "pxed rewrites the boot.cfg of the medium itself"
_NOT_NEEDED = "the name of the operating system says it"

REFUSED: Mapping[str, str] = {
    "osType": _NOT_NEEDED,
    "baseUrl": "pxed knows where a release's kernel is; a release of yours may have it elsewhere (docs/os/own.md)",
    "profile": _TEMPLATES,
    "installScript": _TEMPLATES,
    "installScriptUri": _TEMPLATES,
    "rackhdCallbackScript": _TEMPLATES,
    "esxBootConfigTemplate": _BOOT_CFG,
    "esxBootConfigTemplateUri": _BOOT_CFG,
    "progressMilestones": "the milestones are the recipe's (docs/recipes.md)",
    "vaultToken": "pxed has no vault; it keeps secrets sealed by itself (docs/secrets.md)",
    "obmServiceName": "how a node is switched on and off does not belong to an install",
    "schedulerOverrides": "the deadlines are the recipe's (docs/recipes.md)",
    "_taskTimeout": "the deadlines are the recipe's (docs/recipes.md)",
}
"""RackHD's options that no family of pxed has any use for > why."""

_GRAPHS = {name.lower(): families for name, families in GRAPHS.items()}


def candidates(name: str) -> tuple[str, ...]:
    """The families that `name` may stand for: a graph's, with or without ``Graph.`` and in any case, else itself."""
    return _GRAPHS.get(name.lower().removeprefix("graph."), (name,))


def meant(
    name: str, release: str | None, options: Mapping[str, Any], families: Mapping[str, Family]
) -> tuple[str, str | None, Mapping[str, Any]]:
    """(family, release, options) of a request that may be in RackHD's words: `name` may be a graph's, and the options ``version`` and
    ``osName`` say which release of which family. Where they are texts they are gone from the options that come back.

    InvalidRequest if they contradict `release` or `name`. Whether family and release exist is not looked at.
    """
    found = (name,) if name in families else candidates(name)
    rest = {key: value for key, value in options.items() if key not in ("version", "osName")}
    system, version = _text("osName", options), _text("version", options)
    if system is not None:
        found = tuple(each for each in found if each == system.lower()) or _wrong(
            "osName", f"{name} does not install {system[:80]!r}", found
        )
    if version is not None and release not in (None, version):
        _wrong("version", f"the release is {release[:80]!r} already", (str(release),))
    release = version if version is not None else release
    fitting = (each for each in found if each in families and _has(families[each], release))
    return next(fitting, found[0]), release, rest


def _has(family: Family, release: str | None) -> bool:
    return release is None or any(release in each.releases or release in each.aliases for each in family.installers)


def _text(name: str, options: Mapping[str, Any]) -> str | None:
    """The option `name`, None if it is not given. InvalidRequest for what is neither text nor a number."""
    value = options.get(name)
    if value is None or isinstance(value, str):
        return value or None
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    return _wrong(name, "expected text", ("text",))


def _wrong(name: str, problem: str, expected: tuple[str, ...]) -> NoReturn:
    raise InvalidRequest(f"options.{name}: {problem}", field=f"options.{name}", expected=" or ".join(expected))
