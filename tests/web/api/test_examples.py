"""The examples of docs/api.md against answers of all of pxed, running in this process: the same fields, of the same types, and the same
values where no clock, chance or path is in them. An object with ``...`` shows only some of its fields."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest

from pxed.node.model import BootKind
from pxed.web.api.installs import STATES
from pxed.web.api.shapes import _STATES
from tests.oses.scripted.appliance import Appliance
from tests.repo import media
from tests.repo.test_recognise import MEDIA
from tests.web.api.test_document import PAGE

VOLATILE = {"id", "install", "install_id", "node", "version", "uptime", "at", "first_seen", "last_seen", "created_at", "deadline", "source"}
VOLATILE |= {"error", "lateness", "boot_programs"}
"""Fields whose values say when, where or by what chance."""
MAC, OTHER = "52:54:00:12:34:56", "52:54:00:12:34:57"
SHOWN = [json.loads(text) for text in re.findall(r"^```json\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)]
EXAMPLES = dict(zip(("error", "health", "node", "install", "release", "repository", "import"), SHOWN, strict=True))
NOT_ASKED = {("GET", "/events"), ("POST", "/installs/<install_id>/restart")}
"""A stream without end (test_stream.py); and what only an install takes that is parked for a fault of pxed's own."""
ROWS = [row for row in re.findall(r"^\| `([A-Z]+) (/[^`?]*)` \|(.*)\|$", PAGE, re.MULTILINE) if row[:2] not in NOT_ASKED]
FIELDS = re.findall(r"^\| `(\w+)` \| (.*) \|$", PAGE, re.MULTILINE)


class Asked:
    """One appliance, and what it said to each route of the page: (status, JSON)."""

    def __init__(self, folder: Path) -> None:
        self.appliance = Appliance(folder, {}, repository=[{"name": "debian", "layers": ["apt"]}], interfaces=["eth1"])
        self.answers: dict[tuple[str, str], tuple[int, Any]] = {}
        tree = media.tree(folder / "rocky", dict(MEDIA["rocky"][1]))
        order = {"node": "web1", "os": "debian", "release": "13", "options": {"hostname": "web1", "rootSshKey": SSH}}
        self.error = self.ask("POST", "/nodes", body={"mak": MAC})["error"]
        self.appliance.tftp("undionly.kpxe")
        self.ask("GET", "/health")
        self.ask("POST", "/nodes", body={"mac": MAC, "name": "web1"})
        self.ask("GET", "/nodes")
        self.ask("GET", "/nodes/<handle>", "web1")
        self.ask("PATCH", "/nodes/<handle>", "web1", {"localboot": None})
        self.ask("POST", "/preview", body=order)
        self.ask("POST", "/installs", body=order)
        install = self.said("POST", "/installs")["id"]
        self.ask("GET", "/installs")
        self.ask("GET", "/installs/<install_id>", install)
        self.ask("GET", "/nodes/<handle>/events", "web1")
        self.ask("POST", "/installs/<install_id>/cancel", install)
        self.ask("POST", "/installs/<install_id>/retry", install)
        self.ask("GET", "/nodes/<handle>/dhcp", "web1")
        self.ask("POST", "/nodes/<handle>/release", "web1")
        for route in ("/oses", "/repositories", "/imports"):
            self.ask("GET", route)
        self.ask("GET", "/oses/<name>", "debian")
        self.ask("GET", "/repositories/<name>", "debian")
        self.repository = self.said("GET", "/repositories/<name>")
        self.ask("POST", "/recognise", body={"source": str(tree)})
        self.ask("POST", "/repositories", body={"source": str(folder.parent), "name": "x1"})
        self.appliance.settle()
        self.ask("GET", "/imports/<number>", self.said("POST", "/repositories")["id"])
        self.failed = self.said("GET", "/imports/<number>")
        added = self.ask("POST", "/repositories", body={"source": str(tree)})
        self.appliance.settle()
        self.ask("GET", "/imports/<number>", added["id"])
        self.ask("GET", "/imports")
        self.ask("DELETE", "/repositories/<name>", self.said("GET", "/imports/<number>")["repository"])
        node = self.appliance.up.inventory.seen(OTHER, arch=7)
        for _ in range(6):
            self.appliance.up.guard.offered(node.id, 7)
        self.refused = self.ask("GET", "/nodes/<handle>", node.id, keep=False)
        self.ask("DELETE", "/nodes/<handle>", node.id)

    def ask(self, method: str, route: str, handle: str = "", body: Any = None, *, keep: bool = True) -> Any:
        headers = {"Authorization": f"Bearer {self.appliance.settings.api_token()}"}
        path = "/api/v1" + re.sub(r"<\w+>", handle, route)
        response = self.appliance.http(method, path, b"" if body is None else json.dumps(body).encode(), headers=headers)
        answer = json.loads(response.body) if response.body else None
        if keep:
            self.answers[method, route] = (response.code, answer)
        return answer

    def said(self, method: str, route: str) -> Any:
        return self.answers[method, route][1]


SSH = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGp7uYlqvXw4T6V7kY0mXo5l1lK9f3cC0m0l3p5b1q2r me@example.com"


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asked]:
    made = Asked(tmp_path_factory.mktemp("api") / "pxed")
    yield made
    made.appliance.close()


def unlike(shown: Any, answer: Any, where: str = "") -> list[str]:
    """In what `answer` is not as `shown`, by path."""
    name = where.rpartition(".")[2]
    if type(shown) is not type(answer):
        return [f"{where}: {shown!r} is shown, {answer!r} came"]
    if isinstance(shown, dict):
        some = {key for key in shown if key != "..."}
        wrong = some ^ set(answer) if "..." not in shown else some - set(answer)
        return [f"{where}.{key}: shown or there, not both" for key in sorted(wrong)] + [
            said for key in sorted(some & set(answer)) for said in unlike(shown[key], answer[key], f"{where}.{key}")
        ]
    if isinstance(shown, list):
        lacking = [f"{where}: {len(shown)} are shown, {len(answer)} came"] if bool(shown) > bool(answer) else []
        return lacking + [said for each, found in zip(shown, answer, strict=False) for said in unlike(each, found, f"{where}.")]
    volatile = VOLATILE.intersection(where.split("."))
    return [] if shown == answer or volatile or name == "options" else [f"{where}: {shown!r} is shown, {answer!r} came"]


def names(snippet: str, depth: int | None = None) -> set[str]:
    """The names of fields in something like ``{"lines": [{"server", "file"}, ...]}``; at that depth of braces only."""
    found, level = set(), 0
    for brace, name in re.findall(r'([{}])|(?<!: )"(\w+)"(?=\s*[:,}])', snippet):
        level += {"{": 1, "}": -1, "": 0}[brace]
        if name and depth in (None, level):
            found.add(name)
    return found


def keys(value: Any) -> set[str]:
    """Every name in `value`, at any depth."""
    if isinstance(value, dict):
        return set(value).union(*(keys(each) for each in value.values()))
    return set().union(*(keys(each) for each in value)) if isinstance(value, list) else set()


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_shows_the_fields_types_and_values_that_come(asked: Asked, name: str) -> None:
    releases = next(each["releases"] for each in asked.said("GET", "/oses")["oses"] if each["name"] == "debian")
    answers = {
        "error": {"error": asked.error},
        "health": asked.said("GET", "/health"),
        "node": asked.said("GET", "/nodes")["nodes"][0],
        "install": asked.said("POST", "/installs"),
        "release": releases[0],
        "repository": asked.repository,
        "import": asked.failed,
    }
    assert unlike(EXAMPLES[name], answers[name]) == []


def test_the_example_of_an_event_shows_what_comes(asked: Asked) -> None:
    (shown,) = re.findall(r"^data: (.*)$", PAGE, re.MULTILINE)
    (answer,) = [each for each in asked.said("GET", "/nodes/<handle>/events")["events"] if each["kind"] == "install.created"]
    assert unlike(json.loads(shown), answer) == []


@pytest.mark.parametrize(("method", "route", "cells"), ROWS, ids=lambda each: each if len(each) < 40 else "")
def test_a_row_tells_the_status_and_the_fields_that_come(asked: Asked, method: str, route: str, cells: str) -> None:
    status, answer = asked.answers[method, route]
    promised = cells.rpartition(" | ")[2]
    assert route == "/health" or re.findall(r"^(\d{3})", promised.strip()) == [str(status)]
    for snippet in re.findall(r"`(\{.*?\})`", promised):
        assert names(snippet, 1) == set(answer), snippet
        assert names(snippet) <= keys(answer), snippet


def test_what_a_row_adds_to_the_example_comes(asked: Asked) -> None:
    """``a node with `verdict` ...``: everything else is as in the example."""
    node, install = set(EXAMPLES["node"]), set(EXAMPLES["install"]) - {"warnings"}
    for method, route, more in (
        ("POST", "/nodes", node),
        ("GET", "/nodes/<handle>", node | {"verdict", "install"}),
        ("PATCH", "/nodes/<handle>", node | {"verdict", "install"}),
        ("POST", "/nodes/<handle>/release", node | {"verdict", "install"}),
        ("GET", "/installs/<install_id>", install | {"steps"}),
        ("POST", "/installs/<install_id>/cancel", install),
        ("POST", "/installs/<install_id>/retry", install | {"warnings"}),
        ("GET", "/repositories/<name>", set(EXAMPLES["repository"])),
        ("GET", "/imports/<number>", set(EXAMPLES["import"])),
        ("POST", "/repositories", set(EXAMPLES["import"])),
    ):
        assert set(asked.said(method, route)) == more, (method, route)
    assert set(asked.said("GET", "/installs")["installs"][0]) == install
    assert set(asked.said("GET", "/imports")["imports"][0]) == set(EXAMPLES["import"])


@pytest.mark.parametrize(("name", "values"), FIELDS)
def test_an_explained_field_is_one_and_looks_as_it_says(asked: Asked, name: str, values: str) -> None:
    there = {**asked.said("GET", "/installs/<install_id>"), **asked.refused, "steps": asked.said("GET", "/installs/<install_id>")["steps"]}
    if name in there:
        answer = there[name][-1] if name == "steps" else there[name]
        for snippet in re.findall(r"`(\{.*?\})`", values):
            assert names(snippet, 1) == set(answer)
    else:
        assert name in PAGE.split("## What a node may call")[1], f"nothing answers with {name}"


def test_every_state_is_explained() -> None:
    of_node, of_install = (set(re.findall(r"`(\w+)`", values)) for name, values in FIELDS if name == "state")
    assert of_node == {"new", *_STATES.values()}
    assert of_install - {"reason", "last_lines", "restart"} == set(STATES)
    (boots,) = (values for name, values in FIELDS if name == "boot")
    assert {f"`{each}`" for each in get_args(BootKind)} <= set(re.findall(r"`\w+`", boots))


def test_the_comparison_finds_what_differs() -> None:
    shown = {"a": 1, "b": [{"c": "x"}], "d": None}
    assert unlike(shown, {"a": 1, "b": [{"c": "x"}, {"c": "y"}], "d": None}) == []
    for answer in ({**shown, "e": 1}, {"a": 1}, {**shown, "a": 1.0}, {**shown, "a": 2}, {**shown, "d": 0}, {**shown, "b": []}):
        assert unlike(shown, answer)
    assert unlike({"a": 1, "...": 0}, {"a": 1, "e": 2}) == []
