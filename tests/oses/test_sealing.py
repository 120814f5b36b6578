"""Secrets that are stored so that they can be opened again, and where they may not be seen."""

from __future__ import annotations

import json
from typing import Annotated, Any

import pytest
from pydantic import Field, SecretStr

from pxed.errors import HostProblem, InvalidRequest
from pxed.oses.catalog import Catalog, Urls
from pxed.oses.sealing import MASK, CannotUnseal, Kept, Reversible, Sealed, Sealing, cover, has_plain, plain, refuse_sealed
from pxed.oses.strict import Strict, parse
from tests.oses.families import RESOURCES, sample, secrets_of
from tests.oses.samples import URLS, FakeNode, install_of

SECRETS = ("s3cret", "ü漢 '\"\\", "x" * 500)


def _five(value: str) -> str:
    if len(value) < 5:
        raise ValueError("five characters at least")
    return value


class Inner(Strict):
    key: Annotated[Kept, Reversible(_five)]


class Outer(Strict):
    password: Annotated[Kept, Reversible(str)] | None = Field(default=None, repr=False)
    inner: list[Inner] = Field(default_factory=list)
    name: str = ""


def read(**given: Any) -> Outer:
    return parse(Outer, given, field="options")


@pytest.mark.parametrize("secret", SECRETS)
def test_what_is_sealed_comes_back_whole_and_stands_nowhere_meanwhile(secret: str) -> None:
    sealing = Sealing()
    closed = sealing.close(read(password=secret, inner=[{"key": secret}], name="n"))
    stored = closed.model_dump(mode="json")
    assert secret not in json.dumps(stored, ensure_ascii=False)
    assert secret not in repr(closed) + str(closed)
    again = sealing.reveal(Outer.model_validate(json.loads(json.dumps(stored))))
    assert (plain(again.password), plain(again.inner[0].key), again.name) == (secret, secret, "n")


def test_the_same_secret_is_never_sealed_the_same_way_twice() -> None:
    sealing = Sealing()
    assert len({sealing.close(read(password="x")).password for _ in range(5)}) == 5


def test_another_key_opens_nothing_and_the_error_tells_nothing() -> None:
    closed = Sealing().close(read(password="s3cret"))
    with pytest.raises(CannotUnseal, match="another key") as raised:
        Sealing().reveal(closed)
    assert "s3cret" not in repr(raised.value)
    assert isinstance(closed.password, Sealed)
    damaged = read(password="x").model_copy(update={"password": Sealed(closed.password.token[:-8] + "AAAAAAA=")})
    with pytest.raises(CannotUnseal):
        Sealing().reveal(damaged)


def test_a_damaged_key_file_is_refused_at_the_start() -> None:
    with pytest.raises(HostProblem, match=r"sealing\.key"):
        Sealing("nonsense")


def test_a_masked_secret_is_a_mask_sealed_or_not() -> None:
    options = read(password="s3cret", inner=[{"key": "s3cret"}])
    for each in (cover(options), cover(Sealing().close(options))):
        assert (plain(each.password), plain(each.inner[0].key)) == (MASK, MASK)


def test_a_sealed_secret_is_never_rendered_by_mistake() -> None:
    with pytest.raises(AssertionError):
        plain(Sealing().close(read(password="x")).password)


def test_plain_secrets_are_never_stored_by_mistake() -> None:
    options = read(password="x")
    assert has_plain(options)
    with pytest.raises(Exception, match="sealed"):
        options.model_dump(mode="json")
    assert not has_plain(Sealing().close(options))


def test_a_request_cannot_bring_what_was_copied_out_of_a_database() -> None:
    sealing = Sealing()
    stored = sealing.close(read(inner=[{"key": "s3cret"}])).model_dump(mode="json")
    with pytest.raises(InvalidRequest) as refused:
        refuse_sealed(read(**stored), "options")
    assert refused.value.field == "options.inner.0.key"


def test_a_refused_value_is_not_shown() -> None:
    with pytest.raises(InvalidRequest, match="five characters") as refused:
        read(inner=[{"key": "s3c"}])
    assert (refused.value.field, "s3c" in str(refused.value)) == ("options.inner.0.key", False)


def test_the_schema_says_that_it_can_only_be_written() -> None:
    assert Outer.model_json_schema()["$defs"]["Inner"]["properties"]["key"] == {
        "format": "password",
        "type": "string",
        "writeOnly": True,
        "title": "Key",
    }


def test_options_without_secrets_stay_the_same_object() -> None:
    options = read(name="n")
    assert Sealing().close(options) is options
    assert cover(options) is options


def test_secret_strings_are_what_is_looked_for() -> None:
    assert isinstance(read(password="x").password, SecretStr)


# ---- in the catalog: Windows has the most of them


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return Catalog(resources=RESOURCES)


def test_only_the_files_that_may_hold_secrets_are_rendered_with_them(catalog: Catalog) -> None:
    asked = sample("windows", "full")
    install = install_of(catalog.prepare("windows", "2022", asked))
    files = {name: catalog.file(install, FakeNode(), URLS, name).body.decode() for name in catalog.families["windows"].files}
    assert asked["productkey"].upper() in files["unattend.xml"]
    assert asked["smbPassword"].replace("%", "%%") in files["share.cmd"]
    everything = "".join(text for name, text in files.items() if name not in ("unattend.xml", "share.cmd"))
    everything += catalog.profile(install, FakeNode(), URLS)
    assert not [secret for secret in secrets_of(asked) if secret.upper() in everything.upper()]


def test_a_preview_shows_masks(catalog: Catalog) -> None:
    asked = sample("windows", "full")
    shown = catalog.preview(catalog.prepare("windows", "2022", asked), FakeNode(), URLS)
    assert f'"{MASK}"' in shown["share.cmd"]
    assert f"<ProductKey>{MASK}</ProductKey>" in shown["unattend.xml"]
    assert asked["productkey"].upper() not in "".join(shown.values())


def test_the_api_is_shown_nothing_not_even_what_is_sealed(catalog: Catalog) -> None:
    asked = sample("windows", "full")
    stored = catalog.prepare("windows", "2022", asked).options
    assert json.dumps(stored).count('"sealed"') == len(secrets_of(asked))
    shown = json.dumps(catalog.visible(stored))
    assert "sealed" not in shown
    assert "gAAAA" not in shown


def test_an_appliance_with_another_key_says_so_and_renders_the_rest(catalog: Catalog) -> None:
    install = install_of(catalog.prepare("windows", "2022", sample("windows", "full")))
    other = Catalog(resources=RESOURCES)
    with pytest.raises(CannotUnseal):
        other.file(install, FakeNode(), URLS, "unattend.xml")
    with pytest.raises(CannotUnseal):
        other.check(install)
    catalog.check(install)
    assert other.profile(install, FakeNode(), Urls("http://10.0.2.2", "t")).startswith("#!ipxe")
