"""The process that holds the model: nobody else reaches it, and it never outlives its owner."""

from __future__ import annotations

import asyncio
import http.client
import os
import signal
import socket
import subprocess
import sys
import tempfile
from contextlib import aclosing
from pathlib import Path

import psutil
import pytest

from antiphon.errors import InvalidValue, Unavailable, WeightsMissing
from antiphon.schemas import ReplyOptions
from services.responder.engines import Prompt
from services.responder.engines.llama import Llama
from tests.eventually import eventually
from tests.integration.responder.conversations import hear, load, said, weights

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="session")]

BRIEF = Prompt(messages=(said("user", "Say hello."),), options=ReplyOptions(max_tokens=3))
OWNER = """
import asyncio, sys
from tests.integration.responder.conversations import load
engine = load(context_tokens=512, parallel=1)
print(engine._child.pid, engine._child.socket.parent, flush=True)
sys.stdin.read()
asyncio.run(engine.aclose())
"""


def process_of(engine: Llama) -> psutil.Process:
    return psutil.Process(engine._child.pid)


class _Door(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=10)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(str(self._path))


async def test_nobody_else_can_ask_the_model(small: Llama) -> None:
    assert [c for c in process_of(small).net_connections("inet") if c.status == psutil.CONN_LISTEN] == []
    assert small._child.socket.parent.stat().st_mode & 0o777 == 0o700
    for headers in ({}, {"Authorization": "Bearer guessed"}):
        for path in ("/slots", "/props", "/v1/models"):
            door = _Door(small._child.socket)
            door.request("GET", path, headers=headers)
            assert await asyncio.to_thread(lambda: door.getresponse().status) == 401  # noqa: B023


async def test_its_environment_and_its_arguments_hold_no_secret(small: Llama) -> None:
    process = process_of(small)
    assert small._child.key not in " ".join(process.cmdline())
    assert not {name for name in process.environ() if "KEY" in name or "TOKEN" in name or "URL" in name}


async def test_it_writes_nothing_about_what_was_said(small: Llama, capfd: pytest.CaptureFixture[str]) -> None:
    await hear(small, BRIEF)
    assert capfd.readouterr() == ("", "")
    assert "hello" not in (small._child.socket.parent / "log").read_text().lower()


async def test_a_model_whose_process_died_is_started_again() -> None:
    engine = await asyncio.to_thread(load, context_tokens=512, parallel=1)
    try:
        folder = engine._child.socket.parent
        async with aclosing(engine.respond(Prompt(messages=(said("user", "Tell a long story."),)))) as pieces:
            await anext(pieces)
            process_of(engine).kill()
            with pytest.raises(Unavailable) as caught:
                async for _ in pieces:
                    pass
        assert caught.value.retryable
        assert (await hear(engine, BRIEF)).text
        assert not folder.exists()
    finally:
        await engine.aclose()
    with pytest.raises(Unavailable):
        await hear(engine, BRIEF)


@pytest.mark.parametrize("end", ["closed", "killed"])
async def test_it_ends_with_its_owner(end: str) -> None:
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=os.environ
    )
    assert owner.stdin is not None and owner.stdout is not None
    pid, folder = (await asyncio.to_thread(owner.stdout.readline)).split()
    model = psutil.Process(int(pid))
    model.send_signal(signal.SIGTERM)  # as a terminal sends it to all
    if end == "closed":
        owner.stdin.close()
        assert await asyncio.to_thread(owner.wait, 20) == 0
    else:
        owner.kill()
        await asyncio.to_thread(owner.wait)
    await eventually(lambda: not model.is_running() or model.status() == psutil.STATUS_ZOMBIE, within_s=10)
    await eventually(lambda: not Path(folder).exists(), within_s=5)


async def test_what_the_killed_left_behind_is_removed(monkeypatch: pytest.MonkeyPatch) -> None:
    with tempfile.TemporaryDirectory() as room:
        monkeypatch.setattr(tempfile, "tempdir", room)
        left, starting, alive = (Path(room) / f"antiphon-llama-{name}" for name in ("left", "starting", "alive"))
        for folder in (left, starting, alive):
            folder.mkdir()
        with socket.socket(socket.AF_UNIX) as gone:
            gone.bind(str(left / "llama.sock"))
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(str(alive / "llama.sock"))
            listening.listen()
            for folder in (left, alive):
                os.utime(folder, (0, 0))
            engine = await asyncio.to_thread(load, context_tokens=512, parallel=1)
            await engine.aclose()
            assert not left.exists()
            assert starting.exists()
            assert alive.exists()


async def test_weights_that_are_none_are_told(tmp_path: Path) -> None:
    def load_from(folder: Path) -> Llama:
        return Llama.load(folder, name="m", threads=1, context_tokens=512, parallel=1, prompt_cache_mib=0, options={})

    with pytest.raises(WeightsMissing, match=r"m are one \.gguf file"):
        await asyncio.to_thread(load_from, tmp_path)
    (tmp_path / "broken.gguf").write_bytes(b"GGUF" + bytes(1000))
    with pytest.raises(WeightsMissing, match=r"broken\.gguf"):
        await asyncio.to_thread(load_from, tmp_path)
    assert weights("qwen2.5-coder-0.5b").is_dir()


async def test_an_option_that_does_not_exist_is_told() -> None:
    with pytest.raises(InvalidValue, match=r"models\.qwen2\.5-coder-0\.5b\.options\.temprature"):
        await asyncio.to_thread(load, options={"temprature": 1})
