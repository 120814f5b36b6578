"""Our recipes decoded and sized by partman-auto's own shell code, taken from the Debian mirror that this host's apt uses."""

from __future__ import annotations

import subprocess
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from pxed.oses.disk import PLACEHOLDER, Partition
from pxed.oses.partman import expert_recipe, needed_megabytes
from tests.lab.aptroot import AptRoot
from tests.lab.process import LabProblem
from tests.lab.upstream import upstream

pytestmark = pytest.mark.lab

HARNESS = """
NL='
'
TAB='	'
DEVICES=$PWD
restore_ifs() { IFS=' 	'"$NL"; }
db_get() { RET=; }
db_metaget() { return 1; }
open_dialog() { :; }
close_dialog() { :; }
read_line() { eval "$1=$LABEL"; }
convert_to_megabytes() { expr "$1" : '\\(.*\\)......$'; }
. "$RECIPES"
mkdir disk && cd disk
decode_recipe "$RECIPE" "$KIND"
scheme=$(echo "$scheme" | if [ "$KIND" = lvm ]; then grep lvmok; else cat; fi)
free_size=$FREE
expand_scheme
echo "$scheme"
"""


@pytest.fixture(scope="module", params=["bookworm", "trixie"])
def recipes_sh(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """lib/partman/lib/recipes.sh of that release's partman-auto."""
    folder = tmp_path_factory.mktemp(request.param)
    try:
        apt = AptRoot(folder / "apt", upstream(), request.param)
        apt.update()
        connection, response = upstream().open("GET", apt.udebs["partman-auto"].filename)
        with closing(connection):
            (folder / "partman-auto.udeb").write_bytes(response.read())
    except (LabProblem, OSError) as problem:
        pytest.skip(f"no Debian mirror can be asked: {problem}")
    if response.status != 200:
        pytest.skip(f"this host's mirror lists partman-auto of {request.param} but does not have it ({response.status})")
    subprocess.run(["dpkg-deb", "-x", folder / "partman-auto.udeb", folder / "files"], check=True)
    return folder / "files/lib/partman/lib/recipes.sh"


def decoded(
    recipes_sh: Path, folder: Path, parts: list[Partition], *, uefi: bool, label: str, lvm: bool = False, free: int = 40_000
) -> list[list[str]]:
    """Rows ``SIZE FACTOR MAX FS words...`` as partman would create them on `free` megabytes."""
    (folder / "recipe").write_text(expert_recipe(parts, uefi=uefi, lvm=lvm) + "\n")
    settings = {
        "RECIPES": str(recipes_sh),
        "RECIPE": str(folder / "recipe"),
        "KIND": "lvm" if lvm else "default",
        "LABEL": label,
        "FREE": str(free),
    }
    run = subprocess.run(
        ["sh", "-c", HARNESS], cwd=folder, env={"PATH": "/usr/bin:/bin", **settings}, capture_output=True, text=True, timeout=30, check=True
    )
    return [row.split(" ") for row in run.stdout.strip().splitlines()]


def parts(*rows: tuple[str, Any, str]) -> list[Partition]:
    return [Partition.model_validate({"mountPoint": point, "size": size, "fsType": kind}) for point, size, kind in rows]


PLAIN = parts(("/boot", 500, "ext3"), ("swap", "2G", "swap"), ("/", "auto", "xfs"))


@pytest.mark.parametrize(("uefi", "label", "first"), [(True, "gpt", "efi"), (False, "gpt", "biosgrub"), (False, "msdos", None)])
def test_partman_makes_the_partitions_that_were_asked_for(
    recipes_sh: Path, tmp_path: Path, uefi: bool, label: str, first: str | None
) -> None:
    rows = decoded(recipes_sh, tmp_path, PLAIN, uefi=uefi, label=label)
    if first:
        assert f"method{{ {first} }}" in " ".join(rows.pop(0))
    assert [(row[0], row[3]) for row in rows[:2]] == [("500", "ext4"), ("2000", "linux-swap")]
    assert "filesystem{ xfs }" in " ".join(rows[2])
    assert 36_000 < int(rows[2][0]) <= 37_500
    assert "mountpoint{ / }" in " ".join(rows[2])


def test_partman_leaves_what_nobody_asked_for_free(recipes_sh: Path, tmp_path: Path) -> None:
    rows = decoded(recipes_sh, tmp_path, parts(("/", "10G", "ext4"), ("/var", "5G", "btrfs")), uefi=True, label="gpt")
    assert [row[0] for row in rows[1:]] == ["10000", "5000"]


def test_partman_takes_logical_volumes_for_lvm_and_boot_outside(recipes_sh: Path, tmp_path: Path) -> None:
    rows = decoded(recipes_sh, tmp_path, parts(("/", "auto", "ext4"), ("/var", "4G", "ext4")), uefi=True, label="gpt", lvm=True)
    assert [" ".join(row).split("mountpoint{ ")[1].split(" ")[0] for row in rows] == ["/", "/var"]
    assert rows[1][0] == "4000"


def test_what_we_say_is_needed_is_enough_for_partman(recipes_sh: Path, tmp_path: Path) -> None:
    rows = decoded(recipes_sh, tmp_path, PLAIN, uefi=True, label="gpt", free=needed_megabytes(PLAIN, lvm=False))
    assert sum(int(row[0]) for row in rows) <= needed_megabytes(PLAIN, lvm=False)


INITIAL = """
TAB='	'
udpkg() { echo amd64; }
get_auto_disks() { printf '%s\\tthe only disk\\n' "$PWD/only"; }
dev_to_partman() { [ "$1" = /dev/vda ] && echo "$PWD/only"; }
autopartition() { echo "partitions $1"; }
db_get() {
	case $1 in
	partman-auto/method) RET=regular ;;
	partman-auto/disk) RET=$ANSWER ;;
	esac
}
ask_user() { echo asks; return 0; }
mkdir only && echo /dev/vda >only/device
"""


@pytest.mark.parametrize(("answer", "takes_it"), [("", True), (PLACEHOLDER, False), ("/dev/vda", True)])
def test_only_without_an_answer_the_only_disk_is_taken_unasked(recipes_sh: Path, tmp_path: Path, answer: str, takes_it: bool) -> None:
    """Why preseed.cfg answers with a disk that does not exist until disk.sh has chosen one."""
    script = (recipes_sh.parents[1] / "display.d/10initial_auto").read_text()
    for name in ("base", "auto-shared"):
        assert f". /lib/partman/lib/{name}.sh\n" in script
        script = script.replace(f". /lib/partman/lib/{name}.sh\n", "")
    script = INITIAL + script.replace("/var/lib/partman", f"{tmp_path}/var")
    run = subprocess.run(
        ["dash", "-c", script], env={"ANSWER": answer, "PATH": "/usr/bin:/bin"}, cwd=tmp_path, capture_output=True, text=True
    )
    assert (run.stdout, run.returncode) == ((f"partitions {tmp_path}/only\n", 0) if takes_it else ("", 1)), run.stderr
