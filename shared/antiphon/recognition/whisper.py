"""Whisper over CTranslate2, one window at a time."""

from __future__ import annotations

import math
import os
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from antiphon.errors import InvalidValue, WeightsMissing
from antiphon.recognition.alignment import time_groups, words_by_segment
from antiphon.recognition.cuts import Cut, cut
from antiphon.recognition.engine import FRAMES_PER_S, WINDOW_FRAMES, Decoded, Piece, Task, Window
from antiphon.recognition.features import Features, log_mel
from antiphon.recognition.ladder import (
    MAX_HISTORY_TEMPERATURE,
    Attempt,
    choose,
    compression_ratio,
    temperatures,
)
from antiphon.recognition.token_bytes import token_bytes
from antiphon.schemas import Segment, TokenLogprob

_MAX_TOKENS = 448
_MAX_HISTORY_TOKENS = _MAX_TOKENS // 2 - 1
_MAX_FIRST_TIMESTAMP_STEPS = 50
_SAMPLED_HYPOTHESES = 5


@dataclass(frozen=True, kw_only=True)
class WhisperOptions:
    """How to run a model.

    Attributes:
        compute_type: CTranslate2's name for the arithmetic.
        device: `cpu`, `cuda` or `auto`.
        beam_size: hypotheses followed at temperature 0.
        threads: threads of one call.
        parallel: calls side by side. They share the cores: a lone one has all `threads`, several take turns.
        batch: windows of a call.
    """

    compute_type: str = "int8"
    device: str = "cpu"
    beam_size: int = 5
    threads: int = 2
    parallel: int = 2
    batch: int = 2


class Whisper:
    """A `Recognizer`. Any folder that faster-whisper loads will do."""

    def __init__(self, folder: Path, options: WhisperOptions) -> None:
        """Load the weights. Raises `WeightsMissing`, and `InvalidValue` for options that CTranslate2 refuses."""
        if not (folder / "model.bin").is_file():
            raise WeightsMissing(f"There is no Whisper model for CTranslate2 in {folder}.")
        # Read once, when the library loads. Threads that wait by spinning steal the cores from a call alongside.
        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
        from faster_whisper import WhisperModel  # noqa: PLC0415 - only after the line above

        try:
            self._model: Any = WhisperModel(
                str(folder),
                device=options.device,
                compute_type=options.compute_type,
                cpu_threads=options.threads,
                num_workers=options.parallel,
                local_files_only=True,
            )
        except (ValueError, RuntimeError) as error:
            raise InvalidValue(f"The model in {folder} does not load: {error}") from error
        self._options = options
        self._filters = self._model.feature_extractor.mel_filters
        self._vocabulary: Any = self._model.hf_tokenizer
        self._multilingual = bool(self._model.model.is_multilingual)
        self._languages = self._known_languages()
        self._tokenizers: dict[tuple[str, Task], Any] = {}
        self._suppressed = self._suppressed_tokens()

    @property
    def parallel(self) -> int:
        """Calls of `decode` that gain from running side by side."""
        return self._options.parallel

    @property
    def device(self) -> str:
        """What it calculates on."""
        return str(self._model.model.device)

    @property
    def batch(self) -> int:
        """Windows that gain from sharing a call."""
        return self._options.batch

    @property
    def languages(self) -> frozenset[str]:
        """Codes of the languages that the model recognises."""
        return self._languages

    def tokens(self, text: str) -> tuple[int, ...]:
        """Return `text` as tokens, with the space before it that words have in a sentence."""
        stripped = text.strip()
        return tuple(self._vocabulary.encode(f" {stripped}", add_special_tokens=False).ids) if stripped else ()

    def likeness(self, window: Window) -> Hashable:
        """Return what windows must share: the decoder takes prompts of one length, and one temperature."""
        return len(self._preamble(window)), window.temperature

    def warm(self) -> None:
        """Run once, so that the first job does not pay for what is set up then. Blocking."""
        encoded = self._encode(np.zeros((len(self._filters), WINDOW_FRAMES), dtype=np.float32))
        prompt = self._tokenizer("en", "transcribe").sot_sequence
        self._model.model.generate(encoded, [prompt], beam_size=self._options.beam_size, max_length=16)

    def decode(self, windows: Sequence[Window]) -> list[Decoded]:
        """Recognise windows of the same likeness. Blocking."""
        rows = [self._encode(self._features(window)) for window in windows]
        encoded = _join(rows)
        languages = self._detect(windows, encoded)
        tokenizers = [self._tokenizer(code, window.task) for code, window in zip(languages, windows, strict=True)]
        prompts = [[*self._preamble(w), *t.sot_sequence] for w, t in zip(windows, tokenizers, strict=True)]
        kept = self._climb(rows, encoded, prompts, temperatures(windows[0].temperature))
        return [self._read(*each) for each in zip(windows, kept, tokenizers, languages, rows, strict=True)]

    # --- sound to tokens

    def _features(self, window: Window) -> Features:
        return log_mel(window.samples, lead=window.lead, frames=window.frames, filters=self._filters)

    def _encode(self, features: Features) -> Any:
        """Encode one window. Encoding several in a call is no faster, and takes 72 MB more for each."""
        import ctranslate2  # noqa: PLC0415 - loaded with the model

        return self._model.model.encode(ctranslate2.StorageView.from_array(features[np.newaxis]), to_cpu=True)

    def _detect(self, windows: Sequence[Window], encoded: Any) -> list[str]:
        """Return the language of each window, from what was encoded anyway."""
        if not self._multilingual:
            return ["en"] * len(windows)
        if all(window.language for window in windows):
            return [window.language or "" for window in windows]
        heard = self._model.model.detect_language(encoded)
        return [
            window.language or _likeliest(ranking, window.languages or self._languages)
            for window, ranking in zip(windows, heard, strict=True)
        ]

    def _climb(
        self, rows: Sequence[Any], encoded: Any, prompts: Sequence[list[int]], rungs: Sequence[float]
    ) -> list[Attempt]:
        """Decode all windows together at the first temperature, and those that fail one by one at the next ones."""
        kept = []
        for row, prompt, attempt in zip(rows, prompts, self._generate(encoded, prompts, rungs[0]), strict=True):
            attempts = [attempt]
            for temperature in rungs[1:]:
                if attempts[-1].accepted:
                    break
                attempts += self._generate(row, [prompt], temperature)
            kept.append(choose(attempts))
        return kept

    def _generate(self, encoded: Any, prompts: Sequence[list[int]], temperature: float) -> list[Attempt]:
        search: dict[str, Any] = {"beam_size": self._options.beam_size}
        if temperature > 0:
            search = {
                "beam_size": 1,
                "num_hypotheses": _SAMPLED_HYPOTHESES,
                "sampling_topk": 0,
                "sampling_temperature": temperature,
            }
        results = self._model.model.generate(
            encoded,
            list(prompts),
            max_length=_MAX_TOKENS,
            return_scores=True,
            return_no_speech_prob=True,
            suppress_tokens=self._suppressed,
            max_initial_timestamp_index=_MAX_FIRST_TIMESTAMP_STEPS,
            **search,
        )
        return [self._attempt(result, temperature) for result in results]

    def _attempt(self, result: Any, temperature: float) -> Attempt:
        tokens = tuple(result.sequences_ids[0])
        # The score is the mean over the tokens; the end of the text counts as one more of them.
        return Attempt(
            tokens=tokens,
            avg_logprob=result.scores[0] * len(tokens) / (len(tokens) + 1),
            compression_ratio=compression_ratio(self._text(tokens).strip()),
            no_speech_prob=result.no_speech_prob,
            temperature=temperature,
        )

    # --- tokens to segments

    def _read(self, window: Window, attempt: Attempt, tokenizer: Any, language: str, encoded: Any) -> Decoded:
        forget = attempt.temperature > MAX_HISTORY_TEMPERATURE
        if attempt.silent:
            return Decoded(language=language, pieces=(), seek=window.seek + window.frames)
        cuts, seek = cut(
            attempt.tokens,
            zero=tokenizer.timestamp_begin,
            seek=window.seek,
            frames=window.frames,
            complete=window.complete,
        )
        said = [c for c in cuts if c.start_s != c.end_s and self._text(c.tokens).strip()]
        pieces = [Piece(segment=self._segment(index, c, window, attempt)) for index, c in enumerate(said)]
        if (window.words or window.logprobs) and pieces:
            pieces = self._align(window, pieces, tokenizer, encoded)
        return Decoded(language=language, pieces=tuple(pieces), seek=seek, forget=forget)

    def _segment(self, index: int, cut: Cut, window: Window, attempt: Attempt) -> Segment:
        return Segment(
            id=index,
            seek=window.seek,
            start=round(cut.start_s, 2),
            end=round(cut.end_s, 2),
            text=self._text(cut.tokens),
            tokens=cut.tokens,
            temperature=attempt.temperature,
            avg_logprob=attempt.avg_logprob,
            compression_ratio=attempt.compression_ratio,
            no_speech_prob=attempt.no_speech_prob,
        )

    def _align(self, window: Window, pieces: Sequence[Piece], tokenizer: Any, encoded: Any) -> list[Piece]:
        """Let the model read the text along the sound: that times the tokens, and tells how likely it finds each."""
        spoken = [tuple(token for token in piece.segment.tokens if token < tokenizer.eot) for piece in pieces]
        text = [token for part in spoken for token in part]
        (aligned,) = self._model.model.align(
            encoded, tokenizer.sot_sequence, [text], window.frames, median_filter_width=7
        )
        written, grouped = tokenizer.split_to_word_tokens([*text, tokenizer.eot])
        groups = [(word, len(tokens)) for word, tokens in zip(written, grouped, strict=True)][:-1]
        offset_s = window.seek / FRAMES_PER_S
        sounded = time_groups(groups, aligned.alignments, offset_s=offset_s)
        words = words_by_segment(
            sounded, [len(part) for part in spoken], last_s=offset_s + window.frames / FRAMES_PER_S
        )
        probabilities = iter(aligned.text_token_probs)
        return [
            Piece(
                segment=piece.segment,
                words=said if window.words else (),
                logprobs=tuple(self._logprobs(part, probabilities)) if window.logprobs else (),
            )
            for piece, part, said in zip(pieces, spoken, words, strict=True)
        ]

    def _logprobs(self, tokens: Iterable[int], probabilities: Iterable[float]) -> Iterable[TokenLogprob]:
        for token, probability in zip(tokens, probabilities, strict=False):
            spelled = token_bytes(self._vocabulary.id_to_token(token))
            yield TokenLogprob(
                token=spelled.decode(errors="replace"),
                logprob=min(0.0, math.log(max(probability, 1e-30))),
                bytes=tuple(spelled),
            )

    def _text(self, tokens: Iterable[int]) -> str:
        eot = self._eot
        return str(self._vocabulary.decode([token for token in tokens if token < eot]))

    # --- vocabulary

    @property
    def _eot(self) -> int:
        return int(self._vocabulary.token_to_id("<|endoftext|>"))

    def _preamble(self, window: Window) -> list[int]:
        """Return what comes before the start token: expected words, then the text before the window."""
        bias = window.bias[: _MAX_HISTORY_TOKENS // 2 if window.history else _MAX_HISTORY_TOKENS]
        room = _MAX_HISTORY_TOKENS - len(bias)
        history = window.history[-room:]
        return [self._vocabulary.token_to_id("<|startofprev|>"), *bias, *history] if bias or history else []

    def _tokenizer(self, language: str, task: Task) -> Any:
        from faster_whisper.tokenizer import Tokenizer  # noqa: PLC0415 - loaded with the model

        known = self._tokenizers.get((language, task))
        if known is None:
            known = Tokenizer(self._vocabulary, self._multilingual, task=task, language=language)
            self._tokenizers[language, task] = known
        return known

    def _known_languages(self) -> frozenset[str]:
        if not self._multilingual:
            return frozenset({"en"})
        codes = self._model.supported_languages
        return frozenset(code for code in codes if self._vocabulary.token_to_id(f"<|{code}|>") is not None)

    def _suppressed_tokens(self) -> list[int]:
        from faster_whisper.transcribe import get_suppressed_tokens  # noqa: PLC0415 - loaded with the model

        return list(get_suppressed_tokens(self._tokenizer("en", "transcribe"), [-1]))


def _likeliest(ranking: Iterable[tuple[str, float]], among: Iterable[str]) -> str:
    """Return the first of the ranked languages, `<|xx|>`, that is `among` those wanted."""
    wanted = frozenset(among)
    return next((code for token, _ in ranking if (code := token[2:-2]) in wanted), "en")


def _join(rows: Sequence[Any]) -> Any:
    """Return the encodings of several windows as one."""
    if len(rows) == 1:
        return rows[0]
    import ctranslate2  # noqa: PLC0415 - loaded with the model

    return ctranslate2.StorageView.from_array(np.concatenate([np.asarray(row) for row in rows]))
