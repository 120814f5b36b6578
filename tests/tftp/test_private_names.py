"""fbtftp 0.5 is pinned and archived; these are the names of its inside that pxed stands on."""

from __future__ import annotations

import inspect
import multiprocessing
from importlib.metadata import version

import pytest
from fbtftp import BaseHandler, BaseServer, ResponseData, SessionStats, constants

from pxed.tftp.request import RESERVED
from pxed.tftp.transfer import Transfer, _NoProcess


def test_the_pinned_version_is_the_one_that_was_read() -> None:
    assert version("fbtftp") == "0.5"


@pytest.mark.parametrize(
    "name", ["_get_listener", "_parse_options", "_transmit_error", "_transmit_oack", "_close", "_on_close", "start", "get_response_data"]
)
def test_the_handler_s_hooks_exist(name: str) -> None:
    assert callable(getattr(BaseHandler, name))


def test_the_handler_keeps_its_state_under_the_names_we_use() -> None:
    class Probe(BaseHandler):  # type: ignore[misc]
        def get_response_data(self) -> None: ...

    probe = Probe(("127.0.0.1", 0), ("127.0.0.1", 1), "x", {"default_timeout": 1, "retries": 0, "mode": "octet"}, lambda _stats: None)
    for name in ("_options", "_block_size", "_response_data", "_listener", "_stats", "_family", "_peer", "_timeout", "_retries"):
        assert hasattr(probe, name), name
    assert {"mode", "retries", "default_timeout"} == RESERVED == set(probe._options)
    assert "test" in inspect.signature(BaseHandler._close).parameters


def test_a_transfer_is_a_handler_but_never_becomes_a_process() -> None:
    """`_NoProcess` is whom the handler's constructor takes for `Process`; were it not, each transfer would be counted as a child."""
    order = Transfer.__mro__
    assert order.index(BaseHandler) < order.index(_NoProcess) < order.index(multiprocessing.Process)
    before = next(multiprocessing.process._process_counter)  # type: ignore[attr-defined]
    _NoProcess()
    assert next(multiprocessing.process._process_counter) == before + 1  # type: ignore[attr-defined]


def test_the_server_keeps_its_state_under_the_names_we_use() -> None:
    server = BaseServer("127.0.0.1", 0, 0, 1)
    try:
        for name in ("_listener", "_selector", "_server_stats", "_port", "_address"):
            assert hasattr(server, name), name
        assert list(inspect.signature(BaseServer.get_handler).parameters) == ["self", "server_addr", "peer", "path", "options"]
        server._server_stats.increment_counter("x")
        assert server._server_stats.get_all_counters() == {"x": 1}
    finally:
        server._selector.close()
        server._listener.close()


def test_statistics_and_constants() -> None:
    stats = SessionStats(("", 0), ("", 0), "x")
    for name in ("packets_acked", "bytes_sent", "retransmits", "error", "blksize"):
        assert hasattr(stats, name), name
    assert ResponseData
    assert (constants.OPCODE_ACK, constants.OPCODE_ERROR, constants.DEFAULT_BLKSIZE) == (4, 5, 512)
