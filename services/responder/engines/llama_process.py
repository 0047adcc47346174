"""The process that holds one model: `python -m services.responder.engines.llama_process`.

`llama_child` starts it. It reads its settings as one line of JSON, answers `ready`, and serves until its input ends,
which it does when the owner closes it or dies.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from pathlib import Path
from typing import Any

import xllamacpp


def main() -> None:
    """Load the model, serve it at a socket that only the owner can open, and end with the owner."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # They reach the whole group; the owner says when its work is done.
    settings = json.loads(sys.stdin.readline())
    place = Path(settings["socket"])
    try:
        server = xllamacpp.Server(_parameters(settings))
        place.chmod(0o600)
        os.write(sys.stdout.fileno(), b"ready\n")
        sys.stdin.read()
        del server
    finally:
        shutil.rmtree(place.parent, ignore_errors=True)


def _parameters(settings: dict[str, Any]) -> xllamacpp.CommonParams:
    kinds = {"f16": xllamacpp.ggml_type.GGML_TYPE_F16, "q8_0": xllamacpp.ggml_type.GGML_TYPE_Q8_0}
    parameters = xllamacpp.CommonParams()
    parameters.model.path = settings["weights"]
    parameters.verbosity = -1
    parameters.offline = True
    # A path that ends in `.sock` is a socket in the file system: there is no port that others could reach.
    parameters.hostnames = [settings["socket"]]
    parameters.api_keys = [settings["key"]]
    parameters.n_threads_http = settings["parallel"] + 4
    parameters.ui = False
    parameters.cpuparams.n_threads = settings["threads"]
    parameters.cpuparams_batch.n_threads = settings["threads"]
    # Each conversation has a row of its own: the context is shared out evenly.
    parameters.n_parallel = settings["parallel"]
    parameters.n_ctx = settings["parallel"] * settings["context_tokens"]
    parameters.kv_unified = False
    parameters.fit_params = False
    parameters.cache_type_k = parameters.cache_type_v = kinds[settings["kv_type"]]
    parameters.n_batch = parameters.n_ubatch = settings["batch_tokens"]
    parameters.cache_ram_mib = settings["prompt_cache_mib"]
    parameters.no_extra_bufts = not settings["repack"]
    parameters.enable_reasoning = int(settings["thinks"])
    return parameters


if __name__ == "__main__":
    main()
