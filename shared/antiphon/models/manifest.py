"""The manifest of weights: per set its files, each with its digest, its size and where it may come from."""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Mapping
from importlib import resources
from pathlib import PurePosixPath
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from antiphon.errors import NotFound

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


def _inside(path: str) -> str:
    parts = PurePosixPath(path).parts
    if not parts or path.startswith("/") or ".." in parts or "\\" in path:
        raise ValueError(f"{path!r} does not stay inside its folder")
    return path


RelativePath = Annotated[str, AfterValidator(_inside)]


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Archive(_Entry):
    """A package of a registry. Only the one with this digest is ever opened."""

    registry: Literal["pypi", "npm"]
    package: str
    version: str
    sha256: Sha256
    size: int = Field(gt=0, description="bytes")
    platform: str | None = Field(default=None, description="the wheel to ask for, whatever machine this is")


class HubFile(_Entry):
    """A file in a model hub's repository."""

    repo: str
    path: RelativePath
    revision: str = "main"


class Member(_Entry):
    """A file in an archive."""

    archive: str
    path: str


class WeightsFile(_Entry):
    """One file of a set: the concatenation of `members`, or `hub` as it is, whichever has the digest."""

    sha256: Sha256
    size: int = Field(gt=0, description="bytes")
    hub: HubFile | None = None
    members: tuple[Member, ...] = ()


class WeightsSet(_Entry):
    """Files that are used together, by their paths in the set's folder."""

    licence: str
    origin: str
    always: bool = Field(default=False, description="needed whatever models are served")
    files: Mapping[RelativePath, WeightsFile]

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files.values())

    @property
    def digest(self) -> str:
        """The digest of the names and digests of all files: another set of files has another one."""
        lines = "".join(f"{file.sha256} {path}\n" for path, file in sorted(self.files.items()))
        return hashlib.sha256(lines.encode()).hexdigest()


class Manifest(_Entry):
    """All sets, and the archives their files come in."""

    archives: Mapping[str, Archive] = Field(default_factory=dict)
    sets: Mapping[str, WeightsSet]

    @model_validator(mode="after")
    def _members_have_archives(self) -> Self:
        for name, weights in self.sets.items():
            for path, file in weights.files.items():
                for member in file.members:
                    if member.archive not in self.archives:
                        raise ValueError(f"sets.{name}.files.{path}: there is no archive {member.archive!r}")
        return self

    @classmethod
    def load(cls) -> Manifest:
        """Read the packaged manifest."""
        text = resources.files("antiphon.models").joinpath("weights.toml").read_text(encoding="utf-8")
        return cls.model_validate(tomllib.loads(text))

    def weights(self, name: str) -> WeightsSet:
        """Return the set `name`. Raises `NotFound`."""
        try:
            return self.sets[name]
        except KeyError:
            known = ", ".join(self.sets)
            raise NotFound(f"There are no weights {name!r}; there are: {known}.") from None

    def always(self) -> tuple[str, ...]:
        """Return the sets that every platform needs, whatever models it serves."""
        return tuple(name for name, weights in self.sets.items() if weights.always)
