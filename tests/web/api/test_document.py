"""docs/api.md and the code name the same routes: none is missing there, none is promised that does not exist."""

from __future__ import annotations

import re
from pathlib import Path

from tests.web.world import World

PAGE = (Path(__file__).parents[3] / "docs" / "api.md").read_text(encoding="utf-8")
FOLLOW = ("GET", "/events")
"""The one route that klein does not see (`Gate.render`)."""


def documented() -> list[tuple[str, str]]:
    """(method, path below /api/v1) at the beginning of each row of a table."""
    return re.findall(r"^\| `([A-Z]+) (/[^`?]*)` \|", PAGE, re.MULTILINE)


def routed(world: World) -> set[tuple[str, str]]:
    """The same of the code, by klein's own map. HEAD comes with GET."""
    rules = world.site.resource.children[b"api"]._inner._app.url_map.iter_rules()
    return {(method, rule.rule.removeprefix("/v1")) for rule in rules for method in rule.methods or () if method != "HEAD"} | {FOLLOW}


def test_every_route_is_in_the_page_and_every_route_of_the_page_is_in_the_code(world: World) -> None:
    code, page = routed(world), documented()
    assert len(code) > 20
    assert sorted(code - set(page)) == []
    assert sorted(set(page) - code) == []
    assert len(page) == len(set(page))
