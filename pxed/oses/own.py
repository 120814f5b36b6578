"""Releases and families that an operator adds as files (``*.toml`` in one directory), without code: docs/os/own.md.

    own = with_own(Path("/etc/pxed/oses"))           # pxed's own families and the operator's; ConfigError names file and field
    Catalog(own.families)

Read once, when the appliance starts. A family is data already (`Family`): what a file says becomes another value of it. All files of
every release are rendered once against a sample node, so that a template's mistake is an error of the start and not of the night.
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NoReturn

from pxed.errors import ConfigError, InvalidRequest
from pxed.oses.catalog import FAMILIES, Catalog
from pxed.oses.family import Family, Release
from pxed.oses.features import refusals
from pxed.oses.own_build import defaulted, own_context, own_release
from pxed.oses.own_model import ROOT_HASH, OwnFamily, OwnFile, OwnRelease
from pxed.oses.render import TEMPLATES, TemplateProblem, kind_of
from pxed.oses.strict import parse
from pxed.workflow.recipe import Recipe

LARGEST = 64 << 10
"""Bytes of one file."""
MOST = 200
"""Files in one folder."""


@dataclass(frozen=True, slots=True)
class Own:
    """pxed's families with what the operator adds. `untried`: (family, release) > why it could not be rendered before somebody installs it:
    it has options without a default, or needs a medium."""

    families: tuple[Family, ...]
    untried: Mapping[tuple[str, str], str] = field(default_factory=dict)

    def added(self) -> list[tuple[Family, Release]]:
        """The operator's releases, those of his families included."""
        return [
            (family, release)
            for family in self.families
            for installer in family.installers
            for release in installer.releases.values()
            if release.origin
        ]


@dataclass(frozen=True, slots=True)
class Source:
    """One file as it was read."""

    path: Path
    content: OwnFile

    def wrong(self, field: str, problem: str) -> NoReturn:
        raise ConfigError(problem, file=str(self.path), key=field)


def with_own(directory: Path | None, families: Sequence[Family] = FAMILIES, *, must_exist: bool = False) -> Own:
    """`families` and what the files in `directory` add to them. ConfigError names file and field.

    Without a directory (None, or it is not there unless `must_exist`) nothing is added. Reads disk and renders: not in the reactor's loop.
    """
    if directory is None or not (must_exist or directory.exists()):
        return Own(tuple(families))
    sources = read(directory)
    known = {family.name: family for family in families}
    for source in sources:
        if source.content.family is not None:
            _add_family(known, families, source, source.content.family)
    for source in sources:
        if source.content.family is None:
            _add_releases(known, source)
    own = Own(tuple(known.values()))
    return replace(own, untried=_try(own))


def read(directory: Path) -> list[Source]:
    """Every ``*.toml`` of `directory`, by name. ConfigError."""
    try:
        paths = sorted(path for path in directory.iterdir() if path.suffix == ".toml" and not path.name.startswith("."))
    except OSError as wrong:
        raise ConfigError(f"can't be read: {wrong.strerror}", file=str(directory)) from wrong
    if len(paths) > MOST:
        raise ConfigError(f"holds {len(paths)} files, at most {MOST} are read", file=str(directory))
    return [_source(path) for path in paths]


def _source(path: Path) -> Source:
    try:
        tree = tomllib.loads(_text_of(path))
    except tomllib.TOMLDecodeError as wrong:
        raise ConfigError(f"is not valid TOML: {wrong}", file=str(path)) from wrong
    try:
        return Source(path, parse(OwnFile, tree, field=""))
    except InvalidRequest as wrong:
        problem = str(wrong).removeprefix(wrong.field).removeprefix(":").strip()
        raise ConfigError(problem, file=str(path), key=wrong.field) from wrong


def _text_of(path: Path) -> str:
    try:
        if path.stat().st_size > LARGEST:
            raise ConfigError(f"is larger than {LARGEST} bytes", file=str(path))
        return path.read_text(encoding="utf-8")
    except OSError as wrong:
        raise ConfigError(f"can't be read: {wrong.strerror}", file=str(path)) from wrong
    except UnicodeDecodeError as wrong:
        raise ConfigError("is not UTF-8", file=str(path)) from wrong


def _add_family(known: dict[str, Family], shipped: Sequence[Family], source: Source, own: OwnFamily) -> None:
    known_base = next((family for family in shipped if family.name == own.like), None)
    if known_base is None:
        source.wrong("family.like", _no_such(own.like, [family.name for family in shipped], "family of pxed's own"))
    base = replace(_installer(known_base, next((each.like or each.name for each in source.content.release), None)), others=())
    _one_installer(source, known_base, base)
    if own.name in known:
        other = known[own.name].origin
        source.wrong("family.name", f"there is a family {own.name} already, {f'in {other}' if other else 'of pxed itself'}")
    templates = _templates(source, own)
    recipe, recipe_off, boots = _recipes(source, shipped, base, own.recipe)
    clash = next((name for name in own.files if name in base.made), None)
    if clash is not None:
        source.wrong(f"family.files.{clash}", "is made by pxed itself")
    options = _defaults(source, own, base)
    origin = str(source.path)
    family = replace(
        base,
        name=own.name,
        title=own.title,
        options=options,
        recipe=recipe,
        recipe_off=recipe_off,
        boots=boots,
        files={**base.files, **own.files},
        releases={
            name: replace(each, origin=origin, data={**each.data, "repository": base.repository(each)})
            for name, each in base.releases.items()
        },
        templates=templates,
        origin=origin,
    )
    known[own.name] = _with_releases(
        family, base, [(source, f"release.{n}", each) for n, each in enumerate(source.content.release)], fresh=True
    )


def _one_installer(source: Source, like: Family, base: Family) -> None:
    """ConfigError for a release that is made like one of another installer of `like` than `base`."""
    for number, each in enumerate(source.content.release):
        wanted = each.like or each.name
        if any(wanted in other.releases or wanted in other.aliases for other in like.installers) and (
            wanted not in base.releases and wanted not in base.aliases
        ):
            source.wrong(
                f"release.{number}.{'like' if each.like else 'name'}",
                f"{like.title} {wanted} has another installer than {next(iter(base.releases))}, and a family of yours has one: "
                "make it a family of its own",
            )


def _defaults(source: Source, own: OwnFamily, base: Family) -> Any:
    """The options of `base` with the operator's defaults. ConfigError."""
    if not own.options:
        return base.options
    if ROOT_HASH in own.options and source.path.stat().st_mode & 0o004:
        source.wrong(f"family.options.{ROOT_HASH}", "stands in a file that everybody may read: chmod o-r")
    try:
        given = parse(base.options, own.options, field="family.options", refused=refusals(base.options, base.title))
    except InvalidRequest as wrong:
        source.wrong(wrong.field, str(wrong).removeprefix(wrong.field).removeprefix(":").strip())
    return defaulted(base.options, given, own.name)


def _recipes(source: Source, shipped: Sequence[Family], base: Family, name: str | None) -> tuple[Recipe, Recipe | None, int]:
    """The recipe `name` (None: that of `base`), the one for a node that is switched off at the end, and how often a node boots."""
    if name is None:
        return base.recipe, base.recipe_off, base.boots
    installers = [installer for family in shipped for installer in family.installers]
    for each in installers:
        if each.recipe.name == name:
            return each.recipe, each.recipe_off, each.boots
        if each.recipe_off is not None and each.recipe_off.name == name:
            return each.recipe_off, None, each.boots
    names = {recipe.name for each in installers for recipe in (each.recipe, each.recipe_off) if recipe is not None}
    return source.wrong("family.recipe", _no_such(name, sorted(names), "recipe"))


def _templates(source: Source, own: OwnFamily) -> dict[str, str]:
    """path > text of the family's folder of templates. Every one must be of use: named in `files`, a part, or another one's replacement."""
    root = source.path.parent / (own.templates or own.name)
    if not root.is_dir():
        if own.templates is not None or own.files:
            source.wrong("family.templates" if own.templates else "family.files", f"there is no directory {root}")
        return {}
    paths = [path for path in sorted(root.rglob("*.j2")) if path.is_file()]
    if len(paths) > MOST:
        source.wrong("family.templates", f"{root} holds {len(paths)} templates, at most {MOST} are read")
    found = {path.relative_to(root).as_posix(): _text_of(path) for path in paths}
    shipped = {path.relative_to(TEMPLATES).as_posix() for path in TEMPLATES.rglob("*.j2")}
    for name in found:
        try:
            kind_of(name)
        except TemplateProblem as wrong:
            raise ConfigError(str(wrong), file=str(root / name)) from wrong
        if name not in shipped and name not in own.files.values() and not name.rsplit("/", 1)[-1].startswith("_"):
            near = difflib.get_close_matches(name, sorted(shipped), n=1)
            hint = f"; perhaps {near[0]} is meant" if near else ""
            raise ConfigError(
                f"replaces no template of pxed and is not named in family.files{hint} (the name of a part begins with _)",
                file=str(root / name),
            )
    for public, name in own.files.items():
        if name not in found and name not in shipped:
            source.wrong(f"family.files.{public}", f"there is no template {root / name}")
    return found


def _add_releases(known: dict[str, Family], source: Source) -> None:
    by_family: dict[str, list[tuple[Source, str, OwnRelease]]] = {}
    for number, own in enumerate(source.content.release):
        if own.family is None:
            source.wrong(f"release.{number}.family", "which family's release it is must be said in a file without [family]")
        by_family.setdefault(own.family, []).append((source, f"release.{number}", own))
    for name, releases in by_family.items():
        if name not in known:
            source.wrong(f"{releases[0][1]}.family", _no_such(name, list(known), "family"))
        for each in releases:
            known[name] = _grown(known[name], each)


def _installer(family: Family, like: str | None) -> Family:
    """The installer of the release `like` (or of its alias); the family's first for None, or if there is no such release."""
    named = (each for each in family.installers if like in each.releases or like in each.aliases)
    return next(named, family)


def _grown(family: Family, own: tuple[Source, str, OwnRelease]) -> Family:
    """`family` with one more release, for the installer whose releases the new one is like (or replaces)."""
    owner = _installer(family, own[2].like or own[2].name)
    grown = _with_releases(replace(owner, others=()), replace(owner, others=()), [own], fresh=False)
    for other in family.installers:
        if other is not owner and own[2].name in other.releases:
            own[0].wrong(f"{own[1]}.like", f"{own[2].name} is installed by another installer than {own[2].like}")
    if owner is family:
        return replace(grown, others=family.others)
    return replace(family, others=tuple(grown if each is owner else each for each in family.others))


def _with_releases(family: Family, base: Family, own: Sequence[tuple[Source, str, OwnRelease]], *, fresh: bool) -> Family:
    """`family` with `own` releases, made like those of `base`; `fresh`: instead of the ones it has."""
    if not own:
        return replace(family, context=own_context(base.context, {}), boot=None)
    releases: dict[str, Release] = {} if fresh else dict(family.releases)
    aliases: dict[str, str] = {} if fresh else dict(family.aliases)
    for source, place, each in own:
        if each.family not in (None, family.name):
            source.wrong(
                f"{place}.family", f"this file is about the family {family.name}; a release of another one belongs into its own file"
            )
        there = releases.get(each.name)
        if there is not None and there.origin:
            source.wrong(f"{place}.name", f"there is a release {each.name} of {family.name} already, in {there.origin}")
        try:
            releases[each.name] = own_release(family, base, each, str(source.path), free=bool(family.templates))
        except InvalidRequest as wrong:
            source.wrong(f"{place}.{wrong.field}", str(wrong))
        for alias in each.aliases:
            if alias in releases or aliases.get(alias, each.name) != each.name:
                source.wrong(f"{place}.aliases", f"{alias} is the name of another release of {family.name}")
            aliases[alias] = each.name
    boots = {each.name: each for _, _, each in own if each.kernel or each.initrds or each.arguments}
    aliases = {alias: name for alias, name in aliases.items() if alias not in releases}
    return replace(family, releases=releases, aliases=aliases, context=own_context(base.context, boots), boot=None)


def _try(own: Own) -> dict[tuple[str, str], str]:
    """Render every file of every release of the operator's. ConfigError; what comes back could not be tried."""
    catalog = Catalog(own.families)
    untried = {}
    for family, release in own.added():
        try:
            parse(family.options, {}, field="options")
        except InvalidRequest as missing:
            untried[family.name, release.name] = str(missing)
            continue
        try:
            catalog.prepare(family.name, release.name, {})
        except InvalidRequest as wrong:
            if wrong.field in (
                "options",
                "options.kernelArgs",
            ):  # a template, or the release's own arguments; others are the operator's to give
                raise ConfigError(str(wrong), file=release.origin, key=f"{family.name} {release.name}") from wrong
            untried[family.name, release.name] = str(wrong)
    return untried


def _no_such(name: str, known: Sequence[str], what: str) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    return f"there is no {what} {name!r}; {f'perhaps {near[0]}' if near else 'there is ' + ', '.join(known)}"
