"""What the catalogue may say of a model that runs here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from antiphon.errors import InvalidValue


class LlamaOptions(BaseModel):
    """The `options` of a model with the engine `llama`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    context_tokens: int | None = Field(default=None, ge=512)
    """Tokens of one conversation; the responder's own setting by default."""
    temperature: float = Field(default=0.7, ge=0.0, le=2.0)
    """What holds when a request names none, as do the next four."""
    top_p: float = Field(default=0.8, gt=0.0, le=1.0)
    top_k: int = Field(default=20, ge=0)
    min_p: float = Field(default=0.0, ge=0.0, le=1.0)
    repeat_penalty: float = Field(default=1.05, ge=1.0, le=2.0)
    choice_temperature: float = Field(default=0.0, ge=0.0, le=2.0)
    """Instead of `temperature` while tools are at hand: a small model then picks the right one more often."""
    system: str | None = None
    """What the model is told when the conversation begins with no system message."""
    thinks: bool = False
    """Let a model that can think before it answers do so; what it thinks is not part of the answer."""
    kv_type: Literal["f16", "q8_0"] = "f16"
    """How what was read is kept: `q8_0` halves its memory."""
    batch_tokens: int = Field(default=64, ge=32, le=4096)
    """Tokens of prompts that are read at a time; meanwhile no other conversation goes on."""
    repack: bool = False
    """Keep a second copy of the weights, laid out for this processor."""


def read_options(options: Mapping[str, Any], *, model: str) -> LlamaOptions:
    """Return the options of `model`. Raises `InvalidValue` with one line that names the key."""
    try:
        return LlamaOptions.model_validate(dict(options))
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in problem["loc"])
        raise InvalidValue(f"models.{model}.options.{where}: {problem['msg']}") from None
