"""Fixtures of the lab: the prepared assets, a scene per module, and a clean end whatever happens."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from twisted.internet import reactor

from tests.lab import assets, host
from tests.lab.assets import Assets
from tests.lab.interrupt import unwinding
from tests.lab.scene import Scene


def tell(text: str) -> None:
    """What the lab does, on the terminal while it does it (the make targets run pytest with -s)."""
    print(text, flush=True)


@pytest.fixture(scope="session")
def say() -> Callable[[str], None]:
    return tell


@pytest.fixture(scope="session", autouse=True)
def _able(request: pytest.FixtureRequest) -> Iterator[None]:
    """Skips what needs the lab where it can't run, in words; SIGTERM then unwinds the fixtures as Ctrl-C does."""
    if not any(item.get_closest_marker("lab") for item in request.session.items):
        yield
        return
    problem = host.missing()
    if problem:
        pytest.skip(problem)
    with unwinding(reactor):
        yield


@pytest.fixture(scope="session")
def debian() -> Assets:
    """Debian 12's installer and packages, prepared once."""
    prepared = assets.prepare("12", say=tell)
    for line in assets.describe(prepared):
        tell(line)
    return prepared


@pytest.fixture(scope="module")
def scene(request: pytest.FixtureRequest, debian: Assets) -> Iterator[Scene]:
    """A lab with a pxed that runs, for the module's tests; each takes machines of its own. Its logs are kept when one of them fails."""
    failed = request.session.testsfailed
    with Scene(debian, name=request.module.__name__.rsplit(".", 1)[-1], say=tell) as built:
        yield built
        if request.session.testsfailed > failed:
            built.keep_artifacts()
