"""The tree of errors a caller may be told.

AntiphonError
├── InvalidRequest (400)
│   ├── InvalidType · InvalidValue · UnsupportedValue · MissingParameter · UnknownParameter · ContextTooLong
│   └── InvalidAudio
│       └── AudioTooShort · AudioTooLong
├── InvalidApiKey (401)
├── Forbidden (403)
│   └── ModelForbidden
├── NotFound (404)
│   └── ModelNotFound
├── ContentTooLarge (413)
├── UnsupportedMediaType (415)
├── Overloaded (429)
├── Cancelled (499) · DeadlineExceeded (504)
├── Unavailable (503)
│   └── WeightsMissing
├── UpstreamFailed (502)
└── Failure (500)
    └── JobFailed

Three facts stand on each class: the API's `code`, the HTTP status, and whether the same job may succeed later.
"""

from __future__ import annotations

from typing import ClassVar

from antiphon.schemas import ErrorInfo


class AntiphonError(Exception):
    """Anything a caller may be told. Subclasses set the facts and phrase the message."""

    code: ClassVar[str | None] = None
    type: ClassVar[str] = "server_error"
    http_status: ClassVar[int] = 500
    retryable: ClassVar[bool] = False

    def __init__(self, message: str, *, param: str | None = None, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.retry_after_s = retry_after_s

    def info(self) -> ErrorInfo:
        """Return the error as it travels on the bus."""
        return ErrorInfo(
            message=self.message,
            type=self.type,
            code=self.code,
            param=self.param,
            http_status=self.http_status,
            retryable=self.retryable,
            retry_after_s=self.retry_after_s,
        )


class InvalidRequest(AntiphonError):
    """The request cannot be served as it is."""

    type = "invalid_request_error"
    http_status = 400


class InvalidType(InvalidRequest):
    """A parameter has a value of another JSON type."""

    code = "invalid_type"


class InvalidValue(InvalidRequest):
    """A parameter has a value outside its range."""

    code = "invalid_value"


class UnsupportedValue(InvalidRequest):
    """A parameter has a value that this model or endpoint does not serve."""

    code = "unsupported_value"


class MissingParameter(InvalidRequest):
    """A required parameter is absent."""

    code = "missing_required_parameter"


class UnknownParameter(InvalidRequest):
    """A parameter that does not exist."""

    code = "unknown_parameter"


class ContextTooLong(InvalidRequest):
    """The conversation does not fit into what the model sees at a time."""

    code = "context_length_exceeded"


class InvalidAudio(InvalidRequest):
    """The bytes are not audio that can be decoded."""

    code = "invalid_value"


class AudioTooShort(InvalidAudio):
    """There is less audio than the shortest that is accepted."""

    code = "audio_too_short"


class AudioTooLong(InvalidAudio):
    """There is more audio than the limit."""


class InvalidApiKey(AntiphonError):
    """No key, or one that is not known."""

    code = "invalid_api_key"
    type = "invalid_request_error"
    http_status = 401


class Forbidden(AntiphonError):
    """The key is known, and may not do this."""

    code = "insufficient_permissions"
    type = "invalid_request_error"
    http_status = 403


class ModelForbidden(Forbidden):
    """A model that the key may not use."""

    code = "model_not_found"


class NotFound(AntiphonError):
    """Nothing with that name or id."""

    type = "invalid_request_error"
    http_status = 404


class ModelNotFound(NotFound):
    """A model name that is not in the catalogue."""

    code = "model_not_found"


class ContentTooLarge(AntiphonError):
    """The body is larger than the limit."""

    http_status = 413


class UnsupportedMediaType(AntiphonError):
    """The body has a content type that the endpoint does not read."""

    type = "invalid_request_error"
    http_status = 415


class Overloaded(AntiphonError):
    """The backlog is full; `retry_after_s` says when a place will be free."""

    code = "rate_limit_exceeded"
    type = "requests"
    http_status = 429
    retryable = True


class Cancelled(AntiphonError):
    """The job was cancelled by its owner."""

    code = "cancelled"
    http_status = 499


class DeadlineExceeded(AntiphonError):
    """The deadline passed before the job was done."""

    code = "deadline_exceeded"
    http_status = 504


class Unavailable(AntiphonError):
    """Something the service depends on cannot be reached now."""

    code = "service_unavailable"
    http_status = 503
    retryable = True


class WeightsMissing(Unavailable):
    """The weights of a model are not on this machine."""

    code = "weights_missing"


class UpstreamFailed(AntiphonError):
    """A server that this one asked gave an answer that is none, or broke it off."""

    code = "upstream_error"
    http_status = 502
    retryable = True


class Failure(AntiphonError):
    """An internal fault. The same job may succeed in another attempt."""

    code = "internal_error"
    retryable = True


class JobFailed(AntiphonError):
    """An error that came over the bus, with the facts that its `info` carries."""

    def __init__(self, info: ErrorInfo) -> None:
        super().__init__(info.message, param=info.param, retry_after_s=info.retry_after_s)
        self._info = info

    def info(self) -> ErrorInfo:
        """Return the facts as they came."""
        return self._info
