"""`python -m benchmarks [--only NAME] [--json FILE]`: every benchmark, then one table: name, ours, peer, ratio, goal, holds or short.

A benchmark is a module here with ``rows(only: str | None) -> list[dict]``; a row has the keys of `COLUMNS`, all of them text.
Exit status 0 when every row holds, 1 when one is short, 2 when nothing is called NAME.
"""

from __future__ import annotations

import argparse
import importlib
import json
import signal
import sys
from pathlib import Path

MODULES = ("offer", "tftp", "http", "store", "storm")
COLUMNS = ("name", "ours", "peer", "ratio", "goal", "verdict")


def table(rows: list[dict[str, str]]) -> str:
    """Rows as aligned text, a header first."""
    cells = [COLUMNS, *(tuple(str(row[c]) for c in COLUMNS) for row in rows)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(COLUMNS))]
    return "\n".join("  ".join(value.ljust(width) for value, width in zip(row, widths, strict=True)).rstrip() for row in cells)


def main(words: list[str] | None = None) -> int:
    ap = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    ap.add_argument("--only", help=f"one of {', '.join(MODULES)}, or the beginning of a row's name")
    ap.add_argument("--json", type=Path, help="write the rows there as well")
    asked = ap.parse_args(words)
    chosen = [asked.only] if asked.only in MODULES else list(MODULES)
    rows: list[dict[str, str]] = []
    for name in chosen:
        print(f"== {name}", flush=True)
        rows += importlib.import_module(f"benchmarks.{name}").rows(None if asked.only == name else asked.only)
    if not rows:
        print(f"nothing is called {asked.only!r}: {', '.join(MODULES)}, or the beginning of a row's name", file=sys.stderr)
        return 2
    print("\n" + table(rows))
    if asked.json:
        asked.json.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")
    return 0 if all(row["verdict"] == "holds" for row in rows) else 1


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # whoever runs out of patience leaves no server behind
    sys.exit(main())
