"""Requests for Fedora CoreOS: Flatcar's, from another tree and with the interface to install by."""

from __future__ import annotations

from typing import Any

from tests.oses import samples, samples_flatcar

_EXTRA: dict[str, Any] = {"repo": "http://mirror.example.com:81/fcos", "installInterface": "52-54-00-AA-BB-CC"}
FULL: dict[str, Any] = {**samples_flatcar.FULL, **_EXTRA}
HOSTILE: dict[str, Any] = {**samples_flatcar.HOSTILE, **_EXTRA, "targetKernelArgs": samples.HOSTILE_TARGET + ' d.w="two words"'}
