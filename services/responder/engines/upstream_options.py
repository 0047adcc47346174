"""What the catalogue says of a server: where it is, what it can do, how patient to be."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal, Self
from urllib.parse import quote

import httpx
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from antiphon.errors import InvalidValue

# Capitals alone: a key that is written here by mistake must not pass for a name, and end in a log.
_VARIABLE = re.compile(r"[A-Z][A-Z0-9_]{0,63}")
_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}")
_VISIBLE = re.compile(r"[\x20-\x7e]*")
_LITERAL_KEYS = frozenset({"api_key", "apikey", "key", "token", "access_token", "password", "secret"})
_SECRET_HEADERS = re.compile(r"authorization|api-?key|subscription-key|token|secret|cookie", re.IGNORECASE)
_OWN_HEADERS = frozenset({"connection", "content-length", "content-type", "host", "transfer-encoding"})
_FROM_ENVIRONMENT = "keys come from the environment alone: name its variable in api_key_env"


class _Table(BaseModel):
    # What was given is not repeated in an error: it may be a key.
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, hide_input_in_errors=True)


class Timeouts(_Table):
    """How long things may take, in seconds. What is None is left to the settings of the process."""

    connect_s: float = Field(default=5.0, gt=0)
    first_token_s: float | None = Field(default=None, gt=0)
    """From the request to the first token, other attempts included."""
    next_token_s: float | None = Field(default=None, gt=0)
    """Between one token and the next."""
    place_s: float = Field(default=10.0, ge=0)
    """How long a caller waits while `max_connections` answers are being written."""
    backoff_s: float = Field(default=0.5, gt=0)
    """Before the second attempt; doubles with each one after it, up to 8 s."""


class UpstreamOptions(_Table):
    """The options of a model with the engine `upstream`."""

    base_url: str
    """Where the API is, most often ending in `/v1`; for `azure_api_version`, the resource."""
    model: str | None = Field(default=None, min_length=1)
    """Its name there; the catalogue's when absent."""
    api_key_env: str | None = None
    """The environment variable that holds the key."""
    api_key_header: str | None = None
    """The header the key goes in as it is; absent, it is `Authorization: Bearer`, and `api-key` for Azure."""
    azure_api_version: str | None = Field(default=None, pattern=r"^[A-Za-z0-9.-]{1,40}$")
    """Ask at the dated address of a deployment."""
    azure_deployment: str | None = Field(default=None, min_length=1)
    """Name of the deployment; the model's when absent."""
    headers: dict[str, str] = Field(default_factory=dict)
    hears: bool = False
    speaks: bool = False
    sees: bool = False
    max_connections: int = Field(default=32, ge=1, le=1024)
    """Answers that are written at a time."""
    max_tokens_field: Literal["max_completion_tokens", "max_tokens"] = "max_completion_tokens"
    proxy_from_environment: bool = False
    """Go through the proxy that `HTTPS_PROXY` and the like name."""
    timeouts: Timeouts = Timeouts()

    @classmethod
    def read(cls, name: str, options: Mapping[str, Any]) -> Self:
        """Read the options of the model `name`. Raises `InvalidValue` in one line that names the model and the key."""
        for key in options:
            if key.lower() in _LITERAL_KEYS:
                raise _unusable(name, f"{key}: {_FROM_ENVIRONMENT}")
        try:
            return cls.model_validate(_thawed(options))
        except ValidationError as error:
            problem = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(str(part) for part in problem["loc"])
            message = problem["msg"].removeprefix("Value error, ")
            raise _unusable(name, f"{where}: {message}" if where else message) from None

    def key(self, name: str, environ: Mapping[str, str]) -> str | None:
        """Return the key of the model `name` from the environment; None when it needs none. Raises `InvalidValue`."""
        if self.api_key_env is None:
            return None
        key = environ.get(self.api_key_env, "").strip()
        if not key:
            raise _unusable(name, f"api_key_env: the variable {self.api_key_env} is not set")
        if not _VISIBLE.fullmatch(key):
            raise _unusable(name, f"api_key_env: the variable {self.api_key_env} holds what no header takes")
        return key

    def url(self, model: str) -> str:
        """Return where chat completions of `model` are asked for."""
        base = self.base_url.rstrip("/")
        if self.azure_api_version is None:
            return f"{base}/chat/completions"
        base = base if base.endswith("/openai") else f"{base}/openai"
        deployment = quote(self.azure_deployment or model, safe="")
        return f"{base}/deployments/{deployment}/chat/completions?api-version={quote(self.azure_api_version)}"

    def credentials(self, key: str | None) -> dict[str, str]:
        """Return the header that carries the key."""
        if key is None:
            return {}
        header = self.api_key_header or ("api-key" if self.azure_api_version else None)
        return {header: key} if header else {"authorization": f"Bearer {key}"}

    @field_validator("base_url")
    @classmethod
    def _check_base_url(cls, text: str) -> str:
        try:
            url = httpx.URL(text)
        except httpx.InvalidURL:
            raise ValueError("not a URL") from None
        if url.scheme not in ("http", "https") or not url.host:
            raise ValueError("not the URL of an HTTP server")
        if url.userinfo:
            raise ValueError(f"it holds a password; {_FROM_ENVIRONMENT}")
        if url.query or url.fragment:
            raise ValueError("the URL has a query or a fragment")
        return text

    @field_validator("api_key_env")
    @classmethod
    def _check_api_key_env(cls, text: str | None) -> str | None:
        if text is not None and not _VARIABLE.fullmatch(text):
            raise ValueError("not the name of an environment variable in capitals")
        return text

    @field_validator("api_key_header")
    @classmethod
    def _check_api_key_header(cls, text: str | None) -> str | None:
        if text is not None and (not _TOKEN.fullmatch(text) or text.lower() in _OWN_HEADERS):
            raise ValueError("not the name of a header that can carry a key")
        return text

    @field_validator("headers")
    @classmethod
    def _check_headers(cls, headers: dict[str, str]) -> dict[str, str]:
        for name, value in headers.items():
            if not _TOKEN.fullmatch(name) or name.lower() in _OWN_HEADERS:
                raise ValueError("one of them cannot be set")
            if _SECRET_HEADERS.search(name):
                raise ValueError(f"{name}: {_FROM_ENVIRONMENT}, and its header in api_key_header")
            if not _VISIBLE.fullmatch(value):
                raise ValueError(f"{name}: its value is not printable ASCII")
        return headers

    @model_validator(mode="after")
    def _check_azure(self) -> Self:
        if self.azure_deployment is not None and self.azure_api_version is None:
            raise ValueError("azure_deployment: it needs azure_api_version")
        return self


def _unusable(name: str, problem: str) -> InvalidValue:
    return InvalidValue(" ".join(f"model {name}: options: {problem}".split()))


def _thawed(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return a plain copy: the catalogue's tables are read-only views, which a strict model does not take."""
    return {key: _thawed(value) if isinstance(value, Mapping) else value for key, value in options.items()}
