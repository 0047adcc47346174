"""Every sample and every byte, beside what Python's own codec makes of them."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from antiphon.audio.g711 import Law, decode, encode

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    import audioop

pytestmark = pytest.mark.unit

EVERY_SAMPLE = np.arange(-32_768, 32_768).astype("<i2")
EVERY_BYTE = bytes(range(256))
LAWS: list[Law] = ["mulaw", "alaw"]


@pytest.mark.parametrize("law", LAWS)
def test_every_sample_is_encoded_as_the_standard_says(law: Law) -> None:
    reference = audioop.lin2ulaw if law == "mulaw" else audioop.lin2alaw
    assert encode(EVERY_SAMPLE, law) == reference(EVERY_SAMPLE.tobytes(), 2)


@pytest.mark.parametrize("law", LAWS)
def test_every_byte_is_decoded_as_the_standard_says(law: Law) -> None:
    reference = audioop.ulaw2lin if law == "mulaw" else audioop.alaw2lin
    assert decode(EVERY_BYTE, law).tobytes() == reference(EVERY_BYTE, 2)


@pytest.mark.parametrize("law", LAWS)
def test_what_was_decoded_is_encoded_to_sound_alike(law: Law) -> None:
    samples = decode(EVERY_BYTE, law)
    assert np.array_equal(decode(encode(samples, law), law), samples)


@pytest.mark.parametrize("law", LAWS)
def test_nothing_is_nothing(law: Law) -> None:
    assert encode(decode(b"", law), law) == b""
