"""What Python packs, the server's Lua unpacks; the scripts use commands that both servers have."""

from __future__ import annotations

import pytest

from antiphon.bus.scripts import SCRIPTS
from antiphon.bus.wire import flatten, pack
from tests.servers import Server

pytestmark = pytest.mark.integration

UNPACK = "local list = cmsgpack.unpack(ARGV[1]) local place = table.remove(list, 1) return {place, unpack(list)}"


def test_packed_fields_are_read_by_the_server_byte_for_byte(server: Server) -> None:
    fields = {b"data": bytes(range(256)) * 300, b"": b"", b"\xff": b"\r\n", b"n": b"7"}
    parts = flatten(fields, attempt=3, error="was für ein Fehler")
    assert server.do("EVAL", UNPACK, 0, pack([2, *parts])) == [2, *parts]


def test_the_longest_entry_that_is_kept_can_be_unpacked(server: Server) -> None:
    parts = flatten({f"{i}".encode(): b"x" for i in range(10_000)}, attempt=1)
    assert server.do("EVAL", UNPACK, 0, pack([1, *parts])) == [1, *parts]


def test_every_script_compiles_on_the_server(server: Server) -> None:
    for sha, source in SCRIPTS.items():
        assert server.do("SCRIPT", "LOAD", source).decode() == sha
