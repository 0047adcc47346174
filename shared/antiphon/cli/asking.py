"""A question that is asked aloud, and the answer that is heard while it is still being written."""

from __future__ import annotations

import base64
import json
import time
import wave
from dataclasses import dataclass
from typing import TYPE_CHECKING

from antiphon.errors import Unavailable

if TYPE_CHECKING:
    from pathlib import Path

    from openai import AsyncOpenAI
    from openai.types.chat import ChatCompletionContentPartParam, ChatCompletionToolUnionParam

SAMPLE_RATE = 24_000
MANNER = "You are talking on the phone. Answer in one or two short sentences."
WEATHER: ChatCompletionToolUnionParam = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Get the present weather of a city.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
            "additionalProperties": False,
        },
    },
}


@dataclass(frozen=True)
class Answer:
    """What was answered; `first_sound_s` is how long it took to be heard at all, `speech_s` how long it speaks."""

    transcript: str
    first_sound_s: float
    speech_s: float


async def ask(client: AsyncOpenAI, question: bytes, *, voice: str, answer: Path) -> Answer:
    """Send the recording of a question, a WAV, and write the answer's sound into another as it comes.

    Raises `Unavailable` when nothing is said, `openai.OpenAIError`, `OSError`.
    """
    content: list[ChatCompletionContentPartParam] = [
        {
            "type": "input_audio",
            "input_audio": {"data": base64.b64encode(question).decode("ascii"), "format": "wav"},
        }
    ]
    asked = time.perf_counter()
    first_sound_s: float | None = None
    transcript, samples = "", 0
    chunks = await client.chat.completions.create(
        model="gpt-audio",
        messages=[{"role": "system", "content": MANNER}, {"role": "user", "content": content}],
        modalities=["text", "audio"],
        audio={"voice": voice, "format": "pcm16"},
        temperature=0,
        stream=True,
    )
    with wave.open(str(answer), "wb") as sound:
        sound.setparams((1, 2, SAMPLE_RATE, 0, "NONE", ""))
        async for chunk in chunks:
            for choice in chunk.choices:
                if (said := choice.delta.audio) is None:
                    continue
                transcript += said.transcript or ""
                if said.data:
                    if first_sound_s is None:
                        first_sound_s = time.perf_counter() - asked
                    pcm = base64.b64decode(said.data)
                    sound.writeframesraw(pcm)
                    samples += len(pcm) // 2
    if first_sound_s is None or not transcript:
        raise Unavailable("a spoken question got no spoken answer")
    return Answer(transcript=transcript.strip(), first_sound_s=first_sound_s, speech_s=samples / SAMPLE_RATE)


async def call_tool(client: AsyncOpenAI, question: str) -> tuple[str, dict[str, object]]:
    """Ask what only a tool can tell; return the tool's name and the arguments it is to be called with.

    Raises `Unavailable` when no tool is called, `openai.OpenAIError`.
    """
    completion = await client.chat.completions.create(
        model="gpt-audio",
        messages=[{"role": "user", "content": question}],
        tools=[WEATHER],
        temperature=0,
        max_completion_tokens=100,
    )
    for call in completion.choices[0].message.tool_calls or ():
        if call.type == "function":
            return call.function.name, json.loads(call.function.arguments)
    raise Unavailable("the language model was to call a tool, and did not")
