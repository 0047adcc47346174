"""An identity provider: a discovery document, a set of keys, tokens signed with them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import jwt
import orjson
import uvicorn
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

AUDIENCE = "api://antiphon"
PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


@dataclass
class Issuer:
    """What it publishes is `published`; it answers 503 while it is `away`."""

    url: str = ""
    keys: dict[str, PrivateKey] = field(default_factory=dict)
    published: list[str] = field(default_factory=list)
    away: bool = False
    asked: list[str] = field(default_factory=list)

    def add_key(self, key_id: str, *, curve: bool = False, publish: bool = True) -> None:
        self.keys[key_id] = (
            ec.generate_private_key(ec.SECP256R1()) if curve else rsa.generate_private_key(65_537, key_size=2048)
        )
        if publish:
            self.published.append(key_id)

    def token(self, key_id: str = "k1", *, algorithm: str | None = None, **claims: Any) -> str:
        """Sign a token; a claim that is None is left out."""
        now_s = int(time.time())
        given = {"iss": self.url, "aud": AUDIENCE, "sub": "user-1", "tid": "tenant-1", "iat": now_s, "exp": now_s + 600}
        kept = {name: value for name, value in (given | claims).items() if value is not None}
        key = self.keys[key_id]
        default = "ES256" if isinstance(key, ec.EllipticCurvePrivateKey) else "RS256"
        return jwt.encode(kept, key, algorithm=algorithm or default, headers={"kid": key_id})

    async def discovery(self, request: Request) -> Response:
        self.asked.append("discovery")
        if self.away:
            return Response(status_code=503)
        return JSONResponse({"issuer": self.url, "jwks_uri": f"{self.url}/keys"})

    async def key_set(self, request: Request) -> Response:
        self.asked.append("keys")
        if self.away:
            return Response(status_code=503)
        return Response(orjson.dumps({"keys": [self._public(key_id) for key_id in self.published]}))

    def _public(self, key_id: str) -> dict[str, Any]:
        key = self.keys[key_id]
        if isinstance(key, ec.EllipticCurvePrivateKey):
            found: dict[str, Any] = ECAlgorithm.to_jwk(key.public_key(), as_dict=True)
        else:
            found = RSAAlgorithm.to_jwk(key.public_key(), as_dict=True)
        # As Entra publishes them: without the algorithm.
        return {**found, "kid": key_id, "use": "sig"}


@asynccontextmanager
async def issuing() -> AsyncIterator[Issuer]:
    """Run an issuer with one RSA key, `k1`, and one on a curve, `k2`."""
    issuer = Issuer()
    issuer.add_key("k1")
    issuer.add_key("k2", curve=True)
    app = Starlette(
        routes=[Route("/.well-known/openid-configuration", issuer.discovery), Route("/keys", issuer.key_set)]
    )
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="error", lifespan="off"))
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    issuer.url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    try:
        yield issuer
    finally:
        server.should_exit = True
        await serving
