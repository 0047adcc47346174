"""What a request is said to have cost: by duration for the Whisper family, by tokens for the others."""

from __future__ import annotations

import math
from typing import Any

from antiphon.audio.tokens import heard_tokens
from antiphon.schemas import Speech, Transcript


def duration_usage(transcript: Transcript) -> dict[str, Any]:
    """Return usage in whole seconds, rounded up as the hosted service bills them."""
    return {"type": "duration", "seconds": math.ceil(transcript.duration)}


def token_usage(transcript: Transcript) -> dict[str, Any]:
    """Return usage in tokens."""
    audio_tokens = heard_tokens(transcript.duration)
    input_tokens = audio_tokens + transcript.prompt_tokens
    return {
        "type": "tokens",
        "input_tokens": input_tokens,
        "input_token_details": {"text_tokens": transcript.prompt_tokens, "audio_tokens": audio_tokens},
        "output_tokens": transcript.output_tokens,
        "total_tokens": input_tokens + transcript.output_tokens,
    }


def speech_usage(speech: Speech) -> dict[str, Any]:
    """Return usage of synthesized speech in tokens."""
    return {
        "input_tokens": speech.input_tokens,
        "output_tokens": speech.output_tokens,
        "total_tokens": speech.input_tokens + speech.output_tokens,
    }
