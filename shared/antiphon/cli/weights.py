"""Are the weights here that a platform with the present catalogue starts with?"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

from antiphon.cli.models import pull_with_bar
from antiphon.errors import ModelNotFound
from antiphon.models import Catalogue, WeightStore
from antiphon.schemas import Kind
from antiphon.settings import default_cache_dir

SAMPLES, READINGS = "speech-samples", "speech-readings"
# Names that every catalogue resolves to whatever is its default for that kind of work.
DEFAULT_NAMES: tuple[tuple[str, Kind], ...] = (
    ("whisper-1", "transcribe"),
    ("whisper-1", "translate"),
    ("tts-1", "synthesize"),
    ("gpt-audio", "respond"),
)


def open_store(environ: Mapping[str, str]) -> WeightStore:
    """Return the store of weights that the services use too."""
    return WeightStore(Path(environ.get("ANTIPHON_CACHE_DIR") or default_cache_dir()))


def require_default_weights(environ: Mapping[str, str], *, kinds: Collection[Kind]) -> None:
    """Raise `WeightsMissing`, naming the command that helps, unless the default models of `kinds` can be loaded.

    The services say the same when they start; this says it before anything is started.
    """
    store = open_store(environ)
    for weights in _default_weights(environ, kinds):
        store.folder(weights)


def ensure_demo_weights(environ: Mapping[str, str]) -> WeightStore:
    """Pull what the demo needs and is not here, with a progress bar. Returns the store that has it.

    Raises `PullFailed`.
    """
    store = open_store(environ)
    default = _default_weights(environ, [kind for _, kind in DEFAULT_NAMES])
    needed = dict.fromkeys((*default, *store.manifest.always(), SAMPLES, READINGS))
    missing = [weights for weights in needed if not store.present(weights)]
    if missing:
        pull_with_bar(missing, store)
    return store


def _default_weights(environ: Mapping[str, str], kinds: Collection[Kind]) -> Iterable[str]:
    override = environ.get("ANTIPHON_MODELS_FILE")
    catalogue = Catalogue.load(Path(override) if override else None)
    found: dict[str, None] = {}
    for name, kind in DEFAULT_NAMES:
        if kind not in kinds:
            continue
        try:
            model = catalogue.resolve(name, kind)
        except ModelNotFound:  # the catalogue at hand does without
            continue
        if model.weights is not None:
            found[model.weights] = None
    return tuple(found)
