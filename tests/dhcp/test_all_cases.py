"""The reference's cases are all here: `pytest -k test_case_` runs one test or more for each number from 1 to 108."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
NUMBERS = set(range(1, 109))
LAB = {106}
"""Those that need real firmware: marked ``lab``."""


def _cases() -> list[tuple[int, Path, str]]:
    """(number, file, decorators of the function and markers of its module) of each test function that carries a number."""
    found = []
    for path in sorted(TESTS.rglob("test_*.py")):
        text = path.read_text(encoding="utf-8")
        if "def test_case_" not in text:
            continue
        tree = ast.parse(text)
        marks = " ".join(ast.unparse(each) for each in tree.body if isinstance(each, ast.Assign) and "pytestmark" in ast.unparse(each))
        for each in tree.body:
            if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef) and (match := re.match(r"test_case_(\d{3})", each.name)):
                found.append((int(match[1]), path, marks + " ".join(ast.unparse(mark) for mark in each.decorator_list)))
    return found


def test_every_number_from_1_to_108_has_a_test_and_there_is_no_other() -> None:
    assert {number for number, _, _ in _cases()} == NUMBERS


def test_only_what_needs_real_firmware_is_left_to_the_lab() -> None:
    assert {number for number, _, marks in _cases() if "mark.lab" in marks} == LAB


def test_no_case_is_skipped_for_good() -> None:
    """Only a missing program of the host may skip one (`pytest.skip` in its body); no mark does."""
    assert [number for number, _, marks in _cases() if re.search(r"mark\.(skip|xfail)", marks)] == []


@pytest.mark.slow
@pytest.mark.parametrize(("words", "all_of_them"), [((), True), (("-m", "not lab"), False)])
def test_asking_for_the_cases_runs_the_slow_ones_and_those_on_firmware_too(words: tuple[str, ...], all_of_them: bool) -> None:
    """Unless the operator's own choice of markers says otherwise."""
    places = [str(path) for path in {path for _, path, _ in _cases()}]
    command = [sys.executable, "-m", "pytest", "--collect-only", "-p", "no:cacheprovider", "-k", "test_case_", *words, *places]
    done = subprocess.run(command, cwd=TESTS.parent, capture_output=True, text=True, timeout=300, check=False)
    found = {int(number) for number in re.findall(r"::test_case_(\d{3})", done.stdout)}
    assert found == (NUMBERS if all_of_them else NUMBERS - LAB), done.stdout[-2000:]
