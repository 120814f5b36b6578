"""Where the appliance answers and with which token: arguments, then environment, then what the appliance left in its state directory."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from pxed.errors import HostProblem

DEFAULT_STATE_DIR = Path("/var/lib/pxed")
"""As `pxed.config` has it (a test holds them together); importing that here would cost every command 0.2 s for pydantic."""
START = "Start one here with `pxed up`, or name one with --url or PXED_URL"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """`url` without a slash at its end, e.g. ``http://127.0.0.1:80``; `token_from` says where the token came from, for messages."""

    url: str
    token: str = field(repr=False)
    token_from: str = ""


def find_url(state_dir: Path, url: str | None) -> str:
    """The appliance's base URL. HostProblem when none was given and none ran with this state directory, or when it is no http(s) URL."""
    return _checked(url, "--url") if url else _url_of(state_dir)


def _url_of(state_dir: Path) -> str:
    path = state_dir / "endpoint.json"
    try:
        tree = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise HostProblem(f"No appliance has run with the state directory {state_dir}", START) from None
    except OSError as e:
        raise HostProblem(f"Can't read {path}: {e.strerror}", "Run as root, or set PXED_URL and PXED_TOKEN") from e
    except ValueError as e:
        raise HostProblem(f"{path} is not JSON", "Restart the appliance, which writes it anew") from e
    url = tree.get("url") if isinstance(tree, dict) else None
    if not isinstance(url, str):
        raise HostProblem(f"{path} names no url", "Restart the appliance, which writes it anew")
    return _checked(url, str(path))


def _checked(url: str, source: str) -> str:
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        good = False
    if not good:
        raise HostProblem(f"{url!r} is not a URL", f"{source} wants one like http://10.0.0.1 or http://10.0.0.1:8080")
    return url.rstrip("/")


def find_token(state_dir: Path, token_file: Path | None, environ: Mapping[str, str]) -> tuple[str, str]:
    """(token, where it came from). HostProblem if there is none to be read; the token itself is in no message."""
    if token_file is None and environ.get("PXED_TOKEN"):
        return environ["PXED_TOKEN"].strip(), "PXED_TOKEN"
    path = token_file or state_dir / "api.token"
    try:
        token = path.read_text(encoding="ascii").strip()
    except FileNotFoundError:
        raise HostProblem(f"There is no API token in {path}", "Set PXED_TOKEN, or give --token-file or --state-dir") from None
    except OSError as e:
        raise HostProblem(f"Can't read the API token {path}: {e.strerror}", "Run as root, or set PXED_TOKEN") from e
    except UnicodeDecodeError as e:
        raise HostProblem(f"{path} holds no API token", "Give the right file with --token-file") from e
    if not token or any(c.isspace() for c in token):
        raise HostProblem(f"{path} holds no API token", "Give the right file with --token-file")
    return token, str(path)


def find(state_dir: Path, *, url: str | None, token_file: Path | None, environ: Mapping[str, str]) -> Endpoint:
    """Both. HostProblem as above; the URL is looked for first, since without an appliance the token is no matter."""
    base = find_url(state_dir, url)
    token, source = find_token(state_dir, token_file, environ)
    return Endpoint(base, token, source)
