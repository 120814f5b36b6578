"""Who is forgotten when too many unknown nodes were seen."""

from __future__ import annotations

from pxed.node.crowd import Crowd


def crowded(crowd: Crowd, *ids: str) -> list[str]:
    out = []
    for each in ids:
        crowd.meet(each)
        while (gone := crowd.push_out()) is not None:
            out.append(gone)
    return out


def test_there_are_never_more_than_the_bound() -> None:
    crowd = Crowd(8)
    assert crowded(crowd, *(f"n{number}" for number in range(100))) == [f"n{number}" for number in range(92)]
    assert len(crowd) == 8


def test_a_flood_pushes_out_its_like_and_not_those_who_keep_asking() -> None:
    crowd = Crowd(8)
    for regular in ("a", "b", "c"):
        crowd.meet(regular)
        crowd.again(regular)
    crowded(crowd, *(f"n{number}" for number in range(100)))
    assert all(regular in crowd for regular in ("a", "b", "c"))


def test_regulars_do_not_keep_newcomers_out() -> None:
    crowd = Crowd(8)
    for number in range(20):
        crowded(crowd, f"r{number}")
        crowd.again(f"r{number}")
    assert crowded(crowd, "new") == ["r12"]
    assert "new" in crowd


def test_who_left_is_not_pushed_out() -> None:
    crowd = Crowd(2)
    crowded(crowd, "a", "b")
    crowd.leave("a")
    crowd.leave("a")
    crowd.again("a")
    assert crowded(crowd, "c") == []
