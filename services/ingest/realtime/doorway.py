"""Let a client in: check what it asks for while it can still be told by HTTP, accept its socket, relay."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from starlette.websockets import WebSocket, WebSocketDisconnect

from antiphon.errors import InvalidValue
from antiphon.realtime.refusals import RealtimeRefusal
from services.ingest.leaving import Leaving
from services.ingest.platform import Platform
from services.ingest.realtime.frames import AppendType
from services.ingest.realtime.handshake import Asked, Dialect, chosen_subprotocol, need_model, read_upgrade
from services.ingest.realtime.live import new_session_id
from services.ingest.realtime.metered import metered
from services.ingest.realtime.relay import Ending, Relay, say_goodbye
from services.ingest.realtime.sessions import Sessions

if TYPE_CHECKING:
    from services.ingest.access.principal import Principal

_BETA_CLOSE = (4000, "invalid_request_error.beta_api_shape_disabled")


@dataclass(frozen=True)
class Doorway:
    """Where the sockets of one application come in."""

    platform: Platform
    leaving: Leaving

    async def converse(self, websocket: WebSocket, *, preview: bool = False) -> None:
        """Hold a conversation or a listening session; `preview` is Azure's URL of the beta.

        Raises an `AntiphonError` before the socket is accepted, and none later.
        """
        beta_served = self.platform.settings.realtime.realtime_beta
        asked = read_upgrade(
            websocket.query_params,
            websocket.headers,
            websocket.scope["subprotocols"],
            preview=preview,
            beta_served=beta_served,
        )
        if asked.dialect == "beta" and not beta_served:
            await _refuse_beta(websocket, asked)
            return
        session = self._conversation(websocket, asked, preview=preview)
        await self._hold(websocket, session, subprotocol=asked.subprotocol, dialect=asked.dialect)

    async def interpret(self, websocket: WebSocket) -> None:
        """Hold a translation session. Raises as `converse` does."""
        session = self._pinned(websocket, translation=True)
        if session is None:
            model = need_model(websocket.query_params.get("model") or None)
            session = self._sessions(websocket).translation(model, **self._identity())
        subprotocol = chosen_subprotocol(websocket.scope["subprotocols"])
        await self._hold(websocket, session, subprotocol=subprotocol, dialect="ga")

    def _conversation(self, websocket: WebSocket, asked: Asked, *, preview: bool) -> dict[str, Any]:
        session = self._pinned(websocket, translation=False)
        if session is not None:
            return session
        sessions = self._sessions(websocket)
        listens = asked.model is None or preview or sessions.is_transcriber(asked.model)
        if asked.transcription and listens:
            model = asked.model if asked.model and sessions.is_transcriber(asked.model) else None
            return sessions.transcription(model, **self._identity())
        # A model that converses is not made to listen only by an intent: so do the hosted ones.
        return sessions.conversation(need_model(asked.model), **self._identity())

    def _pinned(self, websocket: WebSocket, *, translation: bool) -> dict[str, Any] | None:
        """Return the session that a client secret is for. Raises `InvalidValue` at the URL of the other kind."""
        principal = _principal(websocket)
        if principal.pinned is None:
            return None
        session = principal.pinned.session
        if (session["type"] == "translation") is not translation:
            where = "/v1/realtime" if translation else "/v1/realtime/translations"
            raise InvalidValue(f"This client secret is for sessions at {where}.", param="client_secret")
        identity = self._identity()
        return {**session, "id": identity["session_id"], "expires_at": identity["expires_at"]}

    def _sessions(self, websocket: WebSocket) -> Sessions:
        """Return what makes sessions of the models that the client may name."""
        return self.platform.sessions.within(_principal(websocket).grant.models)

    def _identity(self) -> dict[str, Any]:
        limit_s = int(self.platform.settings.realtime.realtime_limit.total_seconds())
        return {"session_id": new_session_id(), "expires_at": self.platform.bus.now_ms() // 1000 + limit_s}

    async def _hold(
        self, websocket: WebSocket, session: dict[str, Any], *, subprotocol: str | None, dialect: Dialect
    ) -> None:
        settings, principal = self.platform.settings, _principal(websocket)
        locked = principal.pinned is not None and principal.pinned.locked
        translation = session["type"] == "translation"
        append: AppendType = "session.input_audio_buffer.append" if translation else "input_audio_buffer.append"
        limiter, grant, kind = self.platform.limiter, principal.grant, session["type"]
        async with self.platform.live.begin(session, tenant=principal.tenant, locked=locked, grant=grant) as live:
            if not await _accept(websocket, subprotocol):
                return
            with metered(limiter, grant, dialect, kind=kind, append=append) as ends:
                relay = Relay(
                    websocket,
                    live,
                    reader=ends.reader,
                    interpreter=ends.interpreter,
                    settings=settings.realtime,
                    leaving=self.leaving,
                )
                await relay.run()


async def _accept(websocket: WebSocket, subprotocol: str | None) -> bool:
    """Accept a socket; tell whether its client is still there."""
    try:
        await websocket.accept(subprotocol)
    except (WebSocketDisconnect, OSError):
        return False
    return True


async def _refuse_beta(websocket: WebSocket, asked: Asked) -> None:
    """Refuse the beta dialect as the hosted service does: on an open socket."""
    refusal = RealtimeRefusal(
        "The Realtime Beta API is no longer supported. Please use /v1/realtime for the GA API.",
        code="beta_api_shape_disabled",
    )
    if await _accept(websocket, asked.subprotocol):
        await say_goodbye(websocket, Ending("beta refused", *_BETA_CLOSE, error=refusal))


def _principal(websocket: WebSocket) -> Principal:
    return cast("Principal", websocket.scope["principal"])
