"""A package index on loopback with one package of weights, whose connections can be made to break."""

from __future__ import annotations

import hashlib
import io
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from antiphon.models import Manifest, WeightStore

PACKAGE, VERSION = "antiphon-test-weights", "1.0.0"
WHEEL_NAME = "antiphon_test_weights-1.0.0-py3-none-any.whl"
CONTENT = {"model.bin": bytes(range(256)) * 8192, "vocab.json": b'{"a": 1}'}


def make_wheel(content: dict[str, bytes]) -> bytes:
    """Return a wheel that carries `content`, stored as it is so that its size is that of the content."""
    info = "antiphon_test_weights-1.0.0.dist-info"
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as wheel:
        for name, data in content.items():
            wheel.writestr(f"antiphon_test_weights/{name}", data)
        wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {PACKAGE}\nVersion: {VERSION}\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")
    return buffer.getvalue()


@dataclass
class Index:
    """What the server serves, and what it was asked for.

    `cut_at` ends the next connection after so many bytes. `hold` keeps it open there instead, until it is set.
    """

    wheel: bytes
    url: str = ""
    cut_at: int | None = None
    hold: threading.Event | None = None
    reached: threading.Event = field(default_factory=threading.Event)
    ranges_work: bool = True
    requests: list[str | None] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    sent: int = 0


class _Handler(BaseHTTPRequestHandler):
    index: Index

    def do_GET(self) -> None:
        if self.path.startswith("/simple/"):
            self._send_page()
        elif self.path.endswith(".whl"):
            self._send_wheel()
        else:
            self.send_error(404)

    def log_message(self, format: str, *args: object) -> None:
        pass

    def _send_page(self) -> None:
        if PACKAGE not in self.path:
            self.send_error(404)
            return
        digest = hashlib.sha256(self.index.wheel).hexdigest()
        page = f'<a href="/files/{WHEEL_NAME}#sha256={digest}">{WHEEL_NAME}</a>'.encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(page)))
        self.end_headers()
        self.wfile.write(page)

    def _send_wheel(self) -> None:
        index = self.index
        asked = self.headers.get("Range")
        index.requests.append(asked)
        index.paths.append(self.path)
        start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked and index.ranges_work else 0
        body = index.wheel[start:]
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(body)))
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(index.wheel) - 1}/{len(index.wheel)}")
        self.end_headers()
        if index.cut_at is not None:
            body, index.cut_at = body[: index.cut_at], None
        self.wfile.write(body)
        self.wfile.flush()
        index.sent += len(body)
        index.reached.set()
        if index.hold is not None:
            index.hold.wait(30)
        self.close_connection = True


@pytest.fixture
def index(monkeypatch: pytest.MonkeyPatch) -> Iterator[Index]:
    """Serve one wheel, and make pip know of no other index than this."""
    served = Index(make_wheel(CONTENT))
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"index": served}))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    served.url = f"http://127.0.0.1:{server.server_port}"
    for name in ("PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS", "PIP_NO_INDEX"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_INDEX_URL", f"{served.url}/simple/")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.delenv("ANTIPHON_WEIGHTS_DIR", raising=False)
    monkeypatch.setenv("ANTIPHON_HUB", "0")
    yield served
    if served.hold is not None:
        served.hold.set()
    server.shutdown()
    server.server_close()
    thread.join()


def manifest_of(wheel: bytes, content: dict[str, bytes]) -> Manifest:
    """Return a manifest with the set `things`, whose files lie in `wheel`."""
    return Manifest.model_validate(
        {
            "archives": {
                "pack": {
                    "registry": "pypi",
                    "package": PACKAGE,
                    "version": VERSION,
                    "sha256": hashlib.sha256(wheel).hexdigest(),
                    "size": len(wheel),
                }
            },
            "sets": {
                "things": {
                    "licence": "MIT",
                    "origin": "-",
                    "files": {
                        name: {
                            "sha256": hashlib.sha256(data).hexdigest(),
                            "size": len(data),
                            "members": [{"archive": "pack", "path": f"antiphon_test_weights/{name}"}],
                        }
                        for name, data in content.items()
                    },
                }
            },
        }
    )


@pytest.fixture
def store(tmp_path: Path, index: Index) -> WeightStore:
    """An empty store for what the index serves."""
    return WeightStore(tmp_path / "cache", manifest=manifest_of(index.wheel, CONTENT))
