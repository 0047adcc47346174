"""What a request asks of a recogniser, checked against what it can do."""

from __future__ import annotations

from antiphon.audio.speech_gate import GateOptions
from antiphon.errors import UnsupportedValue
from antiphon.languages import language_code
from antiphon.recognition.engine import Recognizer, Task
from antiphon.recognition.transcription import Plan
from antiphon.schemas import RecognitionOptions


def plan_for(options: RecognitionOptions, *, task: Task, recognizer: Recognizer) -> Plan:
    """Return how to serve `options`. Raises `UnsupportedValue` for a language or task the model does not know."""
    known = recognizer.languages
    if task == "translate" and known == {"en"}:
        raise UnsupportedValue("This model knows English alone and does not translate.", param="model")
    return Plan(
        task=task,
        language=_language(options.language, known, param="language") if options.language else None,
        languages=tuple(dict.fromkeys(_language(each, known, param="languages") for each in options.languages)),
        opening=recognizer.tokens(options.prompt or ""),
        bias=recognizer.tokens(", ".join(word.strip() for word in options.keywords)),
        temperature=options.temperature,
        words=options.words,
        logprobs=options.logprobs,
        gate=GateOptions.of(options.chunking) if options.chunking else None,
    )


def _language(spelling: str, known: frozenset[str], *, param: str) -> str:
    code = language_code(spelling)
    if code is None or code not in known:
        raise UnsupportedValue(f"Language '{spelling}' is not supported.", param=param)
    return code
