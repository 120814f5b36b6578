"""Templates > text, escaped for the format the template is written in.

This file's rules
* A template's kind is in its name, before ``.j2``: ``boot.ipxe.j2`` is an iPXE script, ``late.sh.j2`` a shell script, ``x.preseed.j2``
  a preseed file. Each kind has its own Jinja2 environment.
* Whatever a template prints is escaped for its kind. `Written` marks text that already is; joining or formatting it loses the mark, so a
  mistake shows as an escape too many, never as one too few. ``|sh`` in a preseed template quotes for the shell first and then checks the
  result for preseed: formats nest.
* A new format is one line in `KINDS`.
* An undefined variable is an error (StrictUndefined). A text is compiled once per process and kind, however many renderers have it.

`TemplateProblem` for everything a template can do wrong, with its name and line.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import CodeType
from typing import Any

import jinja2
from jinja2.bccache import Bucket

import pxed
from pxed.errors import PxedError
from pxed.oses import escape, grub
from pxed.oses.escape import Unwritable

TEMPLATES = Path(pxed.__file__).parent / "templates"
"""Where the packaged templates are: the folders `boot` and one per OS family."""


class TemplateProblem(PxedError):
    """A template cannot be rendered: unknown variable, value that its format cannot carry, syntax. Names template and line."""


class Written(str):
    """Text that is already escaped for the format `kind`."""

    __slots__ = ("kind",)
    kind: str

    def __new__(cls, content: str, kind: str) -> Written:
        made = super().__new__(cls, content)
        made.kind = kind
        return made


@dataclass(frozen=True, slots=True)
class Kind:
    """A text format: how one value is escaped in it and what it is called on the wire."""

    name: str
    escape: Callable[[Any], str]
    content_type: str
    newline: str = "\n"


KINDS: Mapping[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind("ipxe", escape.ipxe, "text/plain; charset=utf-8"),
        Kind("grub", grub.word, "text/plain; charset=utf-8"),
        Kind("sh", escape.sh, "text/x-shellscript; charset=utf-8"),
        Kind("preseed", escape.preseed, "text/plain; charset=utf-8"),
        Kind("service", escape.preseed, "text/plain; charset=utf-8"),
        Kind("ks", escape.kickstart, "text/plain; charset=utf-8"),
        Kind("xml", escape.xml, "application/xml"),
        Kind("yaml", escape.json_value, "text/yaml; charset=utf-8"),
        Kind("toml", escape.toml, "application/toml"),
        Kind("cfg", escape.line, "text/plain; charset=utf-8"),
        Kind("json", escape.json_value, "application/json"),
        Kind("cmd", escape.cmd, "text/plain; charset=utf-8", newline="\r\n"),
        Kind("ini", escape.line, "text/plain; charset=utf-8", newline="\r\n"),
        Kind("txt", escape.plain, "text/plain; charset=utf-8"),
    )
}


@cache
def kind_of(template: str) -> Kind:
    """``debian/late.sh.j2`` > the kind ``sh``. TemplateProblem for a name without a known kind."""
    parts = template.removesuffix(".j2").rsplit(".", 1)
    kind = KINDS.get(parts[-1]) if template.endswith(".j2") and len(parts) == 2 else None
    if kind is None:
        raise TemplateProblem(f"{template}: the name must end with .KIND.j2, KIND one of {', '.join(sorted(KINDS))}")
    return kind


class _Compiled(jinja2.BytecodeCache):
    """What the files of one kind were compiled to, in memory, the last text of each. Safe from several threads: at worst a text is
    compiled by each."""

    def __init__(self) -> None:
        self._codes: dict[str, tuple[str, CodeType | None]] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        checksum, code = self._codes.get(bucket.key, ("", None))
        bucket.code = code if checksum == bucket.checksum else None

    def dump_bytecode(self, bucket: Bucket) -> None:
        self._codes[bucket.key] = bucket.checksum, bucket.code


_COMPILED: dict[tuple[type[jinja2.Environment], str], _Compiled] = {}
"""By class of environment and name of the kind: both have a part in what is compiled (constants are escaped then)."""


class _Environment(jinja2.Environment):
    """A template's globals are one dict: Jinja2's own chain of two is slow to copy, and is copied for every file."""

    def make_globals(self, d: MutableMapping[str, Any] | None) -> dict[str, Any]:
        return {**self.globals, **(d or {})}


class Renderer:
    """Renders the templates below `root`; one environment per kind, made when first needed. Safe to call from several threads."""

    environment_class: type[jinja2.Environment] = _Environment

    def __init__(self, root: Path = TEMPLATES, *, loader: jinja2.BaseLoader | None = None) -> None:
        self._loader = loader or jinja2.FileSystemLoader(root)
        self._environments: dict[str, jinja2.Environment] = {}

    def render(self, template: str, context: Mapping[str, Any]) -> str:
        """The text of `template` (path below the root). TemplateProblem names template and line, never a value."""
        kind = kind_of(template)
        environment = self._environments.get(kind.name) or self._environments.setdefault(kind.name, self._environment(kind))
        try:
            rendered = self._write(environment, template, context)
            return rendered if kind.newline == "\n" else rendered.replace("\n", kind.newline)
        except jinja2.TemplateNotFound as missing:
            raise TemplateProblem(f"{template}: no such template {missing.name}") from None
        except jinja2.TemplateSyntaxError as wrong:
            raise TemplateProblem(f"{wrong.name or template}, line {wrong.lineno}: {wrong.message}") from None
        except jinja2.UndefinedError as unknown:
            raise TemplateProblem(f"{template}{line_of(unknown)}: {unknown.message}") from None
        except Unwritable as refused:
            raise TemplateProblem(f"{template}{line_of(refused)}: {refused}") from None

    def _write(self, environment: jinja2.Environment, template: str, context: Mapping[str, Any]) -> str:
        return environment.get_template(template).render(context)

    def _environment(self, kind: Kind) -> jinja2.Environment:
        escaped = kind.escape

        def finish(value: Any) -> str:
            if type(value) is str:  # as nearly all are
                return escaped(value)
            if isinstance(value, jinja2.Undefined):
                str(value)  # StrictUndefined raises, and says which name
            if isinstance(value, Written) and value.kind in (kind.name, "raw"):
                return value
            return escaped(value)

        made = self.environment_class(
            loader=self._loader,
            undefined=jinja2.StrictUndefined,
            autoescape=False,  # Jinja's own escaping knows HTML only; `finish` escapes for the template's kind
            finalize=finish,
            keep_trailing_newline=True,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
            cache_size=-1,
            bytecode_cache=_COMPILED.setdefault((self.environment_class, kind.name), _Compiled()),
        )
        for other in KINDS.values():
            made.filters[other.name] = _marking(other.escape, other.name)
        made.filters["echo"] = _marking(escape.echo, "ipxe")
        for function in (grub.says, grub.words, grub.place):
            made.filters[function.__name__] = _marking(function, "grub")
        made.filters["raw"] = _marking(escape.text, "raw")
        return made


def _marking(function: Callable[[Any], str], kind: str) -> Callable[[Any], Written]:
    return lambda value: Written(function(value), kind)


def line_of(raised: BaseException) -> str:
    """``, line N`` of the innermost template frame of `raised`'s traceback."""
    found = ""
    trace = raised.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename.endswith(".j2"):
            found = f", line {trace.tb_lineno}"
        trace = trace.tb_next
    return found
