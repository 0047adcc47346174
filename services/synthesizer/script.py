"""Turn what people and language models write into what can be read aloud in English.

Marks of layout (Markdown, HTML) become pauses or nothing, letters of other scripts Latin ones or a word on what they
are, numbers and signs what they mean. Emoji are left out: they decorate.
"""

from __future__ import annotations

import re

from services.synthesizer.layout import lines
from services.synthesizer.letters import legible
from services.synthesizer.notation import readable

LONGEST_WORD = 40
"""Characters; the pronunciation of anything longer takes time that grows with the cube of its length."""

_PHONEMES = re.compile(r"\[[^\[\]]{1,40}\]\(/[^()\s]{0,40}[ˈˌ][^()]{0,40}/\)")
_PRIVATE = re.compile("[\ue000-\uf8ff]")
_FIRST_PRIVATE = 0xE000
_MOST_PHONEMES = 1000
_LONG = re.compile(rf"[^\s]{{{LONGEST_WORD + 1},}}")
_PUNCTUATION_RUN = re.compile(r"([^\w\s])\1{3,}")
_LINE_SPACE = re.compile(r"[^\S\n]+")
_AROUND_LINES = re.compile(r"[^\S\n]*\n[^\S\n]*")
_PARAGRAPHS = re.compile(r"\n{3,}")
_EMPTY_BRACKETS = re.compile(r"\(\s*\)|\[\s*\]")
_SPACE_BEFORE_END = re.compile(r" +(?=[.,;:!?](?!\w))")


def speakable(text: str) -> str:
    """Return what of `text` can be spoken; paragraphs stay apart. Empty if nothing can."""
    spoken: list[str] = []

    def keep(phonemes: re.Match[str]) -> str:
        """Put one character in the place of what is already as it is to be spoken."""
        if len(spoken) == _MOST_PHONEMES:
            return ""
        spoken.append(phonemes[0])
        return chr(_FIRST_PRIVATE + len(spoken) - 1)

    text = _PHONEMES.sub(keep, _PRIVATE.sub("", text))
    plain = legible(lines(_PUNCTUATION_RUN.sub(lambda run: run[1] * 3, text)))
    plain = readable(_EMPTY_BRACKETS.sub(" ", plain))
    plain = _LONG.sub(_divide, plain)
    plain = _SPACE_BEFORE_END.sub("", _LINE_SPACE.sub(" ", plain))
    plain = _PARAGRAPHS.sub("\n\n", _AROUND_LINES.sub("\n", plain)).strip()
    plain = _PRIVATE.sub(lambda mark: spoken[ord(mark[0]) - _FIRST_PRIVATE], plain)
    return plain if any(map(str.isalnum, plain)) else ""


def _divide(word: re.Match[str]) -> str:
    text = word[0]
    return " ".join(text[start : start + LONGEST_WORD] for start in range(0, len(text), LONGEST_WORD))
