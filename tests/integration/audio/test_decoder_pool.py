"""What happens to the others when a decoder dies, hangs or is no longer wanted."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
import uvloop

from antiphon.audio.decode import DecodeLimits, DecoderPool
from antiphon.errors import AntiphonError, InvalidAudio, Unavailable
from tests.integration.audio.files import tone, wav, wav16

pytestmark = pytest.mark.integration

Keep = Callable[[bytes], Path]

SHORT = wav16(tone(1, 16_000))
LONG_S = 900


def long_wav() -> bytes:
    """Return a quarter of an hour that takes a second or so to decode."""
    return wav(b"\x80" * (22_050 * LONG_S), bits=8, rate=22_050)


async def decoded_samples(pool: DecoderPool, path: Path) -> int:
    async with asyncio.timeout(30), pool.decode(path) as pcm:
        return await pcm.length()


async def replaced(pool: DecoderPool, pid: int) -> None:
    """Wait until `pid` is gone and its place is taken."""
    async with asyncio.timeout(10):
        while pid in pool.pids or not pool.pids:
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGSEGV, signal.SIGXCPU])
async def test_a_decoder_killed_in_mid_file_costs_one_caller_a_clear_error(
    tmp_path: Path, sent: signal.Signals
) -> None:
    (tmp_path / "long").write_bytes(long_wav())
    (tmp_path / "short").write_bytes(SHORT)
    async with DecoderPool(size=1) as pool:
        await pool.warm()
        (pid,) = pool.pids
        async with pool.decode(tmp_path / "long") as pcm:
            assert not pcm.ended
            os.kill(pid, sent)
            with pytest.raises(InvalidAudio, match="could not be decoded") as caught:
                async with asyncio.timeout(10):
                    await pcm.length()
            assert caught.value.info().http_status == 400
            assert caught.value.param == "file"
            assert pcm.samples < LONG_S * 16_000
            assert len(pcm.read(0, 1600)) == 1600
        await replaced(pool, pid)
        assert await decoded_samples(pool, tmp_path / "short") == 16_000


async def test_the_other_jobs_do_not_notice(tmp_path: Path) -> None:
    (tmp_path / "long").write_bytes(long_wav())
    async with DecoderPool(size=2) as pool:
        await pool.warm()
        async with pool.decode(tmp_path / "long") as doomed, pool.decode(tmp_path / "long") as other:
            busy = [pid for pid in pool.pids if psutil.Process(pid).status() == psutil.STATUS_RUNNING]
            os.kill(busy[0], signal.SIGKILL)
            outcomes = await asyncio.gather(doomed.length(), other.length(), return_exceptions=True)
        assert [type(outcome) for outcome in outcomes if isinstance(outcome, AntiphonError)] == [InvalidAudio]
        assert [outcome for outcome in outcomes if isinstance(outcome, int)] == [LONG_S * 16_000]


async def test_a_decoder_that_died_idle_costs_nobody_anything(keep: Keep) -> None:
    async with DecoderPool(size=1) as pool:
        await pool.warm()
        (pid,) = pool.pids
        os.kill(pid, signal.SIGKILL)
        assert await decoded_samples(pool, keep(SHORT)) == 16_000
        assert pid not in pool.pids


async def test_a_decoder_that_hangs_is_ended_by_the_clock(tmp_path: Path) -> None:
    (tmp_path / "long").write_bytes(long_wav())
    (tmp_path / "short").write_bytes(SHORT)
    async with DecoderPool(DecodeLimits(wall_s=0.5), size=1) as pool:
        await pool.warm()
        (pid,) = pool.pids
        async with pool.decode(tmp_path / "long") as pcm:
            os.kill(pid, signal.SIGSTOP)
            with pytest.raises(InvalidAudio, match="within the limits"):
                await pcm.length()
        await replaced(pool, pid)
        assert await decoded_samples(pool, tmp_path / "short") == 16_000


async def test_more_memory_than_is_allowed_is_an_error_for_one_caller(keep: Keep, tmp_path: Path) -> None:
    many_channels = wav(bytes(2 * 512 * 30_000), channels=512, rate=16_000)
    async with DecoderPool(DecodeLimits(memory_bytes=8 << 20), size=1) as pool:
        with pytest.raises(InvalidAudio):
            await decoded_samples(pool, keep(many_channels))
        assert await decoded_samples(pool, keep(SHORT)) == 16_000


async def test_leaving_early_frees_the_decoder_and_spoils_nothing_for_the_next(tmp_path: Path) -> None:
    (tmp_path / "long").write_bytes(long_wav())
    (tmp_path / "short").write_bytes(SHORT)
    async with DecoderPool(size=1) as pool:
        for turns in range(6):
            async with pool.decode(tmp_path / "long") as pcm:
                for _ in range(turns):
                    await pcm.available(pcm.samples + 1)
                assert not pcm.ended
            began = time.monotonic()
            assert await decoded_samples(pool, tmp_path / "short") == 16_000
            assert time.monotonic() - began < 5


async def test_a_cancelled_caller_leaves_its_place_in_the_queue(tmp_path: Path) -> None:
    (tmp_path / "long").write_bytes(long_wav())
    (tmp_path / "short").write_bytes(SHORT)
    async with DecoderPool(size=1) as pool:
        async with pool.decode(tmp_path / "long") as pcm:
            waiting = [asyncio.create_task(decoded_samples(pool, tmp_path / "long")) for _ in range(5)]
            await asyncio.sleep(0)
            last = asyncio.create_task(decoded_samples(pool, tmp_path / "short"))
            assert not pcm.ended
            for task in waiting:
                task.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)
        assert await last == 16_000
        assert all(task.cancelled() for task in waiting)


async def test_many_callers_share_few_decoders(keep: Keep) -> None:
    path = keep(SHORT)
    async with DecoderPool(size=2) as pool:
        await pool.warm()
        decoders = pool.pids
        assert await asyncio.gather(*(decoded_samples(pool, path) for _ in range(50))) == [16_000] * 50
        assert pool.pids == decoders
        assert len(decoders) == 2


async def test_decoders_start_only_when_they_are_needed(keep: Keep) -> None:
    async with DecoderPool(size=4) as pool:
        assert pool.pids == ()
        for _ in range(3):
            await decoded_samples(pool, keep(SHORT))
        assert len(pool.pids) == 1


async def test_a_decoder_is_replaced_after_its_share_of_jobs(keep: Keep) -> None:
    path = keep(SHORT)
    async with DecoderPool(DecodeLimits(jobs=3), size=1) as pool:
        await pool.warm()
        (first,) = pool.pids
        for _ in range(3):
            await decoded_samples(pool, path)
        await replaced(pool, first)
        assert await decoded_samples(pool, path) == 16_000


async def test_nothing_is_left_behind(tmp_path: Path) -> None:
    (tmp_path / "long").write_bytes(long_wav())
    this = psutil.Process()
    descriptors = this.num_fds()
    async with DecoderPool(size=2, spool_dir=tmp_path) as pool:
        await pool.warm()
        pids = pool.pids
        for _ in range(3):
            async with pool.decode(tmp_path / "long"):
                pass
        with pytest.raises(InvalidAudio):
            await decoded_samples(pool, Path(__file__))
        pids += pool.pids
    assert not any(psutil.pid_exists(pid) for pid in pids)
    assert this.num_fds() == descriptors
    assert [path.name for path in tmp_path.iterdir()] == ["long"]


async def test_a_pool_that_stops_tells_those_who_wait(tmp_path: Path) -> None:
    (tmp_path / "long").write_bytes(long_wav())
    async with DecoderPool(size=1) as pool, pool.decode(tmp_path / "long") as pcm:
        waiting = asyncio.create_task(decoded_samples(pool, tmp_path / "long"))
        await asyncio.sleep(0.05)
        await pool.__aexit__(None, None, None)
        for length in (pcm.length(), waiting):
            with pytest.raises(Unavailable):
                await length


async def test_a_decoder_has_no_privileges_no_network_and_no_way_to_open_anything() -> None:
    async with DecoderPool(size=1) as pool:
        await pool.warm()
        (pid,) = pool.pids
        limits = Path(f"/proc/{pid}/limits").read_text()
        status = Path(f"/proc/{pid}/status").read_text()
        environment = psutil.Process(pid).environ()
        assert [line.split()[3:5] for line in limits.splitlines() if line.startswith("Max open files")] == [["6", "6"]]
        assert "NoNewPrivs:\t1" in status
        assert "CapEff:\t0000000000000000" in status
        assert "Threads:\t1\n" in status
        if os.geteuid() == 0:
            assert "Uid:\t65534\t65534\t65534\t65534" in status
            assert Path(f"/proc/{pid}/ns/net").readlink() != Path("/proc/self/ns/net").readlink()
            assert {path.name for path in Path(f"/proc/{pid}/fd").iterdir()} == {"0", "1", "2", "3"}
            assert not any("KEY" in name or "REDIS" in name for name in environment)


async def test_decoders_die_with_their_owner(tmp_path: Path) -> None:
    script = """
import asyncio, sys
from antiphon.audio.decode import DecoderPool
async def main():
    async with DecoderPool(size=2) as pool:
        await pool.warm()
        print(*pool.pids, flush=True)
        await asyncio.sleep(60)
asyncio.run(main())
"""
    owner = await asyncio.create_subprocess_exec(sys.executable, "-c", script, stdout=asyncio.subprocess.PIPE)
    assert owner.stdout is not None
    pids = [int(pid) for pid in (await owner.stdout.readline()).split()]
    assert len(pids) == 2
    owner.kill()
    await owner.wait()
    async with asyncio.timeout(10):
        while any(psutil.pid_exists(pid) and psutil.Process(pid).status() != "zombie" for pid in pids):
            await asyncio.sleep(0.01)


def test_it_works_on_uvloop_too(tmp_path: Path) -> None:
    (tmp_path / "long").write_bytes(long_wav())
    (tmp_path / "short").write_bytes(SHORT)

    async def lose_one_and_go_on() -> int:
        async with DecoderPool(size=1) as pool:
            async with pool.decode(tmp_path / "long") as pcm:
                os.kill(pool.pids[0], signal.SIGKILL)
                with pytest.raises(InvalidAudio):
                    await pcm.length()
            return await decoded_samples(pool, tmp_path / "short")

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        assert runner.run(lose_one_and_go_on()) == 16_000


@pytest.mark.skipif(sys.platform != "linux", reason="priorities of threads are Linux's")
async def test_decoders_in_the_background_give_way(keep: Keep) -> None:
    async with DecoderPool(size=1, background=True) as pool:
        assert await decoded_samples(pool, keep(SHORT)) == 16_000
        (pid,) = pool.pids
        threads = [int(thread.name) for thread in Path(f"/proc/{pid}/task").iterdir()]
        assert {os.sched_getscheduler(thread) for thread in threads} == {os.SCHED_IDLE}
        assert psutil.Process(pid).nice() == 19
