"""What the timeline says of transfers."""

from __future__ import annotations

from pxed.tftp import TransferEvent


def test_each_line_names_the_node_and_the_file() -> None:
    told = [
        TransferEvent("10.0.0.50", "snponly.efi", "request"),
        TransferEvent("10.0.0.50", "snponly.efi", "sent", bytes=200_000, seconds=0.26),
        TransferEvent("10.0.0.50", "snponly.efi", "failed", reason="it was silent for 30 s"),
    ]
    assert [event.text("web1") for event in told] == [
        "web1 asks for snponly.efi by TFTP",
        "web1 has snponly.efi (200000 bytes in 0.3 s)",
        "snponly.efi did not reach web1 by TFTP: it was silent for 30 s",
    ]


def test_braces_in_a_file_s_name_are_nothing_special() -> None:
    assert TransferEvent("10.0.0.50", "{x}.efi", "request").text("{n}") == "{n} asks for {x}.efi by TFTP"
