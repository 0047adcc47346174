"""What a chat completion is said to have cost, in tokens of text and of sound."""

from __future__ import annotations

from typing import Any

from antiphon.audio.tokens import heard_tokens, spoken_tokens
from antiphon.schemas import Reply

Usage = dict[str, Any]
"""The `usage` of a completion, as the API writes it."""


def usage_of(reply: Reply, *, heard_s: float, speech_s: float) -> Usage:
    """Return the usage of a completion that heard and spoke for so many seconds.

    The tokens of text are those that the language model counted. Sound counts by its length, unless the model heard
    or spoke itself and has counted it already.
    """
    used = reply.usage
    heard = 0 if used.prompt_audio_tokens else heard_tokens(heard_s)
    spoken = 0 if used.completion_audio_tokens else spoken_tokens(speech_s)
    prompt, completion = used.prompt_tokens + heard, used.completion_tokens + spoken
    heard, spoken = heard + used.prompt_audio_tokens, spoken + used.completion_audio_tokens
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": {
            "audio_tokens": heard,
            "text_tokens": max(0, prompt - heard - used.prompt_image_tokens),
            "cached_tokens": used.cached_tokens,
            "image_tokens": used.prompt_image_tokens,
        },
        "completion_tokens_details": {
            "audio_tokens": spoken,
            "text_tokens": max(0, completion - spoken - used.reasoning_tokens),
            "reasoning_tokens": used.reasoning_tokens,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }
