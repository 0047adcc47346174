"""Refusals that only the realtime protocol knows."""

from __future__ import annotations

from antiphon.errors import InvalidRequest


class RealtimeRefusal(InvalidRequest):
    """Something that a client sent cannot be done; its session goes on."""

    # Here the code belongs to the one refusal: the protocol has more of them than deserve a class.
    code: str | None  # type: ignore[misc]
    type: str  # type: ignore[misc]

    def __init__(
        self, message: str, *, code: str | None, param: str | None = None, type: str = "invalid_request_error"
    ) -> None:
        super().__init__(message, param=param)
        self.code = code
        self.type = type
