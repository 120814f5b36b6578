"""The nodes nobody adopted, bounded: who has to be forgotten when there are too many.

Who was seen once is on probation; who comes back becomes a regular. A flood of invented MAC addresses, each used once, pushes out
others like it and not the machines that keep asking.
"""

from __future__ import annotations

from collections import OrderedDict


class Crowd:
    """Ids of unknown nodes, at most `most`; a quarter of them are always open to newcomers."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._once: OrderedDict[str, None] = OrderedDict()
        self._regulars: OrderedDict[str, None] = OrderedDict()

    def __contains__(self, node_id: str) -> bool:
        return node_id in self._once or node_id in self._regulars

    def __len__(self) -> int:
        return len(self._once) + len(self._regulars)

    def meet(self, node_id: str) -> None:
        self._once[node_id] = None

    def again(self, node_id: str) -> None:
        """It was seen again. Nothing happens if it is not in the crowd."""
        if node_id in self:
            self._once.pop(node_id, None)
            self._regulars[node_id] = None
            self._regulars.move_to_end(node_id)

    def leave(self, node_id: str) -> None:
        """It was adopted, or is gone. Nothing happens if it is not in the crowd."""
        self._once.pop(node_id, None)
        self._regulars.pop(node_id, None)

    def push_out(self) -> str | None:
        """The one to forget now, taken out; None while there is room."""
        if len(self) <= self._most:
            return None
        crowded = self._once if len(self._once) > self._most // 4 or not self._regulars else self._regulars
        return crowded.popitem(last=False)[0]
