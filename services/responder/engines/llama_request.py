"""What the process of a model is asked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from antiphon.schemas import ReplyOptions
from services.responder.engines.answer_form import AnswerForm
from services.responder.engines.llama_options import LlamaOptions
from services.responder.engines.rendering import Line

_LLGUIDANCE = "%llguidance {}\n"


def completion_request(
    lines: Sequence[Line], asked: ReplyOptions, own: LlamaOptions, *, form: AnswerForm
) -> dict[str, Any]:
    """Return the request for a streamed answer: what was asked, else the model's own defaults."""
    # A penalty on what was said before is one on the form itself.
    chooses = bool(form.heads)
    temperature = own.choice_temperature if chooses else own.temperature
    request: dict[str, Any] = {
        "messages": list(lines),
        "stream": True,
        "cache_prompt": True,
        "timings_per_token": True,
        "temperature": temperature if asked.temperature is None else asked.temperature,
        "top_p": own.top_p if asked.top_p is None else asked.top_p,
        "top_k": own.top_k,
        "min_p": own.min_p,
        "repeat_penalty": 1.0 if chooses else own.repeat_penalty,
        "repeat_last_n": 256,
        "presence_penalty": asked.presence_penalty or 0.0,
        "frequency_penalty": asked.frequency_penalty or 0.0,
    }
    if asked.seed is not None:
        request["seed"] = asked.seed % 0xFFFF_FFFF  # the largest one means a random one
    if asked.max_tokens is not None:
        request["max_tokens"] = asked.max_tokens
    if asked.logprobs:
        request |= {"logprobs": True, "top_logprobs": max(1, asked.top_logprobs or 0)}
    if form.grammar is not None:
        request["grammar"] = _LLGUIDANCE + form.grammar
    return request
