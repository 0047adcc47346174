"""Load the recognisers that the catalogue names."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from antiphon.errors import InvalidValue, WeightsMissing
from antiphon.models import Catalogue, Model, WeightStore
from antiphon.recognition.engine import Recognizer, Task
from antiphon.recognition.settings import RecognitionSettings
from antiphon.recognition.whisper import Whisper, WhisperOptions

ENGINES = ("faster-whisper",)

_MOST_PARALLEL = 4


def models_for(catalogue: Catalogue, task: Task) -> tuple[Model, ...]:
    """Return the models that any public name for `task` leads to, each once."""
    names = [public.id for public in catalogue.public() if task in public.kinds]
    return tuple({model.name: model for name in names for model in [catalogue.resolve(name, task)]}.values())


def load_recognizer(model: Model, *, store: WeightStore, settings: RecognitionSettings) -> Recognizer:
    """Load a model and warm it. Blocking.

    Raises `WeightsMissing` if its weights are not on this machine, `InvalidValue` if its engine or options are unknown.
    """
    if model.engine not in ENGINES:
        raise InvalidValue(
            f"model {model.name}: there is no engine {model.engine!r} for recognition; there is {', '.join(ENGINES)}"
        )
    folder = model.folder or (store.folder(model.weights) if model.weights else None)
    if folder is None:
        raise WeightsMissing(f"model {model.name}: it names neither weights nor a folder")
    recognizer = Whisper(folder, options_of(model, threads=settings.threads, parallel=settings.parallel_windows))
    with ThreadPoolExecutor(recognizer.parallel) as threads:
        for warmed in [threads.submit(recognizer.warm) for _ in range(recognizer.parallel)]:
            warmed.result()
    return recognizer


def options_of(model: Model, *, threads: int, parallel: int | None) -> WhisperOptions:
    """Return how to run `model` on `threads` cores. Raises `InvalidValue` for an option that does not exist."""
    parallel = parallel or min(threads, _MOST_PARALLEL)
    # Twice a fair share: a lone call has the cores to itself, and two in a row leave none idle.
    share = min(threads, max(1, 2 * threads // parallel))
    try:
        return WhisperOptions(**{"threads": share, "parallel": parallel, **model.options})
    except TypeError as error:
        raise InvalidValue(f"model {model.name}: {error}") from None
