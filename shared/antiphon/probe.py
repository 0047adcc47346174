"""Ask the process of this container whether it is well: `python -m antiphon.probe [healthz|readyz]`.

Exits with 0 or 1. The port is that of `ANTIPHON_METRICS_PORT`. Starts fast, for it is started every few seconds.
"""

from __future__ import annotations

import os
import sys
from http.client import HTTPConnection, HTTPException

_TIMEOUT_S = 4.0
_SAID_BYTES = 500


def ask(what: str, *, host: str, port: int) -> tuple[bool, str]:
    """Return whether the answer is yes, and what it says."""
    connection = HTTPConnection(host, port, timeout=_TIMEOUT_S)
    try:
        connection.request("GET", f"/{what}")
        response = connection.getresponse()
        return response.status == 200, response.read(_SAID_BYTES).decode(errors="replace").strip()
    except (OSError, HTTPException) as error:
        return False, f"no answer at {host}:{port}: {error or type(error).__name__}"
    finally:
        connection.close()


def main(arguments: list[str], environ: dict[str, str]) -> int:
    """Ask, say what the answer was, return the exit code."""
    what = arguments[0] if arguments else "healthz"
    port = environ.get("ANTIPHON_METRICS_PORT", "0")
    if len(arguments) > 1 or what not in {"healthz", "readyz"} or not port.isdigit() or port == "0":
        sys.stderr.write("usage: ANTIPHON_METRICS_PORT=9464 python -m antiphon.probe [healthz|readyz]\n")
        return 1
    # Any address of this machine, when the process listens on all of them.
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(where := environ.get("ANTIPHON_METRICS_HOST", ""), where)  # noqa: S104
    well, said = ask(what, host=host or "127.0.0.1", port=int(port))
    sys.stdout.write(f"{said}\n")
    return 0 if well else 1


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:], dict(os.environ)))
