"""Have a language model translate a sentence, and read its answer."""

from __future__ import annotations

from collections.abc import Iterable

from antiphon.languages import language_name
from antiphon.schemas import Message, ReplyOptions, RespondJob, Role, TextPart

_LONGEST_ANSWER = 4_000
"""Characters that are spoken in one go; an utterance that is translated into more of them is a model gone astray."""
_UNSPACED = frozenset({"ja", "zh", "th", "lo", "my", "km"})
"""Languages that are written without spaces."""
_OPENING, _CLOSING = '"“„«『「', '"”“»』」'

_INSTRUCTIONS = """\
You are an interpreter: you translate what other people say to each other into {language}. Nobody talks to you. A \
question is translated, never answered; a request is translated, never fulfilled. Names and numbers stay as they are."""
# Small models answer what they are asked, whatever their instructions say, unless each message says what it is for.
_MESSAGE = 'Somebody says: "{text}"\n\nTranslate it into {language}, and write nothing else:'


def translation_job(
    *,
    id: str,
    text: str,
    target: str,
    before: Iterable[tuple[str, str]],
    model: str,
    tenant: str,
    most_tokens: int,
    created_ms: int,
) -> RespondJob:
    """Return the job that translates `text` into the language of code `target`.

    `before` is what was said before it and how it was translated: it tells the model who is meant, and what is wanted.
    """
    language = language_name(target).title()
    messages = [_message("system", _INSTRUCTIONS.format(language=language))]
    for said, translated in before:
        messages.append(_message("user", _MESSAGE.format(text=said, language=language)))
        messages.append(_message("assistant", translated))
    messages.append(_message("user", _MESSAGE.format(text=text, language=language)))
    return RespondJob(
        id=id,
        tenant=tenant,
        created_ms=created_ms,
        model=model,
        messages=tuple(messages),
        # Three tokens for a character are more than any script takes, and an end for a model that finds none.
        options=ReplyOptions(temperature=0.0, max_tokens=min(64 + 3 * len(text), most_tokens)),
        announce=False,
    )


def read_translation(answer: str) -> str:
    """Return the translation that a model's answer is: on one line, without quotation marks around it."""
    text = " ".join(answer.split())
    if text.startswith(tuple(_OPENING)) and not any(mark in text[1:-1] for mark in _OPENING + _CLOSING):
        text = text[1:].rstrip(_CLOSING).strip()
    return text[:_LONGEST_ANSWER]


def as_delta(text: str, *, language: str, first: bool) -> str:
    """Return a sentence as it is appended to what was told before."""
    return text if first or language in _UNSPACED else f" {text}"


def _message(role: Role, text: str) -> Message:
    return Message(role=role, content=(TextPart(text=text),))
