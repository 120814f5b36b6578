"""`make bench` as a command: its table, its exit status, one benchmark by name. (The figures are for a machine that is quiet.)"""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from benchmarks import __main__ as command
from benchmarks import tftp

ROOT = Path(__file__).resolve().parent.parent


def row(name: str, verdict: str) -> dict[str, str]:
    return {"name": name, "ours": "1.0 s", "peer": "2.0 s", "ratio": "0.50", "goal": "<= 1.0", "verdict": verdict}


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str | None]]:
    """Stand-ins for the benchmarks: each has one row called as itself; `tftp` is short. What they were asked for."""
    seen: list[tuple[str, str | None]] = []
    for name in command.MODULES:
        module = ModuleType(f"benchmarks.{name}")

        def rows(only: str | None, name: str = name) -> list[dict[str, str]]:
            seen.append((name, only))
            return [row(f"{name} wall", "short" if name == "tftp" else "holds")] if only is None or f"{name} wall".startswith(only) else []

        module.rows = rows  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, f"benchmarks.{name}", module)
    return seen


def test_all_of_them_end_in_one_table_and_one_that_is_short_is_status_1(
    asked: list[tuple[str, str | None]], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert command.main(["--json", str(tmp_path / "rows.json")]) == 1
    assert [name for name, _ in asked] == list(command.MODULES)
    lines = capsys.readouterr().out.splitlines()[-1 - len(command.MODULES) :]
    assert lines[0].split() == ["name", "ours", "peer", "ratio", "goal", "verdict"]
    assert [line.split()[0] for line in lines[1:]] == list(command.MODULES)
    assert [line.rsplit(maxsplit=1)[1] for line in lines[1:]] == ["holds", "short", "holds", "holds", "holds"]
    assert [each["name"] for each in json.loads((tmp_path / "rows.json").read_text())] == [f"{name} wall" for name in command.MODULES]


def test_one_by_its_name_runs_alone(asked: list[tuple[str, str | None]]) -> None:
    assert command.main(["--only", "storm"]) == 0
    assert asked == [("storm", None)]


def test_one_by_the_beginning_of_its_row(asked: list[tuple[str, str | None]], capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["--only", "http w"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()[-2:]] == ["name", "http"]


def test_a_name_that_nothing_has_is_status_2_and_says_what_there_is(
    asked: list[tuple[str, str | None]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.main(["--only", "strom"]) == 2
    assert "nothing is called 'strom': offer, tftp, http, store, storm" in capsys.readouterr().err


@pytest.mark.parametrize("name", command.MODULES)
def test_a_benchmark_that_is_not_meant_does_nothing(name: str) -> None:
    """It would measure for minutes, and fetch its peers."""
    assert importlib.import_module(f"benchmarks.{name}").rows("no row is called so") == []


@pytest.mark.parametrize(
    ("only", "cases"),
    [
        ("", len(tftp.CASES)),
        ("TFTP", len(tftp.CASES)),
        ("TFTP lock-step", 3),
        ("TFTP lock-step, 500 clients, requests lost", 1),
        ("window 4", 2),
        ("storm", 0),
    ],
)
def test_tftps_rows_are_chosen_by_the_beginning_of_their_names(only: str, cases: int) -> None:
    assert len(tftp.chosen(only)) == cases


def test_make_hands_the_name_on() -> None:
    """`make -n` says what it would run."""
    done = subprocess.run(["make", "-n", "bench", "ONLY=storm wall"], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert "-m benchmarks --only 'storm wall'" in done.stdout, done.stderr
