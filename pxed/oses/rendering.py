"""Where the files of nodes are rendered, so that the reactor waits for none of unknown size.

* A boot script of pxed's own templates: at once. It takes about a millisecond, since an install's options are bounded (`catalog.MOST`).
* Every other file of pxed's own: in a thread.
* Whatever an operator's template has a part in: in another thread, which waits for a process (`apart`). It holds up its own kind only.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from twisted.internet.defer import Deferred, execute

from pxed.oses.catalog import Catalog, Rendered
from pxed.oses.family import InstallView, NodeView, Urls


class Elsewhere(Protocol):
    """Runs a blocking function in a thread."""

    def __call__(self, work: Callable[..., Any], /, *args: Any) -> Deferred[Any]: ...


class Rendering:
    """The files of `catalog`'s installs. `ours` and `own` should each have one thread of their own; by default they are the caller's.

    What the methods raise: NotFound, TemplateProblem, CannotUnseal.
    """

    def __init__(self, catalog: Catalog, *, ours: Elsewhere = execute, own: Elsewhere = execute) -> None:
        self.catalog = catalog
        self._ours, self._own = ours, own

    async def profile(self, install: InstallView, node: NodeView, urls: Urls) -> str:
        """As `Catalog.profile`."""
        if not self.catalog.has_own_templates(install):
            return self.catalog.profile(install, node, urls)
        script: str = await self._own(self.catalog.profile, install, node, urls)
        return script

    async def grub(self, install: InstallView, node: NodeView, urls: Urls, mac: str) -> str:
        """As `Catalog.grub`."""
        if not self.catalog.has_own_templates(install):
            return self.catalog.grub(install, node, urls, mac)
        script: str = await self._own(self.catalog.grub, install, node, urls, mac)
        return script

    async def file(self, install: InstallView, node: NodeView, urls: Urls, name: str) -> Rendered:
        """As `Catalog.file`."""
        elsewhere = self._own if self.catalog.has_own_templates(install) else self._ours
        rendered: Rendered = await elsewhere(self.catalog.file, install, node, urls, name)
        return rendered
