"""The twistd plugin is visible however pxed was installed: wheel, editable, sdist, plain checkout."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SOURCES = ["setup.py", "pyproject.toml", "README.md", "pxed", "plugins", "twisted", "templates", "MANIFEST.in"]
ASK = (
    "from twisted.plugin import getPlugins\n"
    "from twisted.application.service import IServiceMaker\n"
    "found = [p for p in getPlugins(IServiceMaker) if p.tapname == 'pxed']\n"
    "assert len(found) == 1, found\n"
    "import pxed.oses.catalog, pathlib\n"
    "root = pathlib.Path(pxed.oses.catalog.__file__).parents[1]\n"
    "assert (root / 'templates' / 'debian' / 'answers.preseed.j2').is_file(), root\n"
    "assert (root / 'store' / 'migrations' / 'env.py').is_file(), root\n"
    "print('seen', found[0].module)\n"
)


def run(*command: object, cwd: Path, **env: str) -> str:
    done = subprocess.run(
        [str(c) for c in command], cwd=cwd, env={**os.environ, **env}, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of the sources as git would give them, so that no build leaves anything in the real tree."""
    into = tmp_path / "checkout"
    into.mkdir()
    for name in SOURCES:
        source = ROOT / name
        if source.is_dir() and not source.is_symlink():
            shutil.copytree(source, into / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__", "dropin.cache"))
        else:
            shutil.copy2(source, into / name, follow_symlinks=False)
    return into


@pytest.fixture
def python(tmp_path: Path) -> Path:
    """A fresh interpreter that sees our dependencies but not our own installed pxed."""
    venv.create(tmp_path / "venv", with_pip=True)
    site = next((tmp_path / "venv" / "lib").glob("python*/site-packages"))
    ours = Path(sys.executable).parent.parent
    theirs = next((ours / "lib").glob("python*/site-packages"))
    # Plain path entries: the .pth files of `theirs` (an editable pxed among them) are not followed.
    (site / "dependencies.pth").write_text(f"{theirs}\n")
    return tmp_path / "venv" / "bin" / "python"


@pytest.mark.slow
def test_plugin_is_visible_from_a_plain_checkout(checkout: Path, tmp_path: Path, python: Path) -> None:
    assert "seen" in run(python, "-c", ASK, cwd=checkout, PYTHONDONTWRITEBYTECODE="1")
    assert "pxed" in run(python, "-m", "twisted", "--help", cwd=checkout)


@pytest.mark.slow
@pytest.mark.parametrize("how", ["wheel", "editable", "sdist"])
def test_plugin_is_visible_when_installed(how: str, checkout: Path, tmp_path: Path, python: Path) -> None:
    pip = [python, "-m", "pip", "install", "-q", "--no-deps", "--no-build-isolation", "--disable-pip-version-check"]
    if how == "editable":
        run(*pip, "-e", checkout, cwd=tmp_path)
    else:
        run(sys.executable, "-m", "build", "-n", "-q", f"--{how}", "-o", tmp_path / "dist", checkout, cwd=tmp_path)
        (artefact,) = (tmp_path / "dist").iterdir()
        run(*pip, artefact, cwd=tmp_path)
    assert "seen" in run(python, "-c", ASK, cwd=tmp_path)
    script = python.parent / "pxed"
    assert "install" in run(script, "--help", cwd=tmp_path)
