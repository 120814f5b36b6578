"""`pxed repo`: what it asks the appliance for, and what it makes of the answers."""

from __future__ import annotations

from typing import Any

import pytest

from pxed.cli.repo_commands import progress, source_of
from tests.cli.fake import Appliance, Json, an_error

MEDIUM: Json = {
    "family": "windows",
    "release": "2022",
    "version": "10.0.20348",
    "arch": "x86_64",
    "title": "Windows Server 2022",
    "volume_id": "SSS_X64FRE_EN-US_DV9",
    "facts": {"installer": "windows-setup", "editions": [{"index": 1, "name": "Standard\x1b[31m", "edition": "S"}], "boot_cfg": "x" * 500},
    "notes": ["A note."],
}


def a_repository(**more: Any) -> Json:
    return {
        "name": "windows-2022",
        "configured": False,
        "sources": ["/srv/iso/w.iso"],
        "path": "/repo/windows-2022/",
        "image": "/repo/windows-2022.iso",
        "medium": MEDIUM,
        "note": None,
        "added_at": "2026-05-22T11:00:00.000Z",
        **more,
    }


def a_job(**more: Any) -> Json:
    return {
        "id": "1",
        "source": "/srv/iso/w.iso",
        "name": None,
        "state": "running",
        "stage": "reading",
        "received": 0,
        "size": None,
        "repository": None,
        "error": None,
        **more,
    }


def test_the_list_says_what_each_one_installs(appliance: Appliance) -> None:
    configured = a_repository(name="debian", configured=True, medium=None, sources=["apt"])
    appliance.api.routes["GET", "repositories"] = (200, {"repositories": [configured, a_repository()]})
    lines = appliance.pxed("repo", "list").stdout.splitlines()
    assert lines[1].split() == ["debian", "configuration", "apt"]
    assert lines[2].split() == ["windows-2022", "Windows", "Server", "2022", "added", "/srv/iso/w.iso"]
    assert len(appliance.json("repo", "list")["repositories"]) == 2


def test_show_has_the_editions_and_no_long_facts(appliance: Appliance) -> None:
    appliance.api.routes["GET", "repositories/windows-2022"] = (200, a_repository())
    out = appliance.pxed("repo", "show", "windows-2022").stdout
    assert "1 Standard?[31m" in out
    assert "/repo/windows-2022.iso" in out
    assert "x" * 300 not in out
    assert appliance.json("repo", "show", "windows-2022")["medium"]["facts"]["boot_cfg"] == "x" * 500


def test_add_follows_the_import_to_its_end(appliance: Appliance) -> None:
    answers = iter([a_job(stage="downloading", received=1 << 30, size=2 << 30), a_job(state="done", repository="windows-2022")])
    appliance.api.routes["POST", "repositories"] = (202, a_job())
    appliance.api.routes["GET", "imports/1"] = lambda _body: (200, next(answers))
    appliance.api.routes["GET", "repositories/windows-2022"] = (200, a_repository())
    result = appliance.pxed("repo", "add", "win", "http://mirror.example/w.iso", "--replace")
    assert result.exit_code == 0
    assert result.stdout.splitlines() == ["windows-2022: Windows Server 2022", "Note: A note."]
    assert "downloading 1 GiB of 2 GiB (50 %)" in result.stderr
    assert appliance.api.asked[0] == ("POST", "repositories", {"source": "http://mirror.example/w.iso", "name": "win", "replace": True})


def test_a_failed_import_is_status_1_and_its_sentence(appliance: Appliance) -> None:
    appliance.api.routes["POST", "repositories"] = (202, a_job(state="failed", error="/x.iso is cut off"))
    result = appliance.pxed("repo", "add", "/x.iso")
    assert (result.exit_code, result.stderr.strip()) == (1, "pxed: /x.iso is cut off")
    assert appliance.api.asked == [("POST", "repositories", {"source": "/x.iso", "replace": False})]


def test_remove_and_recognise(appliance: Appliance) -> None:
    appliance.api.routes["DELETE", "repositories/r"] = (204, None)
    appliance.api.routes["DELETE", "repositories/debian"] = (409, an_error("The repository debian is in the configuration"))
    appliance.api.routes["POST", "recognise"] = (200, {"repository": "windows-2022", "medium": MEDIUM})
    assert appliance.pxed("repo", "remove", "r").stdout == "r is removed.\n"
    assert appliance.pxed("repo", "remove", "debian").exit_code == 1
    assert "windows-2022" in appliance.pxed("repo", "recognise", "/srv/w.iso").stdout
    assert appliance.json("repo", "recognise", "/srv/w.iso")["medium"]["release"] == "2022"


def test_a_password_in_a_url_comes_from_a_file_or_standard_input(appliance: Appliance, tmp_path: Any) -> None:
    appliance.api.routes["POST", "repositories"] = (202, a_job(state="failed", error="no"))
    for words in (("add", "http://me:hunter2@h/x"), ("recognise", "https://:hunter2@h/x")):
        refused = appliance.pxed("repo", *words)
        assert refused.exit_code == 2
        assert "hunter2" not in refused.output + refused.stderr
    assert appliance.api.asked == []
    (tmp_path / "url").write_text("http://me:hunter2@h/x\n")
    appliance.pxed("repo", "add", f"@{tmp_path}/url")
    appliance.pxed("repo", "add", "mine", "-", stdin="http://me:hunter2@h/x\n")
    assert [body["source"] for _, _, body in appliance.api.asked] == ["http://me:hunter2@h/x"] * 2


def test_too_many_words_are_wrong_use(appliance: Appliance) -> None:
    assert appliance.pxed("repo", "add", "a", "b", "c").exit_code == 2


def test_a_relative_path_becomes_absolute_and_a_url_stays(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert source_of("iso/x.iso") == f"{tmp_path}/iso/x.iso"
    assert source_of("https://h/x/../y") == "https://h/x/../y"
    assert progress(a_job()) == "reading the medium ..."
    assert progress(a_job(stage="downloading", received=5 << 20)) == "downloading 5 MiB"
