"""The probe of a container: yes or no, and quickly."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator

import pytest

from antiphon.probe import main

pytestmark = pytest.mark.unit


class Answers(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/healthz" else 503)
        self.end_headers()
        self.wfile.write(b"said")

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def port() -> Iterator[str]:
    with http.server.HTTPServer(("127.0.0.1", 0), Answers) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield str(server.server_address[1])
        server.shutdown()
        thread.join()


def test_the_exit_code_is_the_answer(port: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([], {"ANTIPHON_METRICS_PORT": port}) == 0
    assert main(["healthz"], {"ANTIPHON_METRICS_PORT": port, "ANTIPHON_METRICS_HOST": "0.0.0.0"}) == 0
    assert main(["readyz"], {"ANTIPHON_METRICS_PORT": port}) == 1
    assert capsys.readouterr().out == "said\n" * 3


def test_nobody_there_is_no(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([], {"ANTIPHON_METRICS_PORT": "1"}) == 1
    assert "no answer" in capsys.readouterr().out


@pytest.mark.parametrize("port", ["", "0", "x"])
def test_without_a_port_it_says_how_it_is_used(port: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([], {"ANTIPHON_METRICS_PORT": port}) == 1
    assert "usage" in capsys.readouterr().err
