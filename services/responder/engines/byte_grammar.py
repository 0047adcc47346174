"""Grammars, tried on bytes: whether anything can be written by one, and whether a text keeps to one."""

from __future__ import annotations

from collections import OrderedDict

from llguidance import LLMatcher, LLTokenizer, TokenizerWrapper

_END_OF_TEXT = 256
_MOST = 128


class BadGrammar(Exception):
    """Nothing can be written by this grammar; the message says why, in a line."""


class ByteMatcher:
    """Follows a text through a grammar, byte by byte. `Grammars` makes them."""

    def __init__(self, matcher: LLMatcher) -> None:
        self._matcher = matcher

    @property
    def may_end(self) -> bool:
        """Whether the text may end here."""
        return bool(self._matcher.is_accepting())

    def follow(self, text: str) -> bool:
        """Take more text. Returns False if it leaves the grammar."""
        data = text.encode("utf-8", "surrogatepass")
        return bool(self._matcher.try_consume_tokens(list(data)) == len(data))

    def copy(self) -> ByteMatcher:
        """Return another that stands at the same place."""
        return ByteMatcher(self._matcher.deep_copy())


class Grammars:
    """Compiles grammars, and keeps the latest ones: every turn of a conversation brings the same."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, ByteMatcher] = OrderedDict()

    def compile(self, grammar: str) -> ByteMatcher:
        """Return a matcher that stands at the beginning of a text. It may take a tenth of a second of CPU.

        Raises `BadGrammar`.
        """
        kept = self._kept.get(grammar)
        if kept is None:
            kept = _compile(grammar)
            self._kept[grammar] = kept
            while len(self._kept) > _MOST:
                self._kept.popitem(last=False)
        return kept.copy()


def _compile(grammar: str) -> ByteMatcher:
    failed, messages = LLMatcher.validate_grammar_with_warnings(grammar)
    if failed:
        # The first line says what, where in the grammar, and why; the others repeat the grammar.
        line = str((messages or ["it is not a schema"])[0]).strip().splitlines()[0]
        raise BadGrammar(line.rpartition("failed to compile JSON schema: ")[2][:300].rstrip("."))
    tokenizer = LLTokenizer(TokenizerWrapper(_Bytes()), slices=[])
    beginning = LLMatcher(tokenizer, grammar)
    kept = ByteMatcher(beginning.deep_copy())
    beginning.compute_bitmask()
    if beginning.is_error():
        raise BadGrammar("nothing can be written by it, or it takes too much work to tell")
    return kept


class _Bytes:
    """The tokenizer of whoever reads single bytes."""

    eos_token_id = _END_OF_TEXT
    bos_token_id = None
    tokens = (*(bytes([value]) for value in range(256)), b"<end>")
    special_token_ids = (_END_OF_TEXT,)

    def __call__(self, text: bytes | str) -> list[int]:
        return list(text.encode() if isinstance(text, str) else text)
