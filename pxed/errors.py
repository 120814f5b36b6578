"""The exceptions that cross rooms, split by whose fault it was.

Each message is one sentence an operator can act on; `PxedError` never wraps a secret.
"""

from __future__ import annotations


class PxedError(Exception):
    """Anything the operator should read as one sentence instead of a traceback."""


class ConfigError(PxedError):
    """The configuration is wrong: the appliance refuses to start. Says file, key and what was expected."""

    def __init__(self, message: str, *, file: str = "", key: str = "") -> None:
        where = ": ".join(part for part in (file, key) if part)
        super().__init__(f"{where}: {message}" if where else message)
        self.file = file
        self.key = key


class HostProblem(PxedError):
    """This host can't run what was asked (no root, port busy, no such interface). `remedy` is what mends it; exit status 2."""

    def __init__(self, problem: str, remedy: str = "") -> None:
        super().__init__(f"{problem}. {remedy}" if remedy else problem)
        self.problem = problem
        self.remedy = remedy


class InvalidRequest(PxedError):
    """The operator's request is refused (HTTP 422). `field` is the dotted path of what was wrong, e.g. ``options.users.0.name``."""

    def __init__(self, message: str, *, field: str = "", expected: str = "") -> None:
        super().__init__(message)
        self.field = field
        self.expected = expected


class NotFound(PxedError):
    """What the request names does not exist (HTTP 404). `field` as in InvalidRequest, where it was a field that named it."""

    def __init__(self, message: str, *, field: str = "") -> None:
        super().__init__(message)
        self.field = field


class Conflict(PxedError):
    """The request does not fit the present state (HTTP 409), e.g. a second install on a node."""


class StorageUnavailable(PxedError):
    """Our disk or database failed (HTTP 503): nothing was acknowledged that isn't stored; the caller may retry."""
