"""A Python of its own, beside the appliance: for work that would hold this one's interpreter, or that may have to be killed."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from subprocess import PIPE, Popen

import pxed


def start(module: str, *arguments: str) -> Popen[bytes]:
    """``python -m MODULE ARGUMENTS`` with pipes for its standard input and output. OSError. Whoever starts it waits for it.

    Other users of this host may read the arguments.
    """
    places = [str(Path(pxed.__file__).parent.parent), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(places)}
    return Popen([sys.executable, "-m", module, *arguments], stdin=PIPE, stdout=PIPE, env=environment)
