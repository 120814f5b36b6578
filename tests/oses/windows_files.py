"""What pxed writes for Windows, and an answer file's parts: for the tests of it."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any
from xml.etree import ElementTree

import pytest

from pxed.errors import InvalidRequest
from pxed.oses.catalog import Catalog
from pxed.oses.windows import RELEASES, WINDOWS
from tests.oses.families import CASES, RESOURCES, sample
from tests.oses.samples import URLS, FakeNode, install_of

CATALOG = Catalog(resources=RESOURCES)
EVERY = pytest.mark.parametrize(("release", "case"), [(release, case) for release in RELEASES for case in CASES])
NAMESPACE = "{urn:schemas-microsoft-com:unattend}"
WCM = "{http://schemas.microsoft.com/WMIConfig/2002/State}"


@cache
def files(release: str, case: str) -> dict[str, str]:
    """Every file as the node gets it, with secrets."""
    return rendered(release, sample("windows", case))


def rendered(release: str, options: dict[str, Any], *, catalog: Catalog = CATALOG) -> dict[str, str]:
    install = install_of(catalog.prepare("windows", release, options))
    names = [*WINDOWS.files, *(each for each in catalog.preview(catalog.prepare("windows", release, options), None, URLS) if "-" in each)]
    made = {name: catalog.file(install, FakeNode(), URLS, name).body.decode() for name in dict.fromkeys(names)}
    return {**made, "boot.ipxe": catalog.profile(install, FakeNode(), URLS)}


def refused(release: str, catalog: Catalog = CATALOG, **options: Any) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as raised:
        catalog.prepare("windows", release, {**sample("windows", "minimal"), **options})
    return raised.value


def answers(text: str) -> ElementTree.Element:
    return ElementTree.fromstring(text)


def leaves(element: ElementTree.Element, path: str = "") -> Iterator[tuple[str, str]]:
    """(path, text) of everything below `element` that has no children."""
    for child in element:
        here = f"{path}/{child.tag.removeprefix(NAMESPACE)}".lstrip("/")
        if len(child):
            yield from leaves(child, here)
        else:
            yield here, child.text or ""


def component(text: str, of_pass: str, name: str) -> ElementTree.Element:
    (found,) = [
        part
        for settings in answers(text)
        if settings.get("pass") == of_pass
        for part in settings
        if part.get("name") == name
    ]  # fmt: skip
    return found


def values(text: str, of_pass: str, name: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for path, value in leaves(component(text, of_pass, name)):
        found.setdefault(path, []).append(value)
    return found
