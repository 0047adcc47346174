"""The fields of a chat completion that change nothing here, and those that cannot be served.

What is ignored could at most be quicker or cheaper elsewhere. What would deceive is refused: an answer that was to be
moderated, or looked up on the web, must not look as if it had been.
"""

from __future__ import annotations

from collections.abc import Callable

from antiphon.errors import InvalidValue, UnknownParameter, UnsupportedValue
from antiphon.given import MaybeGiven, shortened
from antiphon.models import PublicModel

MAX_METADATA = 16

_MAX_METADATA_KEY = 64
_MAX_METADATA_VALUE = 512
_LONGEST_IDENTIFIER = 1024

_SERVED = frozenset(
    {
        "audio",
        "frequency_penalty",
        "logprobs",
        "max_completion_tokens",
        "max_tokens",
        "messages",
        "metadata",
        "modalities",
        "model",
        "n",
        "parallel_tool_calls",
        "presence_penalty",
        "response_format",
        "seed",
        "stop",
        "store",
        "stream",
        "stream_options",
        "temperature",
        "tool_choice",
        "tools",
        "top_logprobs",
        "top_p",
    }
)
_IGNORED: dict[str, Callable[[MaybeGiven], object]] = {
    "prediction": lambda given: given.absent or given.member("type").required_choice(("content",)),
    "prompt_cache_key": lambda given: given.text(longest=_LONGEST_IDENTIFIER),
    "prompt_cache_options": lambda given: given.absent or given.object(),
    "prompt_cache_retention": lambda given: given.choice(("in_memory", "24h")),
    "reasoning_effort": lambda given: given.choice(("none", "minimal", "low", "medium", "high", "xhigh", "max")),
    "safety_identifier": lambda given: given.text(longest=_LONGEST_IDENTIFIER),
    "service_tier": lambda given: given.choice(("auto", "default", "flex", "scale", "priority", "fast")),
    "user": lambda given: given.text(longest=_LONGEST_IDENTIFIER),
    "verbosity": lambda given: given.choice(("low", "medium", "high")),
}
_INSTEAD: dict[str, str] = {
    "data_sources": "",
    "function_call": " Use 'tool_choice' instead.",
    "functions": " Use 'tools' instead.",
    "moderation": "",
    "web_search_options": "",
}


def check_fields(body: MaybeGiven, model: PublicModel, *, strict: bool) -> None:
    """Check what nothing else reads. Raises `InvalidRequest`; when `strict`, `UnknownParameter` as well."""
    for name, instead in _INSTEAD.items():
        if not body.member(name).absent:
            raise _unsupported(name, model, instead)
    logit_bias = body.member("logit_bias")
    # Its keys are tokens of another model.
    if not logit_bias.absent and logit_bias.object():
        raise _unsupported("logit_bias", model)
    for name, check in _IGNORED.items():
        check(body.member(name))
    count = body.member("n")
    if (count.integer(minimum=1, maximum=128) or 1) > 1:
        raise UnsupportedValue(
            f"Unsupported value: 'n' does not support {count.value} with model '{model.id}'. Supported values are: 1.",
            param="n",
        )
    if strict:
        _refuse_unknown(body)


def read_metadata(given: MaybeGiven) -> dict[str, str]:
    """Return what a caller attached. Raises `InvalidValue`."""
    if given.absent:
        return {}
    values = given.object()
    if len(values) > MAX_METADATA:
        raise InvalidValue(
            f"Invalid '{given.param}': too many properties. Expected an object with at most {MAX_METADATA} properties, "
            f"but got an object with {len(values)} properties instead.",
            param=given.param,
        )
    metadata = {}
    for key, value in values.items():
        name = MaybeGiven(key, given.param).required_text(longest=_MAX_METADATA_KEY)
        metadata[name] = MaybeGiven(value, f"{given.param}.{name}").required_text(longest=_MAX_METADATA_VALUE)
    return metadata


def _unsupported(name: str, model: PublicModel, instead: str = "") -> UnsupportedValue:
    return UnsupportedValue(
        f"Unsupported parameter: '{name}' is not supported with model '{model.id}'.{instead}", param=name
    )


def _refuse_unknown(body: MaybeGiven) -> None:
    known = {*_SERVED, *_IGNORED, *_INSTEAD, "logit_bias"}
    for key in body.object():
        if key not in known:
            name = shortened(key).encode(errors="replace").decode()
            raise UnknownParameter(f"Unrecognized request argument supplied: {name}", param=name)
