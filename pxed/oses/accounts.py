"""Who may log in to what is installed: passwords, their hashes, SSH keys, users.

A password lives as a `SecretStr` from the request to `sealed()` and no longer: what is stored, rendered or shown holds its SHA-512 crypt
(``$6$``, glibc's "Unix crypt using SHA-256 and SHA-512", Drepper 2007). Hashing takes about 50 ms: call it in a thread.
"""

from __future__ import annotations

import re
import warnings
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, model_validator

from pxed.oses.strict import Strict, lines, names

with warnings.catch_warnings():
    # passlib 1.7.4 tries Python's `crypt`, which warns before 3.13 and is gone from then on; its own implementation takes over.
    warnings.simplefilter("ignore", DeprecationWarning)
    from passlib.hash import sha512_crypt

ROUNDS = 100_000
"""SHA-512 crypt rounds: about 30-70 ms for us and for each login on the node."""

_HASH = re.compile(r"\$(?:6|5|y|gy|7|2[aby])\$[A-Za-z0-9./$=,]{20,200}")
_USER = re.compile(r"(?![0-9]+\Z)[A-Za-z0-9_][A-Za-z0-9_.-]{0,31}")
_GROUP = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,31}")
_OPTIONS = r"(?:[a-zA-Z0-9,=\"\-_.*?!:/@ ]+ )?"
_KIND = r"(?:ssh-(?:rsa|ed25519|dss)|ecdsa-sha2-nistp(?:256|384|521)|sk-[a-z0-9@.-]+)"
_KEY = re.compile(_OPTIONS + _KIND + r" [A-Za-z0-9+/]{16,}={0,3}(?: .*)?")


def hashed(password: SecretStr) -> str:
    """SHA-512 crypt of `password` with a fresh salt."""
    return str(sha512_crypt.using(rounds=ROUNDS).hash(password.get_secret_value()))


def _password(value: SecretStr) -> SecretStr:
    secret = value.get_secret_value()
    if not secret or len(secret) > 512 or any(ord(letter) < 32 or ord(letter) == 127 for letter in secret):
        raise ValueError("a password of 1 to 512 characters without control characters")
    return value


def _password_hash(value: str) -> str:
    if not _HASH.fullmatch(value):
        raise ValueError("a crypt(3) hash that begins with $6$, $5$, $y$ or $2b$ (as from `mkpasswd -m sha-512`)")
    return value


def _ssh_key(value: str) -> str:
    if not value.isprintable() or not _KEY.fullmatch(value.strip()):
        raise ValueError("an OpenSSH public key, like 'ssh-ed25519 AAAAC3Nz... name@host'")
    return value.strip()


def _user_name(value: str) -> str:
    if value == "root" or not _USER.fullmatch(value):
        raise ValueError(
            "a user name of letters, digits, '_', '-' and '.', up to 32 long; root's own options are rootPassword and rootSshKeys"
        )
    return value


def _group_name(value: str) -> str:
    if not _GROUP.fullmatch(value):
        raise ValueError("a group name of letters, digits, '_', '-' and '.', up to 32 long")
    return value


def _shell(value: str) -> str:
    if not re.fullmatch(r"/[A-Za-z0-9._/-]{1,100}", value):
        raise ValueError("the absolute path of a shell, like /bin/bash")
    return value


def _gecos(value: str) -> str:
    if not value.isprintable() or any(letter in value for letter in ":,") or len(value) > 255:
        raise ValueError("a full name in one line of at most 255 characters without ':' and ','")
    return value


Password = Annotated[SecretStr, AfterValidator(_password)]
PasswordHash = Annotated[str, AfterValidator(_password_hash)]
SshKeys = Annotated[list[Annotated[str, AfterValidator(_ssh_key)]], BeforeValidator(lines)]


class User(Strict):
    """One account besides root. Without password and key it exists but nobody can log in as it."""

    name: Annotated[str, AfterValidator(_user_name)]
    password: Password | None = Field(default=None, repr=False, description="Plain text; only its hash is kept")
    passwordHash: PasswordHash | None = Field(default=None, repr=False, description="crypt(3) hash, instead of password")
    sshKeys: SshKeys = Field(default_factory=list, validation_alias=names("sshKeys", "sshKey"))
    uid: int | None = Field(default=None, ge=500, le=65533)
    groups: list[Annotated[str, AfterValidator(_group_name)]] = Field(default_factory=list)
    sudo: bool = Field(default=False, description="May run everything as root; asks for the password if there is one")
    shell: Annotated[str, AfterValidator(_shell)] = "/bin/bash"
    gecos: Annotated[str, AfterValidator(_gecos)] = Field(default="", description="Full name")

    @model_validator(mode="after")
    def _one_password(self) -> User:
        if self.password is not None and self.passwordHash is not None:
            raise ValueError("either password or passwordHash")
        return self

    def sealed(self) -> User:
        """The same user with the password hashed and forgotten."""
        if self.password is None:
            return self
        return self.model_copy(update={"password": None, "passwordHash": hashed(self.password)})
