"""The names of the beta dialect, and of the GA one for the same."""

from __future__ import annotations

from types import MappingProxyType

SERVER_EVENTS = MappingProxyType(
    {
        "conversation.item.added": "conversation.item.created",
        "response.output_text.delta": "response.text.delta",
        "response.output_text.done": "response.text.done",
        "response.output_audio.delta": "response.audio.delta",
        "response.output_audio.done": "response.audio.done",
        "response.output_audio_transcript.delta": "response.audio_transcript.delta",
        "response.output_audio_transcript.done": "response.audio_transcript.done",
    }
)
"""Beta's name of a GA server event that has another one."""

NOT_IN_BETA = frozenset(
    {
        "conversation.item.done",
        "conversation.item.input_audio_transcription.segment",
        "input_audio_buffer.timeout_triggered",
        "input_audio_buffer.dtmf_event_received",
        "response.mcp_call_arguments.delta",
        "response.mcp_call_arguments.done",
        "response.mcp_call.in_progress",
        "response.mcp_call.completed",
        "response.mcp_call.failed",
        "mcp_list_tools.in_progress",
        "mcp_list_tools.completed",
        "mcp_list_tools.failed",
    }
)
"""GA server events that beta has nothing for."""

FORMATS = MappingProxyType({"pcm16": "audio/pcm", "g711_ulaw": "audio/pcmu", "g711_alaw": "audio/pcma"})
FORMAT_NAMES = MappingProxyType({kind: name for name, kind in FORMATS.items()})

INPUT_FIELDS = MappingProxyType(
    {
        "input_audio_format": "format",
        "input_audio_transcription": "transcription",
        "input_audio_noise_reduction": "noise_reduction",
        "turn_detection": "turn_detection",
    }
)
"""Where in `audio.input` a field of the flat session is."""

OUTPUT_FIELDS = MappingProxyType({"output_audio_format": "format", "voice": "voice", "speed": "speed"})
"""Where in `audio.output` a field of the flat session is."""

PATHS = MappingProxyType(
    {f"audio.input.{inner}": outer for outer, inner in INPUT_FIELDS.items()}
    | {f"audio.output.{inner}": outer for outer, inner in OUTPUT_FIELDS.items()}
    | {"output_modalities": "modalities", "max_output_tokens": "max_response_output_tokens"}
)
"""The field of the flat session or response that lies at a path of the GA object."""

PARTS = MappingProxyType({"output_text": "text", "output_audio": "audio"})
"""Beta's name of the type of a content part of the assistant's items."""
