"""Every `pxed` command that README and docs show is one that the command line takes: its subcommand, its options, its number of words."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest

from pxed.cli.main import cli

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]

_COMMAND = re.compile(r"^(?:\S+ (?:.* )?\| )?(?:sudo |\.venv/bin/)?pxed (.*)$")
_INLINE = re.compile(r"`(?:\.venv/bin/)?pxed ([^`]+)`")
_NO_FILE = "does not exist"
"""What click says of a path that is a reader's, not ours."""


def commands(page: Path) -> list[str]:
    """What stands behind ``pxed`` in code blocks, and between back quotes in the text."""
    found: list[str] = []
    fenced = False
    for line in page.read_text(encoding="utf-8").splitlines():
        fenced ^= line.lstrip().startswith("```")
        block = line.strip().removeprefix("$ ") if fenced or line.startswith("    ") else ""
        match = _COMMAND.match(block)
        found += [match[1]] if match is not None else _INLINE.findall(line)
    return found


def words(command: str) -> list[str]:
    """The words of one command: without its remark and its pipe."""
    return shlex.split(re.split(r"\s(?:\||&&|#|>|;)\s", f"{command} ")[0], comments=False)


def take(command: str) -> None:
    """UsageError unless the command line takes it. Nothing is done. A bare name (`node show`) stands for the command itself."""
    rest: list[str] = words(command)
    group: click.Command = cli
    context = click.Context(cli, info_name="pxed")
    while isinstance(group, click.Group):
        if not rest or rest == ["--help"]:
            return
        context = group.make_context(context.info_name, rest, parent=context if group is not cli else None)
        rest = [*context._protected_args, *context.args]
        _, inner, rest = group.resolve_command(context, rest)
        assert inner is not None
        group = inner
    if rest and not {"...", "--help", "--check"} & set(rest):
        try:
            group.make_context("pxed", rest, parent=context)
        except click.BadParameter as wrong:
            if _NO_FILE not in str(wrong):
                raise


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_command_of_a_page_can_be_given(page: Path) -> None:
    wrong = []
    for command in commands(page):
        try:
            take(command)
        except click.UsageError as e:
            wrong.append(f"pxed {command}: {e.format_message()}")
    assert not wrong, "\n".join(wrong)


def test_there_are_commands_to_look_at() -> None:
    assert sum(len(commands(page)) for page in PAGES) > 100


@pytest.mark.parametrize(
    "command",
    ["install web1 debian --set hostname=x", "node shew web1", "install start web1", "events web1 more", "doctor --intreface eth0"],
)
def test_a_wrong_command_is_found(command: str) -> None:
    with pytest.raises(click.UsageError):
        take(command)
