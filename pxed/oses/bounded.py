"""Templates that operators bring: rendered by the same rules as pxed's own, in Jinja2's sandbox, and within bounds.

This file's rules
* Nodes wait for what is rendered, so what a template may do is counted: turns of loops, calls and included templates (`STEPS`), what it
  writes and the size of every text it puts together (`SIZE`), and processor time (`SECONDS`). What goes beyond is a `TemplateProblem`.
* What could do much in one step is not there: recursive loops, filters and methods that pad or repeat, formatting with a width, powers.
* Any exception of a template is a `TemplateProblem` with its name and line and never a value.

This guards against mistakes, and `apart` ends what it can't count. Who may write the configuration directory may do anything to this
appliance anyway.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from types import BuiltinFunctionType
from typing import Any

import jinja2
from jinja2 import meta, nodes, sandbox
from jinja2.compiler import CodeGenerator
from jinja2.exceptions import SecurityError
from jinja2.runtime import Macro
from jinja2.visitor import NodeTransformer

from pxed.oses import escape
from pxed.oses.render import TEMPLATES, Kind, Renderer, TemplateProblem, line_of

STEPS = 20_000
SIZE = 4 << 20
"""Characters of one file, and of one text that a template puts together."""
SECONDS = 0.5

SHIPPED = "shipped"
"""``{% include "shipped/debian/late.sh.j2" %}``: pxed's own template, from within the operator's of the same name."""

_FILTERS = {
    "abs", "capitalize", "count", "d", "default", "dictsort", "first", "float", "groupby", "int", "items", "join", "last", "length",
    "list", "lower", "map", "max", "min", "reject", "rejectattr", "replace", "reverse", "round", "select", "selectattr", "sort",
    "string", "sum", "title", "trim", "truncate", "unique", "upper", "urlencode",
}  # fmt: skip
_METHODS = {
    "startswith", "endswith", "lower", "upper", "strip", "lstrip", "rstrip", "split", "rsplit", "splitlines", "partition",
    "rpartition", "title", "capitalize", "isdigit", "isalpha", "isalnum", "count", "find", "rfind", "index", "removeprefix",
    "removesuffix", "replace", "get", "items", "keys", "values",
}  # fmt: skip


class OutOfBounds(Exception):
    """A template does more than `STEPS`, `SIZE` or `SECONDS` allow."""


@dataclass(slots=True)
class _Budget:
    until: float
    seconds: Callable[[], float]
    steps: int = STEPS
    size: int = SIZE

    def step(self) -> None:
        self.steps -= 1
        if self.steps < 0:
            raise OutOfBounds(f"it takes more than {STEPS} turns and calls")
        if self.steps % 64 == 0 and self.seconds() > self.until:
            raise OutOfBounds(f"it keeps the processor for more than {SECONDS} s")

    def write(self, size: int) -> None:
        self.size -= size
        if self.size < 0:
            raise OutOfBounds(f"it writes more than {SIZE} characters")


_BUDGET: ContextVar[_Budget] = ContextVar("budget")


def _step() -> None:
    budget = _BUDGET.get(None)
    if budget is not None:  # None while a template is compiled: the compiler works out constant expressions
        budget.step()


def _fits(size: int) -> None:
    if size > SIZE:
        raise OutOfBounds(f"it puts together more than {SIZE} characters")


def _bounded(value: Any) -> Any:
    if isinstance(value, str):
        _fits(len(value))
    elif isinstance(value, list | tuple) and len(value) > STEPS:
        raise OutOfBounds(f"a list of more than {STEPS} entries")
    return value


def _text(value: Any) -> str:
    """One value as text; a list's would be as long as it likes."""
    if isinstance(value, jinja2.Undefined):
        str(value)  # StrictUndefined raises, and says which name
    return escape.text(value)


def _counted(values: Iterable[Any], size: int = 0) -> Iterator[Any]:
    """`values`, one step each; `size`: characters that the loop's body writes each time."""
    for value in values:
        _step()
        if (budget := _BUDGET.get(None)) is not None:
            budget.write(size)
        yield value


def _is_small(value: Any) -> bool:
    return isinstance(value, float) or (isinstance(value, int) and abs(value) < 1 << 64)


def _join(values: Iterable[Any], between: str = "", attribute: str | None = None) -> str:
    parts = [_text(getattr(value, attribute) if attribute else value) for value in _counted(values)]
    _fits(sum(map(len, parts)) + len(between) * len(parts))
    return between.join(parts)


def _replace(text: Any, old: str, new: str) -> str:
    found = escape.text(text)
    _fits(len(found) + found.count(old) * len(new))
    return found.replace(old, new)


def _range(*bounds: int) -> range:
    made = range(*bounds)
    if len(made) > STEPS:
        raise OutOfBounds(f"a range of more than {STEPS} numbers")
    return made


class _Counting(NodeTransformer):
    """Loops count their turns, joined texts are measured."""

    def visit_For(self, node: nodes.For) -> nodes.Node:
        self.generic_visit(node)
        if node.recursive:
            raise jinja2.TemplateSyntaxError("a recursive loop is not available here", node.lineno)
        size = sum(len(data.data) for each in node.body for data in each.find_all(nodes.TemplateData))
        node.iter = nodes.Filter(node.iter, "_counted", [nodes.Const(size)], [], None, None)
        return node

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:
        self.generic_visit(node)
        node.nodes = [nodes.Filter(each, "string", [], [], None, None) for each in node.nodes]
        return nodes.Filter(node, "_bounded", [], [], None, None)


class _Generator(CodeGenerator):
    def visit_Template(self, node: nodes.Template, frame: Any = None) -> None:
        counting = _Counting().visit(node)
        for each in counting.find_all(nodes.Node):
            each.set_lineno(each.lineno or 1)
        counting.set_environment(self.environment)
        super().visit_Template(counting, frame)


class Sandbox(sandbox.ImmutableSandboxedEnvironment):
    """Jinja2's sandbox with less in it, and with counters."""

    code_generator_class = _Generator
    intercepted_binops = frozenset(("+", "*", "**", "%"))

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.filters = {
            **{name: each for name, each in self.filters.items() if name in _FILTERS},
            "join": _join,
            "replace": _replace,
            "string": _text,
            "_counted": _counted,
            "_bounded": _bounded,
        }
        self.globals = {"range": _range, "dict": dict, "namespace": self.globals["namespace"]}

    def get_template(self, name: Any, parent: str | None = None, globals: Any = None) -> jinja2.Template:
        _step()
        return super().get_template(name, parent, globals)

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        if isinstance(value, BuiltinFunctionType) and attr not in _METHODS:
            return False
        return super().is_safe_attribute(obj, attr, value)

    def is_safe_callable(self, obj: Any) -> bool:
        return isinstance(obj, Macro | BuiltinFunctionType) or obj is _range or obj in self.globals.values()

    def call(__self, __context: Any, __obj: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: N805 - Jinja2's own signature
        _step()
        if not __self.is_safe_callable(__obj):  # Jinja2's own message would show the object
            raise SecurityError("what is called here is not available to templates")
        if isinstance(__obj, BuiltinFunctionType) and __obj.__name__ == "replace" and isinstance(__obj.__self__, str):
            return _replace(__obj.__self__, *args)
        return super().call(__context, __obj, *args, **kwargs)

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:  # noqa: ARG002 - Jinja2's signature
        if operator == "+":
            return _bounded(left + right)
        if operator == "*":
            text, times = (left, right) if isinstance(left, str) else (right, left)
            if isinstance(text, str) and isinstance(times, int):
                _fits(len(text) * times)
            elif not (_is_small(left) and _is_small(right)):
                raise SecurityError("* is for numbers and texts only here")
            return left * right
        if operator == "%" and _is_small(left) and _is_small(right):
            return left % right
        raise SecurityError("% is for numbers only here" if operator == "%" else "powers are not available here")


class BoundedRenderer(Renderer):
    """Renders `templates` (path > text), and pxed's own for every path that is not among them. `seconds`: this thread's share of the
    processor."""

    environment_class = Sandbox

    def __init__(self, templates: Mapping[str, str], *, seconds: Callable[[], float] = time.thread_time) -> None:
        shipped = jinja2.FileSystemLoader(TEMPLATES)
        own = jinja2.FunctionLoader(lambda name: (templates[name], name, None) if name in templates else None)
        super().__init__(loader=jinja2.ChoiceLoader([own, jinja2.PrefixLoader({SHIPPED: shipped}), shipped]))
        self._seconds = seconds
        self._known: set[tuple[jinja2.Environment, str]] = set()

    def _environment(self, kind: Kind) -> jinja2.Environment:
        made = super()._environment(kind)
        finish = made.finalize
        assert finish is not None

        def measured(value: Any) -> str:
            written: str = finish(value)
            if (budget := _BUDGET.get(None)) is not None:
                budget.write(len(written))
            return written

        made.finalize = measured
        return made

    def _compiled(self, environment: jinja2.Environment, template: str) -> jinja2.Template:
        """`template`, with all that it includes: outside of the budget, since that is done once per process."""
        found = environment.get_template(template)
        if (environment, template) not in self._known:
            self._known.add((environment, template))
            source, _, _ = self._loader.get_source(environment, template)
            for each in meta.find_referenced_templates(environment.parse(source)):
                if each is not None:
                    self._compiled(environment, each)
        return found

    def _write(self, environment: jinja2.Environment, template: str, context: Mapping[str, Any]) -> str:
        compiled = self._compiled(environment, template)
        budget = _Budget(self._seconds() + SECONDS, self._seconds)
        outer = _BUDGET.set(budget)
        written = []
        try:
            for chunk in compiled.generate(context):
                budget.write(len(chunk))
                written.append(chunk)
        except (jinja2.TemplateError, escape.Unwritable) as known:
            if isinstance(known, SecurityError):
                raise TemplateProblem(f"{template}{line_of(known)}: {known}") from None
            raise
        except OutOfBounds as beyond:
            raise TemplateProblem(f"{template}{line_of(beyond)}: {beyond}") from None
        except RecursionError as endless:
            raise TemplateProblem(f"{template}{line_of(endless)}: it calls or includes itself without end") from None
        except Exception as wrong:
            raise TemplateProblem(f"{template}{line_of(wrong)}: {type(wrong).__name__} in an expression") from None
        finally:
            _BUDGET.reset(outer)
        return "".join(written)
