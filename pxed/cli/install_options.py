"""From the command line's words to an install's options: dotted paths, JSON values, files; and no secret among the words.

What stands on a command line is seen by every user of the host (`ps`), kept in the shell's history and often logged. So an option that is
secret takes its value from a file (``@FILE``) or from standard input (``-``) only. No I/O but the `read` that is passed in.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from pxed.errors import InvalidRequest

Read = Callable[[str], str]
"""File name (``-`` = standard input) > its text; raises InvalidRequest itself."""

_SECRET = re.compile(r"pass(?!ive)|secret|private|credential|product_?key|activation_?key|token", re.IGNORECASE)
_MAX_INDEX = 1000


def is_secret(name: str) -> bool:
    """Whether an option of this name must not stand on a command line: passwords, their hashes, tokens, private and product keys."""
    return bool(_SECRET.search(name))


def has_password(text: str) -> bool:
    """Whether there is a URL with user and password in `text`."""
    return re.search(r"://[^/@\s:]*:[^/@\s]+@", text) is not None


def parse_assignments(items: Sequence[str], read: Read, onto: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """``["hostname=web1", "users.0.name=alice"]`` laid over `onto` (left as it is). InvalidRequest names the path and what was expected.

    A value is JSON if it reads as JSON, else text; ``@FILE`` is that file's text, ``-`` standard input's, each without its last newline.
    """
    tree: dict[str, Any] = json.loads(json.dumps(onto or {}))
    for item in items:
        path, sep, text = item.partition("=")
        segments = path.split(".")
        if not sep or not all(segments):
            raise InvalidRequest(f"-o {path if sep else 'VALUE'} is no assignment: it wants key=value, e.g. -o hostname=web1", field=path)
        set_path(tree, segments, _value(path, text, read))
    return tree


def _value(path: str, text: str, read: Read) -> Any:
    if text == "-" or (text.startswith("@") and len(text) > 1):
        return read("-" if text == "-" else text[1:]).rstrip("\r\n")
    if is_secret(path):
        raise InvalidRequest(_explain(path), field=path, expected="@FILE or -")
    if has_password(text):
        raise InvalidRequest(_explain(f"{path} has a URL with a password, which"), field=path, expected="@FILE or -")
    try:
        value = json.loads(text)
    except ValueError:
        return text
    for inner in _names(value):
        if is_secret(inner):
            raise InvalidRequest(_explain(f"{path} holds {inner}, which"), field=path, expected="@FILE or -")
    return value


def _explain(what: str) -> str:
    return (
        f"{what} is a secret and isn't taken from the command line, where every user of this host can read it: "
        f"give it as @FILE, as - for standard input, in --options-file, or use --root-password-prompt"
    )


def _names(value: Any) -> Iterator[str]:
    """Every key in a JSON value, at any depth."""
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield str(name)
            yield from _names(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _names(inner)


def set_path(tree: dict[str, Any], segments: Sequence[str], value: Any) -> None:
    """Set ``a.0.b``; digits count a list's entries from 0, the next free number appends. InvalidRequest if the path does not fit."""
    here: Any = tree
    for position, segment in enumerate(segments):
        path = ".".join(segments[: position + 1])
        last = position == len(segments) - 1
        following: Any = value if last else [] if segments[position + 1].isdigit() else {}
        if isinstance(here, list):
            index = _index(segment, len(here), path)
            if index == len(here):
                here.append(following)
            elif last:
                here[index] = value
            here = here[index]
        elif isinstance(here, dict):
            if last or segment not in here:
                here[segment] = following
            here = here[segment]
        else:
            parent = ".".join(segments[:position])
            raise InvalidRequest(f"{path} does not fit: {parent} is a plain value already", field=path)


def _index(segment: str, length: int, path: str) -> int:
    if not segment.isdigit() or len(segment) > 4:
        raise InvalidRequest(f"{path} does not fit: there is a list here, and its entries are counted 0, 1, 2 ...", field=path)
    index = int(segment)
    if index > length or index > _MAX_INDEX:
        raise InvalidRequest(f"{path} leaves a gap: the list has {length} so far, so the next one is {length}", field=path)
    return index


def parse_options_file(name: str, text: str) -> dict[str, Any]:
    """A whole options tree from JSON or TOML, by the name's ending (standard input ``-`` is JSON). InvalidRequest says where it broke."""
    low = name.lower()
    if low.endswith((".yaml", ".yml")):
        raise InvalidRequest(f"{name}: YAML is not read; use JSON or TOML", field="--options-file")
    try:
        tree = tomllib.loads(text) if low.endswith(".toml") else json.loads(text)
    except tomllib.TOMLDecodeError as e:
        raise InvalidRequest(f"{name} is not valid TOML: {e}", field="--options-file") from e
    except ValueError as e:
        raise InvalidRequest(f"{name} is not valid JSON: {e}", field="--options-file") from e
    if not isinstance(tree, dict):
        raise InvalidRequest(f"{name} holds no options: an object (a table) was expected", field="--options-file")
    return json.loads(json.dumps(tree, default=str))  # type: ignore[no-any-return]


def parse_ssh_keys(name: str, text: str) -> list[str]:
    """The public keys in a ``.pub`` or ``authorized_keys`` file. InvalidRequest for a private key, before anything of it is sent."""
    if "PRIVATE KEY" in text:
        raise InvalidRequest(f"{name} is a private key: give the public one ({name}.pub)", field="--ssh-key")
    keys = [line.strip() for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    if not keys:
        raise InvalidRequest(f"{name} holds no SSH public key", field="--ssh-key")
    return keys
