"""The cache of weights: blobs by their digest, and per set a folder of links to them.

    blobs/sha256/<digest>      every file once, read-only
    sets/<name>-<digest>/…     the files of a set under their own names; there as a whole or not at all
    weights/<name>             a link to the newest of these folders
    downloads/                 what a pull has fetched so far; an interrupted one goes on from there

A file gets its name only after its digest was checked, by a rename: no process ever sees half of one.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import secrets
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import IO

from antiphon.errors import Failure, WeightsMissing
from antiphon.models.manifest import Manifest, WeightsFile

_CHUNK_BYTES = 1 << 20
_KEEP_PARTS = timedelta(days=7)


class WrongBytes(Failure):
    """Bytes that are not the ones the manifest promises."""

    code = "wrong_bytes"
    retryable = False


@dataclass(frozen=True)
class Fault:
    """A file of a set that is not as the manifest says."""

    path: str
    problem: str


class WeightStore:
    """Weights on this machine. Making one touches no file."""

    def __init__(self, cache_dir: Path, *, manifest: Manifest | None = None) -> None:
        self.cache_dir = cache_dir.expanduser().absolute()
        self.manifest = manifest or Manifest.load()

    def folder(self, weights: str) -> Path:
        """Return the folder that holds the set `weights`. Only looks at sizes; `verify` reads the bytes.

        Raises `WeightsMissing` naming the command that pulls them, `NotFound` for a set that does not exist.
        """
        folder = self._set_folder(weights)
        for path, file in self.manifest.weights(weights).files.items():
            if not _has_size(folder / path, file.size):
                where = f"The weights {weights!r} are not in {self.cache_dir}."
                raise WeightsMissing(f"{where} Get them with: antiphon models pull {weights}")
        return folder

    def present(self, weights: str) -> bool:
        """Return whether `folder` would find the set."""
        try:
            self.folder(weights)
        except WeightsMissing:
            return False
        return True

    def verify(self, weights: str) -> tuple[Fault, ...]:
        """Read every file of the set and return what is wrong; nothing when all is well."""
        folder = self._set_folder(weights)
        faults = []
        for path, file in self.manifest.weights(weights).files.items():
            if not (folder / path).is_file():
                faults.append(Fault(path, "is missing"))
            elif digest_of(folder / path) != file.sha256:
                faults.append(Fault(path, "has other bytes than the manifest says"))
        return tuple(faults)

    def blob(self, file: WeightsFile) -> Path | None:
        """Return where the bytes of `file` lie, or None."""
        path = self._blob_path(file.sha256)
        return path if _has_size(path, file.size) else None

    def discard(self, file: WeightsFile) -> None:
        """Remove the bytes of `file`, so that a pull fetches them again."""
        self._blob_path(file.sha256).unlink(missing_ok=True)

    def add(self, file: WeightsFile, chunks: Iterator[bytes]) -> Path:
        """Store the bytes of `file` and return where they lie.

        Raises `WrongBytes` when they are not the ones the manifest promises; nothing is visible then.
        """
        path = self._blob_path(file.sha256)
        path.parent.mkdir(parents=True, exist_ok=True)
        torn = self.downloads() / f"{file.sha256}.{os.getpid()}-{secrets.token_hex(4)}.tmp"
        digest = hashlib.sha256()
        size = 0
        try:
            with torn.open("xb") as out:
                for chunk in chunks:
                    size += len(chunk)
                    if size > file.size:
                        raise WrongBytes(f"more than the {file.size} bytes expected")
                    digest.update(chunk)
                    out.write(chunk)
                if size < file.size:
                    raise WrongBytes(f"{size} bytes where {file.size} were expected")
                if digest.hexdigest() != file.sha256:
                    raise WrongBytes(f"sha256 is {digest.hexdigest()[:12]}… where {file.sha256[:12]}… was expected")
                out.flush()
                os.fsync(out.fileno())
            torn.chmod(0o444)
            torn.rename(path)
        finally:
            torn.unlink(missing_ok=True)
        return path

    def assemble(self, weights: str) -> Path:
        """Make the set's folder out of blobs that are all there, and return it."""
        folder = self._set_folder(weights)
        folder.parent.mkdir(parents=True, exist_ok=True)
        torn = folder.with_name(f".{folder.name}.{os.getpid()}-{secrets.token_hex(4)}.tmp")
        try:
            for path, file in self.manifest.weights(weights).files.items():
                (torn / path).parent.mkdir(parents=True, exist_ok=True)
                _link(self._blob_path(file.sha256), torn / path)
            if folder.exists() and self.verify(weights):
                folder.rename(torn.with_suffix(".old"))
            if not folder.exists():
                torn.rename(folder)
        finally:
            for rest in (torn, torn.with_suffix(".old")):
                shutil.rmtree(rest, ignore_errors=True)
        self._point(weights, folder)
        return folder

    def sweep(self) -> None:
        """Remove what a pull that was killed left half made. Only for the one who is `filling`.

        Downloads that can be gone on with stay, for a week.
        """
        oldest_s = time.time() - _KEEP_PARTS.total_seconds()
        for part in self.downloads().glob("*.part"):
            if part.stat().st_mtime < oldest_s:
                part.unlink()
        for rest in (*self.downloads().glob("*.tmp"), *(self.cache_dir / "sets").glob(".*.tmp")):
            if rest.is_dir() and not rest.is_symlink():
                shutil.rmtree(rest, ignore_errors=True)
            else:
                rest.unlink(missing_ok=True)

    def downloads(self) -> Path:
        """Return the folder for what is being fetched."""
        folder = self.cache_dir / "downloads"
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    @contextlib.contextmanager
    def filling(self, *, on_wait: Callable[[], None] = lambda: None) -> Iterator[None]:
        """Be the only one that fills this cache, among all processes and threads; the kernel ends it with the holder.

        Readers need no lock: what they see is complete. `on_wait` is called once when somebody else is filling it.
        """
        self.cache_dir.mkdir(parents=True, exist_ok=True)
        with (self.cache_dir / "filling.lock").open("wb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                on_wait()
                fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def _set_folder(self, weights: str) -> Path:
        return self.cache_dir / "sets" / f"{weights}-{self.manifest.weights(weights).digest[:12]}"

    def _blob_path(self, sha256: str) -> Path:
        return self.cache_dir / "blobs" / "sha256" / sha256

    def _point(self, weights: str, folder: Path) -> None:
        link = self.cache_dir / "weights" / weights
        link.parent.mkdir(parents=True, exist_ok=True)
        torn = link.with_name(f".{weights}.{os.getpid()}-{secrets.token_hex(4)}.tmp")
        torn.symlink_to(os.path.relpath(folder, link.parent))
        torn.rename(link)


def digest_of(path: Path) -> str:
    """Return the sha256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def chunks_of(file: IO[bytes]) -> Iterator[bytes]:
    """Yield what is left to read in `file`."""
    while chunk := file.read(_CHUNK_BYTES):
        yield chunk


def _has_size(path: Path, size: int) -> bool:
    try:
        return path.stat().st_size == size
    except OSError:
        return False


def _link(blob: Path, path: Path) -> None:
    # Not every file system links across folders, and some none at all.
    try:
        path.hardlink_to(blob)
    except OSError:
        path.symlink_to(os.path.relpath(blob, path.parent))
