"""What is written for the eye is heard as it would be read aloud: the words reach a listener who cannot see it."""

from __future__ import annotations

import re

import numpy as np
import pytest

from services.synthesizer.engines.hibari import Hibari
from services.synthesizer.pieces import pieces
from tests.integration.synthesizer.hearing import write_down

pytestmark = pytest.mark.integration

GAP_S = 0.5

SAID = [
    ("## The **plan** for `today`", ["the plan for today"]),
    (
        "1. Buy 2.5 kg of rice 🍚\n2. Pay $3.50 for it",
        ["(2 5|two point five) kilograms of rice", "pay (3 50|(3|three) dollars and (50|fifty) cents)"],
    ),
    ("Dr. Brown lives at No. 5, on St. Paul Street.", ["(dr|doctor) brown", "number (5|five)", "(st|saint) paul"]),
    ("Read [the manual](https://example.com/a_b?c=d) first!", ["read the manual first"]),
    ("It is -5 °C and 16:9 is the ratio.", ["(minus )?(5|five) degrees celsius", "(16|sixteen) to (9|nine)"]),
    ("The room has 20 m² and costs 80 € per night.", ["(20|twenty) square meters", "(80|eighty) euros per night"]),
    ("Henry VIII met 1,200 people in 1984.", ["henry (viii|the eighth|the 8th)", "1 ?200 people", "1984"]),
    ("| City | Height |\n|---|---|\n| Berlin | 34 m |", ["city", "height", "berlin", "(34|thirty four) meters"]),
    ("Use it like this:\n```python\nprint(1 / 0)\n```", ["use it like this", "code block python"]),
    ("Write to help@example.com, please.", ["help at example (com|dot com) please"]),
    ("The word means مرحبا in English.", ["arabic text in english"]),
]
"""What is written, and patterns of what is heard."""


def test_a_listener_hears_what_a_reader_sees(hibari: Hibari) -> None:
    transcripts = {}
    for group in (SAID[:5], SAID[5:]):
        sounds = []
        for text, _ in group:
            for piece in pieces(text, hibari.limits):
                sounds += [*hibari.speak(piece.text, voice=hibari.voices()[0], speed=1.0)]
                sounds.append(np.zeros(round(GAP_S * hibari.rate), np.float32))
        heard = write_down(np.concatenate(sounds), hibari.rate)
        transcripts.update({text: heard for text, _ in group})
    for text, parts in SAID:
        for part in parts:
            assert re.search(rf"\b{part}\b", _plain(transcripts[text])), (text, part, transcripts[text])


def _plain(text: str) -> str:
    return " ".join(re.findall(r"[a-z0-9']+", text.lower()))


@pytest.mark.parametrize(
    "text",
    [
        "Привет, как дела?",
        "Καλημέρα!",
        "안녕하세요.",
        "ありがとう。",
        "你好世界。",
        "今日は元気です。",
        "नमस्ते",
        "Bonjour, ça va ?",
    ],
)
def test_no_language_is_silence(hibari: Hibari, text: str) -> None:
    sounds = [
        sound
        for piece in pieces(text, hibari.limits)
        for sound in hibari.speak(piece.text, voice=hibari.voices()[0], speed=1.0)
    ]
    assert sum(map(len, sounds)) > 0.4 * hibari.rate
