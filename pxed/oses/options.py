"""CommonOptions: what can be said about any Linux that pxed installs, in one vocabulary.

RackHD's names are accepted unchanged beside the canonical ones (`names(canonical, rackhd)`); what is stored has canonical names only.
A family narrows or widens this by subclassing and lists in `refused` what it can't do. Unset options mean "the installer's own default".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any, ClassVar, Literal, Self
from zoneinfo import available_timezones

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo, field_validator, model_validator

from pxed.oses.accounts import Password, PasswordHash, SshKeys, User, hashed
from pxed.oses.disk import Disk, Partition, check_partitions, disk_choice
from pxed.oses.network import Interface, NetworkDevice, address
from pxed.oses.sealing import SHOWN, Kept, ReversibleUrl, has_plain, is_sealed, plain, without_login
from pxed.oses.strict import Strict, listed, names

SECRETS = frozenset({"rootPassword", "rootPasswordHash", "password", "passwordHash", "smbPassword", "productkey", "activationKey"})
"""Option names, at any depth, that are never shown."""

ADMINISTRATORS = frozenset({"admin", "sudo", "wheel"})
"""Groups whose members may become root, in one system or another."""

_LABEL = re.compile(r"(?!-)[A-Za-z0-9-]{1,63}(?<!-)")


def _hostname(value: str) -> str:
    if not _LABEL.fullmatch(value):
        raise ValueError("a host name without dots: letters, digits and '-', up to 63 (the domain has its own option)")
    return value.lower()


def _domain(value: str) -> str:
    if len(value) > 190 or not all(_LABEL.fullmatch(part) for part in value.split(".")):
        raise ValueError("a domain name like example.com")
    return value.lower()


def _server(value: str) -> str:
    try:
        return address(value)
    except ValueError:
        return _domain_or(value, "a host name or an address")


def _domain_or(value: str, expected: str) -> str:
    try:
        return _domain(value)
    except ValueError:
        raise ValueError(expected) from None


@cache
def _timezones() -> set[str]:
    """Read once: it walks the whole time zone database on disk (8 ms), and options are validated for every profile served."""
    return available_timezones()


def _timezone(value: str) -> str:
    if value not in _timezones():
        raise ValueError("a time zone of the IANA database, like Europe/Berlin or UTC")
    return value


def _locale(value: str) -> str:
    if not re.fullmatch(r"[a-z]{2,3}_[A-Z]{2}(?:\.UTF-8|\.utf8)?(?:@[a-z]+)?", value):
        raise ValueError("a locale with its country, like en_US.UTF-8 (C.UTF-8 makes installers ask)")
    return value.replace(".utf8", ".UTF-8")


def _url(value: str) -> str:
    found = re.fullmatch(r"https?://(?:[A-Za-z0-9.-]+|\[[0-9A-Fa-f:]+\])(?::[0-9]{1,5})?(?:/[A-Za-z0-9._~/%+:@=-]*)?", value)
    if not found:
        raise ValueError("a URL like http://mirror.example.com/debian, without user, query and fragment")
    return value.rstrip("/")


def _repo(value: str) -> str:
    if re.fullmatch(r"[a-z0-9][a-z0-9._-]{0,62}", value):
        return value
    try:
        return _url(value)
    except ValueError:
        raise ValueError(
            "the name of a repository, or a URL like http://mirror.example.com/debian, without user, query and fragment"
        ) from None


def _proxy(value: str) -> str:
    found = re.fullmatch(
        r"https?://(?:[A-Za-z0-9._~%-]+(?::[A-Za-z0-9._~%!*-]*)?@)?(?:[A-Za-z0-9.-]+|\[[0-9A-Fa-f:]+\])(?::[0-9]{1,5})?/?", value
    )
    if not found:
        raise ValueError("a proxy's URL like http://10.0.0.1:3128")
    return value


def _arguments(value: Any) -> Any:
    """RackHD's map of kernel arguments > one line of words."""
    if isinstance(value, Mapping):
        return " ".join(f"{name}={setting}" if setting not in (None, "") else str(name) for name, setting in value.items())
    return value


def _kernel_words(value: str) -> str:
    words = value.split()
    line = " ".join(words)
    if not (line.isascii() and line.isprintable()) or "${" in value:
        raise ValueError("kernel arguments in visible ASCII, without '${'")
    if {"---", "--", "#", "||", "&&", ";"}.intersection(words):
        raise ValueError("kernel arguments without the words -- --- # || && ;")
    return line


def _package(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9@][A-Za-z0-9+._:@^*/=~-]{0,100}", value):
        raise ValueError("a package's name")
    return value


def _named(value: Any) -> Any:
    """RackHD's ``interface: auto`` is no interface of that name."""
    return None if value == "auto" else value


def _commands(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


def _command(value: str) -> str:
    if "\0" in value or not value.strip():
        raise ValueError("a shell command (several lines are one script), without NUL bytes")
    return value


def _port(value: Any) -> Any:
    """RackHD's ``comport``: ``ttyS0``, ``com1``, also with a speed (``ttyS1,9600``) > the fields of `Console`."""
    if not isinstance(value, str):
        return value
    found = re.fullmatch(r"(?i:(?:/dev/)?(com|ttyS|ttyAMA|hvc|tty)([0-9]{1,2}))(?:,([0-9]{3,7})(?:n8)?)?", value.strip())
    if not found:
        return {"device": value}
    kind = {"com": "ttyS", "ttys": "ttyS", "ttyama": "ttyAMA"}.get(found[1].lower(), found[1].lower())
    number = int(found[2]) - (found[1].lower() == "com")
    return {"device": f"{kind}{number}", **({"baud": int(found[3])} if found[3] else {})}


Commands = Annotated[list[Annotated[str, AfterValidator(_command)]], BeforeValidator(_commands)]
Url = Annotated[str, AfterValidator(_url)]
KernelArguments = Annotated[str, BeforeValidator(_arguments), AfterValidator(_kernel_words)]


class Console(Strict):
    """Where the kernel and the login prompt appear besides the screen."""

    device: Annotated[str, Field(pattern=r"^(ttyS|ttyAMA|hvc|tty)[0-9]{1,2}$")]
    baud: int = Field(default=115200, ge=300, le=4_000_000)

    @property
    def argument(self) -> str:
        """The kernel argument without its key: ``ttyS0,115200n8``; screens and hypervisor consoles have no speed."""
        return f"{self.device},{self.baud}n8" if self.device.startswith(("ttyS", "ttyAMA")) else self.device


class Scripts(Strict):
    """The operator's own commands: `post` in the new system before the reboot, `firstboot` as root when it first runs."""

    post: Commands = Field(default_factory=list)
    firstboot: Commands = Field(default_factory=list)


class CommonOptions(Strict):
    """The unified options of a Linux install."""

    refused: ClassVar[Mapping[str, str]] = {}
    """Options of the unified model that this family can't do > why."""
    hidden: ClassVar[tuple[str, ...]] = ()
    """Fields of what stands inside options (``User.uid``) that this family always refuses, so that no schema shows them."""
    lost_in_arguments: ClassVar[str] = "\"'`$\\;&|<>{}"
    """What the installed system's kernel arguments can't hold. anaconda, debian-installer, curtin, YaST, Agama and setup-disk write them
    between double quotes into a file that a shell reads (/etc/default/grub), some by a sed whose replacement they are; what the shell made
    of them stands bare in a script of GRUB's, whose own characters the last seven are. Nobody on the way quotes anything."""
    kept_arguments: ClassVar[tuple[str, ...]] = ("targetKernelArgs",)
    """Options whose words the installed system's kernel gets."""
    post_install: ClassVar[str] = "post"
    """Which of `Scripts` RackHD's ``postInstallCommands`` are."""

    hostname: Annotated[str, AfterValidator(_hostname)] | None = Field(
        default=None, description="Without it the name that DHCP gives, else the OS's default"
    )
    domain: Annotated[str, AfterValidator(_domain)] | None = None
    rootPassword: Password | None = Field(
        default=None, repr=False, description="Plain text; only its hash is kept. Without password and hash root is locked"
    )
    rootPasswordHash: PasswordHash | None = Field(default=None, repr=False)
    rootSshKeys: SshKeys = Field(default_factory=list, validation_alias=names("rootSshKeys", "rootSshKey"))
    users: list[User] = Field(default_factory=list)
    locale: Annotated[str, AfterValidator(_locale)] = "en_US.UTF-8"
    keyboard: Annotated[str, Field(pattern=r"^[a-z]{2,3}(-[a-z0-9]+)?$")] = "us"
    timezone: Annotated[str, AfterValidator(_timezone)] = "UTC"
    ntpServers: Annotated[list[Annotated[str, AfterValidator(_server)]], BeforeValidator(listed)] = Field(
        default_factory=list, validation_alias=names("ntpServers", "ntp")
    )
    dnsServers: Annotated[list[Annotated[str, AfterValidator(address)]], BeforeValidator(listed)] = Field(default_factory=list)
    dnsSearch: Annotated[list[Annotated[str, AfterValidator(_domain)]], BeforeValidator(listed)] = Field(default_factory=list)
    networkDevices: list[NetworkDevice] = Field(
        default_factory=list, description="The installed system's interfaces; none: as the installer found them"
    )
    installInterface: Annotated[Interface | None, BeforeValidator(_named)] = Field(
        default=None,
        validation_alias=names("installInterface", "interface"),
        description="Interface or MAC that the installer uses; default: the one that network-booted",
    )
    disk: Annotated[Disk, BeforeValidator(disk_choice)] | None = Field(
        default=None, validation_alias=names("disk", "installDisk"), description="Without it the first fixed disk"
    )
    layout: Literal["auto", "plain", "lvm", "custom"] = Field(
        default="auto", description="auto: custom if installPartitions is given, else plain"
    )
    installPartitions: Annotated[list[Partition], AfterValidator(check_partitions)] = Field(default_factory=list)
    packages: list[Annotated[str, AfterValidator(_package)]] = Field(default_factory=list)
    scripts: Scripts = Field(default_factory=Scripts)
    onScriptFailure: Literal["report", "fail"] = Field(
        default="report", description="What a failing command of scripts does to the install"
    )
    proxy: Annotated[str | Kept, ReversibleUrl(_proxy)] | None = Field(
        default=None, repr=False, validation_alias=names("proxy", "httpProxy"), description="Kept sealed if it holds a password"
    )
    console: Annotated[Console, BeforeValidator(_port)] | None = Field(default=None, validation_alias=names("console", "comport"))
    kernelArgs: KernelArguments = Field(default="", validation_alias=names("kernelArgs", "kargs"), description="For the installer's kernel")
    targetKernelArgs: KernelArguments = Field(
        default="",
        validation_alias=names("targetKernelArgs", "grubLinuxAppend"),
        description="For the installer's and the installed kernel",
    )
    repo: Annotated[str, AfterValidator(_repo)] | None = Field(
        default=None, description="Take the installer's files from here: the name of another repository, or a URL"
    )
    remoteLogging: bool = Field(default=True, description="The installer's log goes to pxed by syslog")
    after: Literal["reboot", "poweroff", "halt"] = Field(default="reboot", description="What the node does when the installer ends")

    @model_validator(mode="before")
    @classmethod
    def _post_install_commands(cls, given: Any) -> Any:
        """RackHD's ``postInstallCommands`` > ``scripts.post``, or what `post_install` says."""
        if not isinstance(given, Mapping) or "postInstallCommands" not in given:
            return given
        scripts = given.get("scripts") or {}
        if not isinstance(scripts, Mapping) or scripts.get(cls.post_install):
            raise ValueError(f"either postInstallCommands or scripts.{cls.post_install}")
        rest = {name: value for name, value in given.items() if name != "postInstallCommands"}
        return {**rest, "scripts": {**scripts, cls.post_install: given["postInstallCommands"]}}

    @model_validator(mode="before")
    @classmethod
    def _password_instead_of_hash(cls, given: Any) -> Any:
        """A password that is asked for stands in place of a hash that is a default (`own`)."""
        if not isinstance(given, Mapping) or given.get("rootPassword") is None or "rootPasswordHash" in given:
            return given
        return {**given, "rootPasswordHash": None}

    @field_validator("kernelArgs", "targetKernelArgs")
    @classmethod
    def _survive(cls, value: str, info: ValidationInfo) -> str:
        """The way to the installed system's boot loader, as they are."""
        if info.field_name not in cls.kept_arguments:
            return value
        if lost := [letter for letter in dict.fromkeys(value) if letter in cls.lost_in_arguments]:
            raise ValueError(f"kernel arguments without {' '.join(lost)}, which would not reach the installed kernel as written")
        if value.count('"') % 2:
            raise ValueError('kernel arguments in which every double quote (") is closed')
        if any(word.startswith("#") for word in value.split()):
            raise ValueError("kernel arguments none of which begins with '#': GRUB takes the rest for a comment")
        return value

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.rootPassword is not None and self.rootPasswordHash is not None:
            raise ValueError("either rootPassword or rootPasswordHash")
        for kind, found in (
            ("names", [user.name for user in self.users]),
            ("uids", [user.uid for user in self.users if user.uid is not None]),
        ):
            if len(found) != len(set(found)):
                raise ValueError(f"users with different {kind}")
        if self.layout == "custom" and not self.installPartitions:
            raise ValueError("installPartitions, since layout is custom")
        if self.layout == "plain" and self.installPartitions:
            raise ValueError("layout custom or lvm, since installPartitions is given")
        return self

    @property
    def proxy_url(self) -> str:
        """The proxy, "" for none. For revealed options: only files of `Family.plain_secrets` are given its password."""
        return plain(self.proxy)

    @property
    def opens_by_itself(self) -> bool:
        """Whether somebody can log in and become root by an option that is this family's own."""
        return False

    def lacking(self) -> tuple[str, str] | None:
        """(option, what is expected) of one without which nothing can be installed; None if all is there. Beyond validation, since an
        operator's defaults (`own`) need not be all that an install needs."""
        return None

    def warnings(self) -> list[str]:
        """What will probably be regretted, though it can be installed: sentences for the operator, none of them with a secret."""
        if self.opens_by_itself or self.rootPassword or self.rootPasswordHash or self.rootSshKeys:
            return []
        logins = [user for user in self.users if user.password or user.passwordHash or user.sshKeys]
        if not logins:
            return [
                "Nobody can log in to the installed system: root is locked, and no user has a password or an SSH key. "
                "Give rootSshKeys, rootPassword or users, unless your scripts see to it"
            ]
        if not any(user.sudo or ADMINISTRATORS.intersection(user.groups) for user in logins):
            return [
                "Nobody can become root in the installed system: root is locked, and no user who can log in has sudo. "
                "Give one of them sudo, unless your scripts see to it"
            ]
        return []

    def sealed(self) -> Self:
        """The same options with every password hashed and forgotten that can be. Slow (see `accounts`): call it in a thread."""
        root = {} if self.rootPassword is None else {"rootPassword": None, "rootPasswordHash": hashed(self.rootPassword)}
        return self.model_copy(update={**root, "users": [user.sealed() for user in self.users]})

    def stored(self) -> dict[str, Any]:
        """Canonical JSON values, passwords as hashes or sealed; `sealed()` and `Sealing.close` must have been called. Reads back into the
        same options."""
        if has_plain(self):
            raise AssertionError("options are stored before they are sealed")
        return self.model_dump(mode="json", exclude_none=True)


def visible(options: Any) -> Any:
    """Stored options without their secrets, for the API and the console; user and password of any URL among them are masked."""
    if is_sealed(options):
        return options[SHOWN]
    if isinstance(options, Mapping):
        return {
            name: visible(value)
            for name, value in options.items()
            if name not in SECRETS and not (is_sealed(value) and not value[SHOWN])
        }  # fmt: skip
    if isinstance(options, str):
        return without_login(options)
    return [visible(value) for value in options] if isinstance(options, list | tuple) else options
