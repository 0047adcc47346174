"""A language model behind any server that speaks OpenAI's chat completions: vLLM, Ollama, llama.cpp, Azure, Antiphon.

upstream_options  what the catalogue says of it
upstream_request  a prompt as the body of a request: pure
upstream_sound    recordings in a container that it takes
upstream_places   how many answers it writes at a time
upstream_events   server-sent events out of bytes: pure
upstream_chunks   what such an event holds: pure
upstream_answer   chunks into pieces: pure
upstream_exchange one request and its answer
upstream_errors   what its failures mean for the caller: pure
"""

from __future__ import annotations

import asyncio
import logging
import random
import ssl
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from functools import partial
from http.cookiejar import DefaultCookiePolicy
from typing import Any, Self

import httpx
import orjson

from antiphon.models.trust import tls_context
from antiphon.telemetry.stages import observe_stage
from services.responder.engines.language_model import Piece, Prompt
from services.responder.engines.upstream_errors import Blame, Failed, read_pause_s, secrets_of
from services.responder.engines.upstream_exchange import Ask, CannotCount, Exchange
from services.responder.engines.upstream_options import UpstreamOptions
from services.responder.engines.upstream_places import Places
from services.responder.engines.upstream_request import rough_prompt_tokens, write_body
from services.responder.engines.upstream_sound import Ear

logger = logging.getLogger(__name__)

_IDLE_CONNECTION_S = 4.0
"""Many servers close what is idle for 5 s; a request sent at that very moment would be lost."""


class Upstream:
    """Asks one server, over pooled connections. What fails is tried again, until the first piece is out."""

    def __init__(
        self, name: str, options: UpstreamOptions, *, key: str | None, first_token_s: float, next_token_s: float
    ) -> None:
        self._name = name
        self._options = options
        self._model = options.model or name
        self._first_token_s = options.timeouts.first_token_s or first_token_s
        self._places = Places(options.max_connections, wait_s=options.timeouts.place_s, model=name)
        self._ear = Ear()
        self._counts = True
        """Whether the server is known to count tokens in a stream, or not known not to."""
        self._client = httpx.AsyncClient(
            headers={
                "user-agent": "Antiphon",
                **{header.lower(): value for header, value in options.headers.items()},
                "accept": "text/event-stream, application/json",
                # What arrives compressed could grow without bound when it is unpacked.
                "accept-encoding": "identity",
                "content-type": "application/json",
                **options.credentials(key),
            },
            verify=_certificates(options.base_url),
            trust_env=options.proxy_from_environment,
            follow_redirects=False,
            # How long tokens may take is not for the client to judge, which does not know one from a comment.
            timeout=httpx.Timeout(None, connect=options.timeouts.connect_s),
            limits=httpx.Limits(
                max_connections=options.max_connections,
                max_keepalive_connections=options.max_connections,
                keepalive_expiry=_IDLE_CONNECTION_S,
            ),
        )
        # A balancer's cookie would send all callers to one replica.
        self._client.cookies.jar.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        self._exchange = Exchange(
            self._client,
            options.url(self._model),
            Blame(name, secrets_of(key, options.headers.values())),
            options.timeouts.next_token_s or next_token_s,
        )

    @classmethod
    def open(
        cls,
        name: str,
        options: Mapping[str, Any],
        *,
        environ: Mapping[str, str],
        first_token_s: float,
        next_token_s: float,
    ) -> Self:
        """Return the model `name` of the catalogue. Asks nothing of its server.

        The key comes from `environ` alone. `first_token_s` and `next_token_s` hold unless the options say otherwise.
        Raises `InvalidValue` in one line for options that cannot be used.
        """
        read = UpstreamOptions.read(name, options)
        return cls(name, read, key=read.key(name, environ), first_token_s=first_token_s, next_token_s=next_token_s)

    @property
    def hears(self) -> bool:
        """Whether it takes recordings itself."""
        return self._options.hears

    @property
    def speaks(self) -> bool:
        """Whether it gives sound itself when a voice is asked for."""
        return self._options.speaks

    @property
    def sees(self) -> bool:
        """Whether it takes images."""
        return self._options.sees

    async def respond(self, prompt: Prompt) -> AsyncGenerator[Piece, None]:
        """Yield the answer as it comes, `End` last. Closing the generator closes the connection at once.

        Raises what `LanguageModel.respond` may raise, and `InvalidRequest` with the server's own words.
        """
        body = await self._write(prompt)
        asked_s = asyncio.get_running_loop().time()
        async with self._places.take():
            now_s = asyncio.get_running_loop().time()
            observe_stage("wait", now_s - asked_s, lane="respond")
            begin_by_s = now_s + self._first_token_s
            counts, retry, begun, sent = self._counts, 0, False, 0
            while True:
                content = await self._encode(prompt, body, counts=counts)
                ask = Ask(content, rough_prompt_tokens(prompt), prompt.options.logprobs, counts, begin_by_s, sent)
                sent += 1
                try:
                    async with aclosing(self._exchange.pieces(ask)) as pieces:
                        async for piece in pieces:
                            begun = True
                            self._counts = self._counts and counts
                            yield piece
                    return
                except CannotCount:
                    counts = False
                    continue
                except Failed as failed:
                    pause_s = None if begun else self._pause_s(failed, retry, begin_by_s)
                    self._report(failed, retry, pause_s)
                    if pause_s is None:
                        raise failed.error from failed.__cause__
                retry += 1
                await asyncio.sleep(pause_s)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.aclose()
        await self._ear.aclose()

    async def _write(self, prompt: Prompt) -> dict[str, Any]:
        clips = await self._ear.hear(prompt) if self.hears else {}
        write = partial(write_body, prompt, name=self._name, model=self._model, options=self._options, clips=clips)
        # Megabytes of sound take a while to become base64.
        return await asyncio.to_thread(write) if clips else write()

    async def _encode(self, prompt: Prompt, body: dict[str, Any], *, counts: bool) -> bytes:
        sent = body | {"stream_options": {"include_usage": True}} if counts else body
        return await asyncio.to_thread(orjson.dumps, sent) if prompt.recordings else orjson.dumps(sent)

    def _pause_s(self, failed: Failed, retry: int, begin_by_s: float) -> float | None:
        """Return after how many seconds to ask again; None for not at all."""
        backoff_s = self._options.timeouts.backoff_s
        pause_s = read_pause_s(failed, retry=retry, backoff_s=backoff_s, jitter=random.random())  # noqa: S311
        if pause_s is None or asyncio.get_running_loop().time() + pause_s >= begin_by_s:
            return None
        return pause_s

    def _report(self, failed: Failed, retry: int, pause_s: float | None) -> None:
        # Without the message: it may repeat what a user has said.
        facts = {"model": self._name, "error": type(failed.error).__name__, "attempt": retry + 1}
        logger.warning("upstream failed", extra=facts | {"again_in_s": pause_s})


def _certificates(base_url: str) -> ssl.SSLContext:
    """Return whom to trust. Where nothing is encrypted, it is nobody: reading the certificates takes 0.1 s."""
    return tls_context() if base_url.lower().startswith("https:") else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
