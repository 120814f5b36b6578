"""An operator's release or family, as values of `Release`, `Family` and its options. Pure."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any

from pydantic import Field, create_model

from pxed.errors import InvalidRequest
from pxed.oses.family import ARM64, Context, Family, NodeView, Release, Resources, Urls, repository
from pxed.oses.options import CommonOptions
from pxed.oses.own_model import OwnRelease

LINUX = "boot/linux.ipxe.j2"
"""The boot script of every family whose installer is a kernel with initrds."""


def own_release(family: Family, base: Family, own: OwnRelease, origin: str, *, free: bool) -> Release:
    """The release `own` of `family`, like one of `base`'s. `free`: the family has templates of its own, which may read data of any name.

    InvalidRequest names the field.
    """
    wanted = own.like or (own.name if own.name in base.releases else next(iter(base.releases)))
    like = base.releases.get(base.aliases.get(wanted, wanted))
    if like is None:
        raise InvalidRequest(f"there is no release {own.like!r} of {base.name}; there is {', '.join(base.releases)}", field="like")
    if (own.kernel or own.initrds) and base.profile != LINUX:
        raise InvalidRequest(f"{base.title} is not started as a kernel with initrds", field="kernel" if own.kernel else "initrds")
    if own.arguments and "kernelArgs" in base.options.refused:
        raise InvalidRequest(f"{base.title} takes no kernel arguments", field="arguments")
    data = {**like.data, **_checked(own.data, like.data, free=free)}
    data["repository"] = own.repository or f"{family.name}-{own.name}".lower()
    if own.needs is not None:
        data["needs"] = own.needs
    return Release(own.name, own.title or f"{family.title} {own.name}", data, origin, like.like or like.name)


def _checked(given: Mapping[str, Any], known: Mapping[str, Any], *, free: bool) -> dict[str, Any]:
    """`given` in the types that `known` has. InvalidRequest."""
    made = {}
    known = {"expected_bytes": 0, "one_tree": False, **known}
    for name, value in given.items():
        if name in ("repository", "needs"):
            raise InvalidRequest(f"stands beside data, as {name}", field=f"data.{name}")
        if name not in known and not free:
            near = difflib.get_close_matches(name, known, n=1)
            raise InvalidRequest(f"is not known; {f'perhaps {near[0]}' if near else 'there is ' + ', '.join(known)}", field=f"data.{name}")
        made[name] = tuple(value) if isinstance(value, list) else value
        expected = type(known.get(name, made[name]))
        if type(made[name]) is not expected:
            kind = {str: "text", int: "a number", bool: "true or false", tuple: "a list"}.get(expected, expected.__name__)
            raise InvalidRequest(f"expected {kind}", field=f"data.{name}")
    return made


def own_context(base: Context, boots: Mapping[str, OwnRelease]) -> Context:
    """The context `base`, with kernel, initrds and arguments of the releases in `boots`, and `data` for the operator's templates."""

    def of(release: Release, options: Any, node: NodeView, urls: Urls, resources: Resources) -> dict[str, Any]:
        own = boots.get(release.name) if release.origin else None
        if own is not None and own.arguments:
            options = options.model_copy(update={"kernelArgs": f"{own.arguments} {options.kernelArgs}".strip()})
        made = {**base(release, options, node, urls, resources), "data": release.data}
        if own is not None and (own.kernel or own.initrds):
            tree = urls.tree(options.repo, repository("", release, node.arch))
            boot = made["boot"]
            made["boot"] = replace(
                boot,
                kernel=f"{tree}/{_placed(own.kernel, node)}" if own.kernel else boot.kernel,
                initrds=tuple(f"{tree}/{_placed(each, node)}" for each in own.initrds) if own.initrds else boot.initrds,
            )
        return made

    return of


def _placed(path: str, node: NodeView) -> str:
    arm = node.arch in ARM64
    return path.replace("{arch}", "arm64" if arm else "amd64").replace("{machine}", "aarch64" if arm else "x86_64")


def defaulted(options: type[CommonOptions], given: CommonOptions, name: str) -> type[CommonOptions]:
    """`options` with what is set in `given` as defaults."""
    fields: dict[str, Any] = {}
    annotated: Any = Annotated
    for field in given.model_fields_set:
        info = options.model_fields[field]
        kind = annotated[info.annotation, *info.metadata] if info.metadata else info.annotation
        default = Field(default=getattr(given, field), validation_alias=info.validation_alias, description=info.description, repr=info.repr)
        fields[field] = (kind, default)
    if not fields:
        return options
    return create_model(f"{options.__name__}Of{name.title().replace('-', '')}", __base__=options, **fields)
