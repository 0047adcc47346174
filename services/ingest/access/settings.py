"""Settings of who may come in besides those with keys."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator
from pydantic_settings import NoDecode

from antiphon.settings import Settings


class AccessSettings(Settings):
    """The identity provider whose tokens are let in, if there is one."""

    oidc_issuer: str | None = None
    """What its tokens name as `iss`, to the letter; its discovery document is below."""
    oidc_audience: Annotated[tuple[str, ...], NoDecode] = ()
    """What tokens for this platform name as `aud`: one of these, separated by commas."""
    oidc_jwks_url: str | None = None
    """Where its keys are; else the discovery document says so."""
    oidc_tenant_claim: str = "tid"
    """The claim that tells whose token it is; `sub` where a token has no such claim."""
    oidc_require: Annotated[tuple[str, ...], NoDecode] = ()
    """Scopes or roles of which a token must have one, separated by commas."""
    oidc_limits_key: str | None = None
    """Id of a key whose limits, models and priority each tenant of tokens has for itself."""
    oidc_leeway: timedelta = Field(default=timedelta(seconds=60), ge=timedelta(0), le=timedelta(minutes=10))
    """How far the clocks of the provider and of this machine may differ."""
    oidc_keys_ttl: timedelta = Field(default=timedelta(hours=1), ge=timedelta(seconds=1))
    """How long its keys are good for before they are fetched again."""

    @field_validator("oidc_audience", "oidc_require", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @field_validator("oidc_issuer", "oidc_jwks_url")
    @classmethod
    def _check_url(cls, url: str | None) -> str | None:
        if url is None or not url.strip():
            return None
        parts = urlsplit(url)
        if parts.scheme not in ("https", "http") or not parts.hostname:
            raise ValueError("not a URL of https")
        if parts.scheme == "http" and parts.hostname not in ("localhost", "127.0.0.1", "::1"):
            raise ValueError("keys are fetched by https alone")
        return url

    @model_validator(mode="after")
    def _check_audience(self) -> Self:
        if self.oidc_issuer is not None and not self.oidc_audience:
            raise ValueError("ANTIPHON_OIDC_AUDIENCE must say for whom the tokens of ANTIPHON_OIDC_ISSUER are")
        return self
