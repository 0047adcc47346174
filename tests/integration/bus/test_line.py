"""The connection that the bus keeps open answers each question with its own reply, whatever was cut off before."""

from __future__ import annotations

import asyncio

import pytest
from redis.exceptions import TimeoutError as RedisTimeoutError

from antiphon.bus import Bus
from tests.integration.bus.conftest import make_settings
from tests.servers import Server

pytestmark = pytest.mark.integration


async def test_a_reply_that_comes_too_late_is_not_taken_for_the_next(own_server: Server) -> None:
    async with Bus.open(make_settings(own_server)) as bus:
        line = bus.servers.line("s", timeout_s=0.3)
        assert await line.exchange([("ECHO", "a"), ("ECHO", "b")]) == [b"a", b"b"]
        own_server.suspend()
        with pytest.raises(RedisTimeoutError):
            await line.exchange([("ECHO", "late")])
        asking = asyncio.create_task(line.exchange([("ECHO", "c"), ("ECHO", "d")]))
        await asyncio.sleep(0.05)
        own_server.resume()
        assert await asking == [b"c", b"d"]
        await line.close()


async def test_a_read_that_was_cancelled_leaves_nothing_behind(own_server: Server) -> None:
    async with Bus.open(make_settings(own_server)) as bus:
        line = bus.servers.line("s")
        for i in range(20):
            reading = asyncio.create_task(line.read("XREAD", "BLOCK", 1000, "STREAMS", "s", "$"))
            await asyncio.sleep(0.005)
            own_server.do("XADD", "s", "*", "n", i)
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
            assert await line.exchange([("ECHO", str(i))]) == [str(i).encode()]
        await line.close()
