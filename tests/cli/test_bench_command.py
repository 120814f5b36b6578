"""`pxed bench`: never at somebody else's network by mistake, bounded, and with a summary that can be read."""

from __future__ import annotations

from typing import Any

import pytest
from click.testing import CliRunner

from pxed.cli import bench_command
from pxed.cli.bench_command import _print, _usable, bench
from pxed.cli.storm.driver import Summary
from pxed.errors import HostProblem, InvalidRequest


def run(*arguments: str) -> Any:
    return CliRunner().invoke(bench, arguments)


def hardware(monkeypatch: pytest.MonkeyPatch, answer: bool) -> None:
    def ends_here(_interface: str) -> bool:
        return answer

    monkeypatch.setattr(bench_command, "ends_here", ends_here)


@pytest.mark.parametrize("switch", ["--elsewhere", "--i-run-that-network"])
def test_one_of_the_two_switches_is_not_enough(switch: str) -> None:
    problem = run("-i", "lo", switch).exception
    assert isinstance(problem, InvalidRequest)
    assert "both --elsewhere and --i-run-that-network" in str(problem)


def test_an_interface_with_hardware_behind_it_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    hardware(monkeypatch, False)
    problem = run("-i", "lo").exception
    assert isinstance(problem, HostProblem)
    assert "outside this host" in str(problem)


@pytest.mark.parametrize("arguments", [("--nodes", "0"), ("--nodes", "20001"), ("--at-once", "2001"), ("--seconds", "601")])
def test_counts_and_time_are_bounded(arguments: tuple[str, str]) -> None:
    result = run("-i", "lo", *arguments)
    assert result.exit_code == 2
    assert arguments[0] in result.output


def test_a_network_that_is_none_or_not_ours_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="is no network"):
        _usable("10.0.0.0/99")
    with pytest.raises(HostProblem, match=r"can't send from 198\.51\.100\.1"):
        _usable("198.51.100.0/24")
    assert _usable("127.5.0.0/30") == ["127.5.0.1", "127.5.0.2"]


def test_the_summary_says_phases_rate_and_what_failed(capsys: pytest.CaptureFixture[str]) -> None:
    _print(Summary(nodes=3, seconds=2.0, passed=2, bytes=4_000_000, phases={"offer": [0.001, 0.002, 0.003]}, failures={"no answer": 1}))
    out = capsys.readouterr().out
    assert "2 of 3 nodes in 2.0 s" in out
    assert "1 x no answer" in out
    assert "offer" in out
    assert "3.0 ms" in out
