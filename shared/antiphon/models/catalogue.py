"""The catalogue: every model name that a client may send, and the engine, weights and options that serve it."""

from __future__ import annotations

import copy
import datetime as dt
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from importlib import resources
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from antiphon.errors import InvalidValue, ModelForbidden, ModelNotFound
from antiphon.schemas import Kind

Usage = Literal["duration", "tokens"]
"""Whether answers report seconds of audio or tokens."""

TEXT_FORMATS = ("json", "text", "srt", "vtt", "verbose_json")
AUDIO_FORMATS = ("mp3", "opus", "aac", "flac", "wav", "pcm")
CHAT_AUDIO_FORMATS = ("wav", "aac", "mp3", "flac", "opus", "pcm16")

_FORMATS: Mapping[Kind, tuple[str, ...]] = {"synthesize": AUDIO_FORMATS, "respond": CHAT_AUDIO_FORMATS}
_PACKAGED = "models.toml"


@dataclass(frozen=True)
class PublicModel:
    """A name that a client may send.

    `base` is the name whose rules hold: the target of a deployment, else the name itself. `streams`, `formats` and
    `usage` describe the hosted model of that name, for strict mode. `shutdown_date` is an ISO date.
    """

    id: str
    created: int
    owned_by: str
    kinds: tuple[Kind, ...]
    model: str
    streams: bool
    formats: tuple[str, ...]
    shutdown_date: str | None
    usage: Usage
    base: str


@dataclass(frozen=True)
class Model:
    """What serves a request: `folder` when the weights lie in a local folder, else `weights` names a set to pull.

    An `optional` one is loaded when it is first asked for, and its weights are pulled when they are named. For a
    language model, `heard_by` and `spoken_by` are the names of the models that hear and speak for it.
    """

    name: str
    kinds: tuple[Kind, ...]
    engine: str
    weights: str | None
    folder: Path | None
    options: Mapping[str, Any]
    public: PublicModel
    optional: bool = False
    heard_by: str | None = None
    spoken_by: str | None = None


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class _ModelTable(_Table):
    engine: str = Field(min_length=1)
    kinds: tuple[Kind, ...] = Field(min_length=1)
    weights: str | None = None
    folder: Path | None = None
    optional: bool = False
    heard_by: str | None = None
    spoken_by: str | None = None
    options: dict[str, Any] = Field(default_factory=dict)
    owned_by: str = "antiphon"
    created: int = Field(default=0, ge=0)


class _NameTable(_Table):
    kinds: tuple[Kind, ...] = Field(min_length=1)
    model: str | None = None
    streams: bool = True
    formats: tuple[str, ...] | None = None
    usage: Usage = "tokens"
    owned_by: str = "system"
    created: int = Field(default=0, ge=0)
    shutdown_date: dt.date | None = None


class _Document(_Table):
    defaults: dict[Kind, str] = Field(default_factory=dict)
    models: dict[str, _ModelTable] = Field(default_factory=dict)
    names: dict[str, _NameTable] = Field(default_factory=dict)
    deployments: dict[str, str] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _refer_to_what_exists(self) -> Self:
        for where, problem in self._dangling():
            raise ValueError(f"{where}: {problem}")
        return self

    def _dangling(self) -> Iterator[tuple[str, str]]:
        for kind, name in self.defaults.items():
            yield from self._unfit(f"defaults.{kind}", name, kind)
        for id, entry in self.names.items():
            for kind in entry.kinds:
                model = entry.model or self.defaults.get(kind)
                if model is None:
                    yield f"names.{id}", f"names no model, and there is no default for {kind}"
                else:
                    yield from self._unfit(f"names.{id}.model", model, kind)
        for id, model_table in self.models.items():
            for field, other, kind in (
                ("heard_by", model_table.heard_by, "transcribe"),
                ("spoken_by", model_table.spoken_by, "synthesize"),
            ):
                if other is not None:
                    yield from self._unfit(f"models.{id}.{field}", other, kind)
        for id, target in self.deployments.items():
            if target not in self.names and target not in self.models:
                yield f"deployments.{id}", f"there is no model or name {target!r}"

    def _unfit(self, where: str, model: str, kind: Kind) -> Iterator[tuple[str, str]]:
        if model not in self.models:
            yield where, f"there is no model {model!r}"
        elif kind not in self.models[model].kinds:
            yield where, f"model {model!r} does not {kind}"


class Catalogue:
    """Resolves the name in a request to the model that serves it. Immutable."""

    def __init__(self, document: _Document) -> None:
        self._models = document.models
        self._options = {name: _freeze(table.options) for name, table in document.models.items()}
        self._names: dict[str, _NameTable] = {
            name: _NameTable(
                kinds=table.kinds,
                model=name,
                usage="duration" if "transcribe" in table.kinds else "tokens",
                owned_by=table.owned_by,
                created=table.created,
            )
            for name, table in document.models.items()
        } | document.names
        self._defaults = document.defaults
        # What other names lead to is needed, whatever its own table says.
        meant = {*document.defaults.values(), *(table.model for table in document.names.values())}
        self._optional = {name for name, table in document.models.items() if table.optional and name not in meant}
        bases = {name: name for name in self._names} | document.deployments
        self._public = {id: self._describe(id, base=base) for id, base in bases.items()}
        self._patterns: tuple[str, ...] = ()

    @classmethod
    def load(cls, override: Path | None = None) -> Catalogue:
        """Read the packaged catalogue and merge the file `override` over it.

        Raises `InvalidValue` with one line that names the file and the key.
        """
        text = resources.files("antiphon.models").joinpath(_PACKAGED).read_text(encoding="utf-8")
        tables = tomllib.loads(text)
        origin = _PACKAGED
        if override is not None:
            origin = str(override)
            tables = _merge(tables, _anchor(_read(override), override.absolute().parent))
        try:
            return cls(_Document.model_validate(tables))
        except ValidationError as error:
            raise InvalidValue(f"models file {origin}: {_first_problem(error)}") from None

    def only(self, patterns: tuple[str, ...]) -> Catalogue:
        """Return the catalogue for who may name nothing but what fits one of the patterns, such as `gpt-4o-*`.

        A deployment fits by its own name or by what it stands for. None at all lets everything through.
        """
        if patterns == self._patterns:
            return self
        narrowed = copy.copy(self)
        narrowed._patterns = patterns
        return narrowed

    def resolve(self, name: str, kind: Kind) -> Model:
        """Return the model that does `kind` for requests that name `name`: a model, a public name or a deployment.

        Raises `ModelNotFound`, `ModelForbidden`.
        """
        public = self._public.get(name)
        if public is None:
            raise ModelNotFound(f"The model `{name}` does not exist or you do not have access to it.", param="model")
        if not self._permits(public):
            raise ModelForbidden(f"Your API key does not have access to model `{name}`.", param="model")
        if kind not in public.kinds:
            raise ModelNotFound(f"The model `{name}` does not {kind}.", param="model")
        target = self._target(self._names[public.base], kind)
        table = self._models[target]
        return Model(
            name=target,
            kinds=table.kinds,
            engine=table.engine,
            weights=None if table.folder else table.weights,
            folder=table.folder,
            options=self._options[target],
            public=public,
            optional=target in self._optional,
            heard_by=table.heard_by,
            spoken_by=table.spoken_by,
        )

    def default(self, kind: Kind) -> str:
        """Return the name of the model that does `kind` for who names none. Raises `ModelNotFound`."""
        name = self._defaults.get(kind)
        if name is None:
            raise ModelNotFound(f"There is no default model to {kind}.", param="model")
        return name

    def public(self) -> tuple[PublicModel, ...]:
        """Return every name that a client may send, deployments last."""
        return tuple(public for public in self._public.values() if self._permits(public))

    def weights(self) -> tuple[str, ...]:
        """Return the weights sets that the models need, each once; those of optional models are not among them."""
        needed = [table for name, table in self._models.items() if name not in self._optional]
        return tuple(dict.fromkeys(table.weights for table in needed if table.weights and not table.folder))

    def _permits(self, public: PublicModel) -> bool:
        names = (public.id, public.base)
        return not self._patterns or any(fnmatchcase(name, each) for name in names for each in self._patterns)

    def _describe(self, id: str, *, base: str) -> PublicModel:
        table = self._names[base]
        formats = table.formats
        if formats is None:
            formats = next((_FORMATS[kind] for kind in table.kinds if kind in _FORMATS), TEXT_FORMATS)
        return PublicModel(
            id=id,
            created=table.created,
            owned_by=table.owned_by,
            kinds=table.kinds,
            model=self._target(table, table.kinds[0]),
            streams=table.streams,
            formats=formats,
            shutdown_date=table.shutdown_date.isoformat() if table.shutdown_date else None,
            usage=table.usage,
            base=base,
        )

    def _target(self, table: _NameTable, kind: Kind) -> str:
        return table.model or self._defaults[kind]


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InvalidValue(f"models file {path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidValue(f"models file {path}: {' '.join(str(error).split())}") from None


def _anchor(tables: dict[str, Any], home: Path) -> dict[str, Any]:
    """Make the folders in an override absolute: they are relative to the file that names them."""
    models = tables.get("models")
    for table in models.values() if isinstance(models, dict) else ():
        if isinstance(table, dict) and isinstance(folder := table.get("folder"), str):
            table["folder"] = str(home / Path(folder).expanduser())
    return tables


def _merge(under: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Return `under` with the values of `over`; tables in both are merged, anything else is replaced."""
    merged = dict(under)
    for key, value in over.items():
        below = merged.get(key)
        merged[key] = _merge(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return merged


def _first_problem(error: ValidationError) -> str:
    problem = error.errors(include_url=False)[0]
    where = ".".join(str(part) for part in problem["loc"])
    message = problem["msg"].removeprefix("Value error, ")
    return " ".join((f"{where}: {message}" if where else message).split())


def _freeze(options: Mapping[str, Any]) -> Mapping[str, Any]:
    return MappingProxyType({k: _freeze(v) if isinstance(v, dict) else v for k, v in options.items()})
