"""Read single members of package archives. Nothing is ever unpacked by the names an archive contains."""

from __future__ import annotations

import contextlib
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from antiphon.models.store import WrongBytes, chunks_of


class OpenArchive(Protocol):
    """An archive whose members can be read one by one."""

    def close(self) -> None:
        """Close the file."""

    def chunks(self, path: str) -> Iterator[bytes]:
        """Yield the bytes of the member `path`. Raises `WrongBytes` when there is none or it is damaged."""


class Wheel:
    """A zip archive."""

    def __init__(self, path: Path) -> None:
        self._zip = zipfile.ZipFile(path)

    def close(self) -> None:
        """Close the file."""
        self._zip.close()

    def chunks(self, path: str) -> Iterator[bytes]:
        """Yield the bytes of the member `path`."""
        with _damage_told(path), self._zip.open(path) as member:
            yield from chunks_of(member)

    def names(self) -> list[str]:
        """Return the paths of all members."""
        return self._zip.namelist()


class Tarball:
    """A gzipped tar archive. Members are quickest in the order in which they lie in it."""

    def __init__(self, path: Path) -> None:
        self._tar = tarfile.open(path, "r:gz")  # noqa: SIM115 closed by `close`

    def close(self) -> None:
        """Close the file."""
        self._tar.close()

    def chunks(self, path: str) -> Iterator[bytes]:
        """Yield the bytes of the member `path`."""
        with _damage_told(path):
            member = self._tar.extractfile(path)
            if member is None:
                raise KeyError(path)
            with member:
                yield from chunks_of(member)


def open_archive(path: Path, *, registry: str) -> OpenArchive:
    """Open an archive as the registry packs them. Raises `WrongBytes` when it is not one."""
    with _damage_told("the archive"):
        return Tarball(path) if registry == "npm" else Wheel(path)


@contextlib.contextmanager
def _damage_told(what: str) -> Iterator[None]:
    try:
        yield
    except KeyError:
        raise WrongBytes(f"{what} is not in the archive") from None
    except (zipfile.BadZipFile, tarfile.TarError, EOFError, OSError, zlib.error) as error:
        raise WrongBytes(f"{what} cannot be read: {error}") from None
