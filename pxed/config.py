"""One TOML file and the command line > validated settings. Every error names file, key and what was expected.

Command-line values win over the file; the file wins over defaults. Nothing here imports Twisted or touches the network; `prepare_state`
is the only function that writes.
"""

from __future__ import annotations

import base64
import os
import re
import secrets
import tomllib
from collections.abc import Mapping
from difflib import get_close_matches
from ipaddress import IPv4Address
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator, model_validator

from pxed.errors import ConfigError, HostProblem

DEFAULT_STATE_DIR = Path("/var/lib/pxed")
PATHS = ("state_dir", "os_dir", "tftproot")
"""Settings that are directories of this host."""

_LOGIN = re.compile(r"(?<=://)[^/@\s]*@")

Port = Annotated[int, Field(ge=1, le=65535)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True)


class Ports(_Section):
    """UDP and TCP ports. Only a lab changes `dhcp`, `pxe` and `tftp`: firmware asks nowhere else."""

    http: Port = 80
    dhcp: Port = 67
    pxe: Port = 4011
    tftp: Port = 69
    syslog: Port = 514


class TftpSettings(_Section):
    """Limits of the TFTP server: bytes, blocks, seconds. The MTU lowers `blksize_max` further; `window_max` 1 turns windows off."""

    max_transfers: Annotated[int, Field(ge=1, le=100_000)] = 2000
    per_client: Annotated[int, Field(ge=1, le=10_000)] = 16
    blksize_max: Annotated[int, Field(ge=512, le=65464)] = 65464
    window_max: Annotated[int, Field(ge=1, le=65535)] = 64
    idle_timeout: Annotated[float, Field(gt=0, le=600)] = 30.0
    cache_bytes: Annotated[int, Field(ge=1 << 20)] = 64 << 20


class SyslogSettings(_Section):
    """Syslog by TCP, beside UDP on the same port number: anaconda forwards by nothing else. Connections, seconds without a message."""

    tcp: bool = True
    per_client: Annotated[int, Field(ge=1, le=1000)] = 8
    max_connections: Annotated[int, Field(ge=1, le=100_000)] = 1024
    idle_timeout: Annotated[float, Field(gt=0, le=86_400)] = 3600.0


class InstallSettings(_Section):
    """`keep_days`: days after which an ended install is forgotten, 0 = never; the last one of a node stays as long as its node."""

    keep_days: Annotated[float, Field(ge=0, le=36_500)] = 365.0


class Quirk(_Section):
    """Firmware that needs to be treated unlike its class; the shape of the tables of ``pxed/dhcp/quirks.toml`` and ``[[dhcp.quirks]]``.

    Conditions: `mac` and `uuid` (option 97, as dmidecode prints it) by prefix, `vendor_class` (option 60) by beginning, `product` (SMBIOS
    product name, once the node has told it) by beginning, `arch` by code. Consequences: `boot_program` (file name or chain), `shape` (a
    shape of `pxed.dhcp.offer.SHAPES`), `blksize_max` (bytes, TFTP).
    """

    name: Annotated[str, Field(min_length=1)]
    why: str = ""
    mac: tuple[str, ...] = ()
    vendor_class: tuple[str, ...] = ()
    uuid: tuple[str, ...] = ()
    product: tuple[str, ...] = ()
    arch: tuple[int, ...] = ()
    boot_program: str | None = None
    shape: Literal["binl", "pxe10", "bare", "menu", "menu3"] | None = None
    blksize_max: Annotated[int, Field(ge=8, le=65464)] | None = None

    @field_validator("mac", "vendor_class", "uuid", "product", "arch", mode="before")
    @classmethod
    def _one_or_many(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str | int) else value

    @field_validator("mac", "uuid")
    @classmethod
    def _lower(cls, values: tuple[str, ...]) -> tuple[str, ...]:
        for value in values:
            if not value or set(value.lower()) - set("0123456789abcdef:-."):
                raise ValueError(f"a prefix in hexadecimal digits is expected, like 'b8:27:eb', not {value!r}")
        return tuple(value.lower() for value in values)

    @field_validator("mac")
    @classmethod
    def _with_colons(cls, values: tuple[str, ...]) -> tuple[str, ...]:
        """In whatever spelling: ``52-54-00`` and ``5254.00`` are ``52:54:00``."""
        digits = ("".join(character for character in value if character not in ":-.") for value in values)
        return tuple(":".join(each[at : at + 2] for at in range(0, len(each), 2)) for each in digits)

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if not (self.mac or self.vendor_class or self.uuid or self.product or self.arch):
            raise ValueError("names no condition: at least one of mac, vendor_class, uuid, product, arch")
        if self.boot_program is None and self.shape is None and self.blksize_max is None:
            raise ValueError("has no consequence: at least one of boot_program, shape, blksize_max")
        return self

    def may_match(self, vendor_class: str, arch: int | None) -> bool:
        """Whether a client of that vendor class and architecture can match at all."""
        return (not self.vendor_class or vendor_class.startswith(self.vendor_class)) and (not self.arch or arch in self.arch)

    def matches(self, mac: str, vendor_class: str, uuid: str, product: str, arch: int | None) -> bool:
        """All that it names, by beginning. `mac` and `uuid` lower case; "" for what is not known."""
        return (
            self.may_match(vendor_class, arch)
            and (not self.mac or mac.startswith(self.mac))
            and (not self.uuid or uuid.startswith(self.uuid))
            and (not self.product or product.startswith(self.product))
        )


class DhcpSettings(_Section):
    """`unknown`: what a machine nobody armed is told (``ignore`` = silence). `socket`: the bind ladder, ``auto`` or forced.

    `boot_chain`: what firmware is given first, see pxed/repo/chains.py; ``shim-grub`` and ``ipxe-signed`` are for Secure Boot.
    `quirks`: tables of the same shape as those in pxed/dhcp/quirks.toml, tried before the shipped ones.
    """

    unknown: Literal["ignore", "discover"] = "ignore"
    socket: Literal["auto", "bound", "raw"] = "auto"
    delay: Annotated[float, Field(ge=0, le=10)] = 0.0
    boot_chain: Literal["ipxe", "shim-grub", "ipxe-signed"] = "ipxe"
    quirks: tuple[Quirk, ...] = ()


class RepositorySettings(_Section):
    """A tree of installer files: layers tried in order: a directory, an .iso, an http(s) URL or ``apt`` (this host's own mirror)."""

    name: str
    layers: Annotated[tuple[str, ...], Field(min_length=1)]
    cache_bytes: Annotated[int, Field(ge=1 << 20)] = 20 << 30

    @field_validator("name")
    @classmethod
    def _name_shape(cls, name: str) -> str:
        if not re.fullmatch(r"[a-z0-9][a-z0-9._-]{0,62}", name):
            raise ValueError(f"the name of a repository has lower-case letters, digits, dots and hyphens, up to 63, not {name!r}")
        return name

    @field_validator("layers")
    @classmethod
    def _layer_shape(cls, layers: tuple[str, ...]) -> tuple[str, ...]:
        for layer in layers:
            if layer != "apt" and not layer.startswith(("/", "http://", "https://")):
                raise ValueError(
                    f"a layer is the absolute path of a directory or an .iso, an http(s) URL or 'apt', not {_LOGIN.sub('***@', layer)!r}"
                )
        return layers


class Settings(_Section):
    """All that one appliance is told. `interfaces` empty = every interface that has an IPv4 address.

    `os_dir`: the operator's own releases and families (docs/os/own.md). Without it: ``oses`` beside the configuration file if that is
    there, else below the state directory.
    """

    interfaces: tuple[str, ...] = ()
    address: IPv4Address | None = None
    state_dir: Path = DEFAULT_STATE_DIR
    os_dir: Path | None = None
    tftproot: Path | None = None
    database: SecretStr | None = None
    ports: Ports = Ports()
    dhcp: DhcpSettings = DhcpSettings()
    tftp: TftpSettings = TftpSettings()
    syslog: SyslogSettings = SyslogSettings()
    installs: InstallSettings = InstallSettings()
    repository: tuple[RepositorySettings, ...] = (RepositorySettings(name="debian", layers=("apt",)),)
    http_proxy: str | None = None

    @field_validator("http_proxy")
    @classmethod
    def _proxy_shape(cls, url: str | None) -> str | None:
        if url is not None and not re.fullmatch(r"http://[A-Za-z0-9.-]+(?::\d{1,5})?/?", url):
            raise ValueError("a proxy is http://HOST:PORT, without a user or password")
        return url

    @model_validator(mode="after")
    def _unique_repositories(self) -> Self:
        names = [each.name for each in self.repository]
        twice = {name for name in names if names.count(name) > 1}
        if twice:
            raise ValueError(f"repository names must differ; {', '.join(sorted(twice))} is there twice")
        return self

    @property
    def boot_root(self) -> Path:
        """The directory of boot programs: `tftproot`, else ``tftproot`` below the state directory."""
        return self.tftproot or self.state_dir / "tftproot"

    @property
    def own_oses(self) -> Path:
        """The directory of the operator's own releases and families; it need not exist unless `os_dir` names it."""
        return self.os_dir or self.state_dir / "oses"

    @property
    def database_url(self) -> str:
        """It may hold a password: for `pxed.store` alone."""
        return self.database.get_secret_value() if self.database is not None else f"sqlite:///{self.state_dir.absolute() / 'pxed.db'}"

    @property
    def cache_dir(self) -> Path:
        return self.state_dir / "cache"

    @property
    def token_file(self) -> Path:
        return self.state_dir / "api.token"

    @property
    def sealing_key_file(self) -> Path:
        """The key under which secrets are stored in the database (`pxed.oses.sealing`)."""
        return self.state_dir / "sealing.key"

    @property
    def endpoint_file(self) -> Path:
        return self.state_dir / "endpoint.json"

    def api_token(self) -> str:
        """The operator's bearer token; HostProblem if it can't be read (not root, or no appliance ran here yet)."""
        return _read_secret(self.token_file, "Run as root, or set PXED_TOKEN")

    def sealing_key(self) -> str:
        """The text of `sealing_key_file`. HostProblem if it can't be read."""
        return _read_secret(self.sealing_key_file, "Run as root; an appliance makes this file when it starts")


def load(path: Path | None = None, overrides: Mapping[str, Any] | None = None) -> Settings:
    """Read `path` (TOML; None = only defaults), lay `overrides` (nested dicts of the same shape) over it. Paths in the file are absolute;
    those among the overrides may be relative to where pxed is started.

    ConfigError names the file, the dotted key and what was expected.
    """
    tree: dict[str, Any] = {}
    if path is not None:
        try:
            tree = tomllib.loads(path.read_text(encoding="utf-8"))
        except OSError as e:
            raise ConfigError(f"can't be read: {e.strerror}", file=str(path)) from e
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as e:
            raise ConfigError(f"is not valid TOML: {e}", file=str(path)) from e
    _check_paths(tree, path)
    merged = _lay_over(tree, overrides or {})
    if path is not None and merged.get("os_dir") is None and (path.parent / "oses").is_dir():
        merged["os_dir"] = path.parent / "oses"
    try:
        return Settings.model_validate(merged)
    except ValidationError as e:
        first = e.errors(include_url=False)[0]
        key = ".".join(str(part) for part in first["loc"])
        raise ConfigError(_said(first, key), file=str(path or "command line"), key=key) from e


def named_repository(text: str) -> dict[str, Any]:
    """``NAME=LAYER[,LAYER...]`` of a command line > a table of `Settings.repository`. ConfigError, also for a URL with a user or password:
    every user of this host reads the command line of what runs, and pxed runs for months."""
    name, sep, layers = text.partition("=")
    if _LOGIN.search(text):
        problem = (
            "has a URL with a user or password, which every user of this host could read: name it in the configuration file (--config)"
        )
        raise ConfigError(problem, file="command line", key="--repository")
    if not sep or not layers:
        raise ConfigError(f"wants NAME=LAYER[,LAYER...], not {text!r}", file="command line", key="--repository")
    return {"name": name, "layers": layers.split(",")}


def _check_paths(tree: Mapping[str, Any], path: Path | None) -> None:
    """ConfigError for a relative path in the file: as a service pxed starts in another directory than by hand, with another state."""
    for key in PATHS:
        value = tree.get(key)
        if isinstance(value, str) and not value.strip().startswith("/"):
            raise ConfigError(f"is the absolute path of a directory, not {value!r}", file=str(path), key=key)


def _said(wrong: Mapping[str, Any], key: str) -> str:
    """What pydantic says of a value, in words for whoever wrote the file."""
    if wrong["type"] == "extra_forbidden":
        near = get_close_matches(key.rpartition(".")[2], setting_names(Settings), n=1)
        return f"is no setting of pxed{f'; perhaps {near[0]}' if near else ''}"
    return str(wrong["msg"]).removeprefix("Value error, ").replace("a valid tuple", 'a list, like ["eth1"]')


def setting_names(section: type[BaseModel]) -> list[str]:
    """Every name that may stand in the file, of all its tables."""
    names = []
    for name, field in section.model_fields.items():
        inner = [each for each in (field.annotation, *get_args(field.annotation)) if isinstance(each, type) and issubclass(each, BaseModel)]
        names += [name, *(deeper for each in inner for deeper in setting_names(each))]
    return names


def _lay_over(under: dict[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    out = dict(under)
    for key, value in over.items():
        inner = out.get(key)
        out[key] = _lay_over(inner, value) if isinstance(value, Mapping) and isinstance(inner, dict) else value
    return out


def prepare_state(settings: Settings) -> str:
    """Make the state directory (0700), boot program root, API token and sealing key (0600) where missing; return the token. HostProblem if
    not writable.

    May be called twice: an existing token or key is kept; if others could read it, its mode is mended.
    """
    make_state_dir(settings)
    try:
        settings.boot_root.mkdir(mode=0o755, parents=True, exist_ok=True)
        settings.cache_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        _keep_secret(settings.token_file, secrets.token_urlsafe(32))
        _keep_secret(settings.sealing_key_file, base64.urlsafe_b64encode(secrets.token_bytes(32)).decode("ascii"))
    except OSError as e:
        raise _unprepared(settings, e) from e
    return settings.api_token()


def make_state_dir(settings: Settings) -> None:
    """Make it where it is missing, for nobody but its owner (0700). HostProblem."""
    try:
        settings.state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as e:
        raise _unprepared(settings, e) from e


def _unprepared(settings: Settings, error: OSError) -> HostProblem:
    return HostProblem(
        f"can't prepare the state directory {settings.state_dir}: {error.strerror}",
        "Run as root, or give --state-dir a directory that you may write",
    )


def _keep_secret(path: Path, fresh: str) -> None:
    """`fresh` becomes the text of `path` unless that exists; only its owner may read it. On the disk before anything is sealed with it, and
    whole or not there. OSError."""
    if not path.exists():
        temporary = path.with_name(f".{path.name}.new")
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(fd, "w", encoding="ascii") as f:
            f.write(fresh + "\n")
            f.flush()
            os.fsync(f.fileno())
        temporary.replace(path)
        directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
    path.chmod(0o600)


def _read_secret(path: Path, remedy: str) -> str:
    try:
        return path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as e:
        why = e.strerror if isinstance(e, OSError) else "it is no text"
        raise HostProblem(f"can't read {path}: {why}", remedy) from e
