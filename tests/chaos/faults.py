"""What goes wrong while work flows. Each fault ends by itself, and none is ever sent to a process of somebody else."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time

import redis

from tests.chaos.fleet import WORKER, Fleet
from tests.chaos.scene import Scene

STOP_S = 3.2
"""Longer than a lease."""
FULL_S = 1.0


async def storm(scene: Scene, crew: Fleet, *, for_s: float, server_deaths: int) -> None:
    """Let faults follow each other for a while."""
    begun = time.monotonic()
    deaths = [begun + for_s * (place + 1) / (server_deaths + 1.5) for place in range(server_deaths)]
    faults = [kill, kill, kill, stop, fill, flush_group]
    # Each at least once, in an order of chance; then whatever comes.
    order = scene.chance.sample(faults, len(faults))
    async with asyncio.TaskGroup() as group:
        while time.monotonic() < begun + for_s or order:
            await asyncio.sleep(scene.chance.uniform(0.4, 0.9))
            if deaths and time.monotonic() > deaths[0]:
                deaths.pop(0)
                await kill_server(scene)
                continue
            fault = order.pop() if order else scene.chance.choice(faults)
            if fault is stop:
                # A process that stands still must not keep the others from being killed.
                group.create_task(stop(scene, crew))
            else:
                await fault(scene, crew)
            crew.revive()
        for _ in deaths:
            await kill_server(scene)
    crew.revive()


async def kill(scene: Scene, crew: Fleet) -> None:
    """Kill any process, or ask it to end."""
    number = scene.chance.choice((signal.SIGKILL, signal.SIGKILL, signal.SIGTERM))
    crew.pick().send_signal(number)
    scene.events[number.name] += 1


async def stop(scene: Scene, crew: Fleet) -> None:
    """Let a worker stand still until its jobs have been taken over, then let it go on."""
    victim = crew.pick(WORKER)
    victim.send_signal(signal.SIGSTOP)
    await asyncio.sleep(STOP_S)
    with contextlib.suppress(ProcessLookupError):
        victim.send_signal(signal.SIGCONT)
    scene.events["stopped"] += 1


async def kill_server(scene: Scene) -> None:
    """Kill the server as a crash does; what replaces it has what was accepted."""
    await asyncio.to_thread(scene.server.kill)
    await asyncio.sleep(0.3)
    await asyncio.to_thread(scene.server.start)
    scene.events["server"] += 1


async def fill(scene: Scene, crew: Fleet) -> None:
    """Let the server have no memory left for a while."""
    await asyncio.to_thread(_limit, scene, 1)
    await asyncio.sleep(FULL_S)
    await asyncio.to_thread(_limit, scene, 0)
    scene.events["full"] += 1


async def flush_group(scene: Scene, crew: Fleet) -> None:
    """Forget who has which job of a stream."""
    with contextlib.suppress(redis.RedisError):
        await asyncio.to_thread(scene.server.do, "XGROUP", "DESTROY", "jobs:{transcribe}:std", "workers")
        scene.events["group"] += 1


def _limit(scene: Scene, size: int) -> None:
    deadline = time.monotonic() + 10
    while True:
        try:
            scene.server.limit_memory(size)
            return
        except redis.RedisError:
            assert time.monotonic() < deadline
            time.sleep(0.1)
