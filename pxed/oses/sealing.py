"""Secrets that an installer must be given as they are, and that nobody else may see: stored sealed, opened for one file.

Most passwords are hashed and forgotten (`accounts`). Some cannot be: a product key, the password of a share, an activation key, and every
password of Windows, whose answer file takes no hash. Such an option is of a `Kept` type.

This file's rules
* From the request to `close` it is a `SecretStr`; what is stored is a `Sealed`: Fernet (AES-128-CBC with HMAC-SHA256) under the key of
  the state directory. A database without that key file tells nothing.
* `reveal` makes a `SecretStr` of it again, and `cover` one that holds a mask. `Catalog` reveals for the files that the family lists in
  `plain_secrets`, and covers for every other file and for the preview.
* Of a URL with a user and a password in it (`SecretUrl`) it is still shown where it leads; one without is no secret.
* A request can't hold a sealed value: what was copied out of a database is not opened for whoever brings it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from cryptography.fernet import Fernet, InvalidToken
from pydantic import BaseModel, GetCoreSchemaHandler, SecretStr
from pydantic_core import CoreSchema, core_schema

from pxed.errors import Conflict, HostProblem, InvalidRequest

MASK = "********"
"""What stands for a secret where it is not shown."""
SEALED, SHOWN = "sealed", "shown"
"""The keys of a stored secret's JSON object: what only the key opens, and what anybody may see of it ("" for nothing)."""

_LOGIN = re.compile(r"(?<=://)[^/@\s]*@")

M = TypeVar("M", bound=BaseModel)


class CannotUnseal(Conflict):
    """A stored secret was sealed with another key, or is damaged. Says nothing of it."""


@dataclass(frozen=True, slots=True)
class Sealed:
    """A secret as it is stored, and what may be seen of it."""

    token: str
    shown: str = ""

    def __repr__(self) -> str:
        return f"Sealed({self.shown or MASK})"


class SecretUrl(SecretStr):
    """A URL with a user or a password in it."""

    @property
    def shown(self) -> str:
        """It without them."""
        return without_login(self.get_secret_value())


Kept = SecretStr | Sealed

_NEVER_SECRET = frozenset({str, int, bool, type(None)})
"""What most options are: not worth a call each, whenever a node asks for a file."""


class Reversible:
    """``Annotated[Kept, Reversible(check)]``: an option that is stored sealed. `check` gets the plain text and returns it in its usual
    spelling, or raises ValueError with what was expected, never with the value."""

    def __init__(self, check: Callable[[str], str]) -> None:
        self._check = check

    def __get_pydantic_core_schema__(self, _source: Any, _handler: GetCoreSchemaHandler) -> CoreSchema:
        written = core_schema.plain_serializer_function_ser_schema(_written)
        return core_schema.no_info_plain_validator_function(self._read, serialization=written)

    def __get_pydantic_json_schema__(self, _schema: Any, _handler: Any) -> dict[str, Any]:
        return {"type": "string", "format": "password", "writeOnly": True}

    def _read(self, value: Any) -> Kept:
        if isinstance(value, Sealed):
            return value
        if is_sealed(value):
            return Sealed(str(value[SEALED]), str(value[SHOWN]))
        text = value.get_secret_value() if isinstance(value, SecretStr) else value
        if not isinstance(text, str):
            raise ValueError("text")
        return SecretStr(self._check(text))


class ReversibleUrl(Reversible):
    """``Annotated[str | Kept, ReversibleUrl(check)]``: a URL, which is stored sealed if it holds a user or a password."""

    def __get_pydantic_json_schema__(self, _schema: Any, _handler: Any) -> dict[str, Any]:
        return {"type": "string"}

    def _read(self, value: Any) -> Any:
        found = super()._read(value)
        if isinstance(found, Sealed):
            return found
        text = found.get_secret_value()
        return SecretUrl(text) if _LOGIN.search(text) else text


def without_login(text: str) -> str:
    """`text` with user and password of any URL in it masked."""
    return _LOGIN.sub("***@", text)


def _written(value: str | Kept) -> str | dict[str, str]:
    if isinstance(value, SecretStr):
        raise AssertionError("options are stored before they are sealed")
    return {SEALED: value.token, SHOWN: value.shown} if isinstance(value, Sealed) else value


class Sealing:
    """Seals and opens with one `key` (32 bytes in URL-safe base64); by default one that nobody else has. HostProblem if it is no key.

    Safe to call from several threads.
    """

    def __init__(self, key: str | None = None) -> None:
        try:
            self._fernet = Fernet(key if key is not None else Fernet.generate_key())
        except ValueError:
            raise HostProblem(
                "sealing.key in the state directory is no key",
                "Bring the right one back. If it is lost, delete the file; installs with sealed secrets have to be ordered anew",
            ) from None

    def close(self, options: M) -> M:
        """`options` with every kept secret sealed."""
        closed: M = _changed(options, self._seal)
        return closed

    def reveal(self, options: M) -> M:
        """`options` with every sealed secret plain: for the rendering of one file. CannotUnseal."""
        opened: M = _changed(options, self._open)
        return opened

    def _seal(self, secret: Kept) -> Kept:
        if isinstance(secret, Sealed):
            return secret
        shown = secret.shown if isinstance(secret, SecretUrl) else ""
        return Sealed(self._fernet.encrypt(secret.get_secret_value().encode()).decode("ascii"), shown)

    def _open(self, secret: Kept) -> Kept:
        if not isinstance(secret, Sealed):
            return secret
        try:
            return SecretStr(self._fernet.decrypt(secret.token.encode()).decode())
        except (InvalidToken, ValueError):
            raise CannotUnseal(
                "A secret of this install was sealed with another key than this appliance has (sealing.key in its state directory): "
                "bring that file back, or order the install anew"
            ) from None


def cover(options: M) -> M:
    """`options` with a mask in place of every secret."""
    covered: M = _changed(options, lambda secret: SecretStr(getattr(secret, "shown", "") or MASK))
    return covered


def plain(secret: str | Kept | None) -> str:
    """The text of a revealed (or covered) secret, "" for none. AssertionError for a sealed one: that is not for rendering."""
    if isinstance(secret, Sealed):
        raise AssertionError("a sealed secret is rendered")
    return secret.get_secret_value() if isinstance(secret, SecretStr) else secret or ""


def refuse_sealed(options: BaseModel, field: str) -> None:
    """InvalidRequest if a request brought a sealed value; `field` is the path that `options` stands at."""
    for path, secret in _secrets(options, field):
        if isinstance(secret, Sealed):
            raise InvalidRequest(f"{path}: expected text, not what pxed has stored", field=path, expected="text")


def has_plain(options: BaseModel) -> bool:
    """Whether anything in `options` is a secret in plain text."""
    return any(isinstance(secret, SecretStr) for _, secret in _secrets(options, ""))


def is_sealed(value: Any) -> bool:
    """Whether a stored JSON value is a sealed secret."""
    return isinstance(value, Mapping) and set(value) == {SEALED, SHOWN}


def _changed(value: Any, change: Callable[[Kept], Kept]) -> Any:
    """`value` with every secret in it replaced; what holds none stays the same object."""
    if type(value) in _NEVER_SECRET:
        return value
    if isinstance(value, list):
        made = [_changed(each, change) for each in value]
        return made if any(a is not b for a, b in zip(made, value, strict=True)) else value
    if isinstance(value, SecretStr | Sealed):
        return change(value)
    if isinstance(value, BaseModel):
        new = {}
        for name, old in value.__dict__.items():
            if type(old) not in _NEVER_SECRET and old != [] and (made := _changed(old, change)) is not old:
                new[name] = made
        return value.model_copy(update=new) if new else value
    return value


def _secrets(value: Any, path: str) -> Iterator[tuple[str, Kept]]:
    if isinstance(value, SecretStr | Sealed):
        yield path, value
    elif isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield from _secrets(getattr(value, name), f"{path}.{name}")
    elif isinstance(value, list):
        for place, each in enumerate(value):
            yield from _secrets(each, f"{path}.{place}")
