"""Which of a client's options are granted, and with which values. Pure: no I/O, no fbtftp object.

RFC 2347: an option that is not understood is left out of the OACK, never an error. RFC 2348 blksize 8..65464, RFC 2349 timeout
1..255 s and tsize, RFC 7440 windowsize 1..65535. A server may answer blksize and windowsize with less, timeout only as it was asked.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

_NUMBER = re.compile(r"[0-9]{1,10}")
BLKSIZE = range(8, 65464 + 1)
TIMEOUT = range(1, 255 + 1)
WINDOWSIZE = range(1, 65535 + 1)


def granted(options: Mapping[str, str], *, blksize_max: int, window_max: int, room: int) -> dict[str, str]:
    """The options we agree to, in the client's order; values are decimal digits (D5, D6, D7).

    `room`: bytes of one block that fit into one packet of the interface (MTU less the IP, UDP and TFTP headers). Larger blocks
    would be sent in fragments, which firmware stacks and switches lose first.
    """
    agreed: dict[str, str] = {}
    for name, text in options.items():
        if not _NUMBER.fullmatch(text):
            continue
        value = int(text)
        if name == "blksize" and value in BLKSIZE:
            agreed[name] = str(max(BLKSIZE.start, min(value, blksize_max, room)))
        elif name == "timeout" and value in TIMEOUT:
            agreed[name] = str(value)
        elif name == "windowsize" and value in WINDOWSIZE:
            agreed[name] = str(min(value, window_max))
        elif name == "tsize":
            agreed[name] = str(value)
    return agreed
