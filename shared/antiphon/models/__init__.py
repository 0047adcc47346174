"""Models: the catalogue of names, the store of weights, and the pull that fills it."""

from antiphon.models.catalogue import Catalogue, Model, PublicModel
from antiphon.models.manifest import Manifest
from antiphon.models.store import WeightStore
from antiphon.models.voices import find_voice

__all__ = ["Catalogue", "Manifest", "Model", "PublicModel", "WeightStore", "find_voice"]
