"""Windows' own names for time zones, languages and keyboards. Pure.

Time zones come from CLDR's windowsZones by way of `tzlocal`. Keyboards are pairs of an input language and a layout, four and eight
hexadecimal digits, as Microsoft's "Default input profiles (input locales) in Windows" lists them.
"""

from __future__ import annotations

from collections.abc import Mapping

from tzlocal.windows_tz import tz_win

OLD_ZONES: Mapping[str, str] = {
    "GMT": "UTC",
    "localtime": "UTC",
    "EST5EDT": "Eastern Standard Time",
    "CST6CDT": "Central Standard Time",
    "MST7MDT": "Mountain Standard Time",
    "PST8PDT": "Pacific Standard Time",
    "US/East-Indiana": "US Eastern Standard Time",
    "Europe/Uzhgorod": "FLE Standard Time",
    "Europe/Zaporozhye": "FLE Standard Time",
}
"""Zones of the IANA database that CLDR does not map any more, by what they are links to."""

KEYBOARDS: Mapping[str, str] = {
    "us": "0409:00000409", "us-intl": "0409:00020409", "us-dvorak": "0409:00010409", "gb": "0809:00000809", "ie": "1809:00001809",
    "ca": "0c0c:00001009", "de": "0407:00000407", "at": "0c07:00000407", "ch": "0807:00000807", "ch-fr": "100c:0000100c",
    "fr": "040c:0000040c", "be": "080c:0000080c", "nl": "0413:00000413", "es": "040a:0000040a", "latam": "080a:0000080a",
    "pt": "0816:00000816", "br": "0416:00000416", "it": "0410:00000410", "dk": "0406:00000406", "no": "0414:00000414",
    "se": "041d:0000041d", "fi": "040b:0000040b", "is": "040f:0000040f", "ee": "0425:00000425", "lv": "0426:00000426",
    "lt": "0427:00010427", "pl": "0415:00000415", "cz": "0405:00000405", "sk": "041b:0000041b", "hu": "040e:0000040e",
    "ro": "0418:00010418", "si": "0424:00000424", "hr": "041a:0000041a", "bg": "0402:00030402", "gr": "0408:00000408",
    "tr": "041f:0000041f", "ru": "0419:00000419", "ua": "0422:00020422", "il": "040d:0002040d", "jp": "0411:00000411",
    "kr": "0412:00000412", "cn": "0804:00000804", "tw": "0404:00000404",
}  # fmt: skip
"""XKB's name of a layout > LANGUAGE:LAYOUT. Chinese, Japanese and Korean get the plain keyboard, not an input method."""

_SCRIPTS: Mapping[str, str] = {"latin": "Latn", "cyrillic": "Cyrl"}
_LANGUAGES: Mapping[str, str] = {"no": "nb", "iw": "he"}


def time_zone(iana: str) -> str:
    """``Europe/Vienna`` > ``W. Europe Standard Time``. ValueError for the few that Windows has nothing for."""
    found = tz_win.get(iana) or OLD_ZONES.get(iana)
    if found is None:
        raise ValueError("a time zone that Windows has (this one is not in CLDR's table)")
    return str(found)


def locale_name(posix: str) -> str:
    """``de_AT.UTF-8`` > ``de-AT``, ``sr_RS@latin`` > ``sr-Latn-RS``."""
    name, _, variant = posix.partition("@")
    language, _, country = name.split(".")[0].partition("_")
    script = _SCRIPTS.get(variant)
    return "-".join(part for part in (_LANGUAGES.get(language, language), script, country) if part)
