"""What is in the store is whole and right, or not there."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.errors import NotFound, WeightsMissing
from antiphon.models import Manifest, WeightStore
from antiphon.models.manifest import WeightsFile
from antiphon.models.store import WrongBytes

pytestmark = pytest.mark.unit

CONTENTS = {"a.bin": b"first file", "deep/b.bin": b"second file", "copy.bin": b"first file"}


def entry(data: bytes) -> WeightsFile:
    return WeightsFile(sha256=hashlib.sha256(data).hexdigest(), size=len(data))


def store_at(folder: Path, contents: dict[str, bytes] = CONTENTS) -> WeightStore:
    files = {path: entry(data).model_dump() for path, data in contents.items()}
    manifest = Manifest.model_validate({"sets": {"things": {"licence": "MIT", "origin": "-", "files": files}}})
    return WeightStore(folder, manifest=manifest)


def fill(store: WeightStore, contents: dict[str, bytes] = CONTENTS) -> Path:
    for data in contents.values():
        store.add(entry(data), iter([data[:3], data[3:]]))
    return store.assemble("things")


def test_the_folder_holds_every_file_under_its_name(tmp_path: Path) -> None:
    store = store_at(tmp_path)
    folder = fill(store)
    assert store.folder("things") == folder
    assert {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*.bin")} == CONTENTS
    assert store.verify("things") == ()


def test_what_is_missing_names_the_command_that_gets_it(tmp_path: Path) -> None:
    with pytest.raises(WeightsMissing, match="antiphon models pull things"):
        store_at(tmp_path).folder("things")


def test_looking_writes_nothing(tmp_path: Path) -> None:
    store = store_at(tmp_path / "cache")
    assert not store.present("things")
    assert not (tmp_path / "cache").exists()


def test_a_set_that_does_not_exist_is_told(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        store_at(tmp_path).folder("nothing")


@given(data=st.binary(min_size=1, max_size=64), other=st.binary(max_size=80))
def test_other_bytes_than_promised_never_become_visible(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, other: bytes
) -> None:
    store = store_at(tmp_path_factory.mktemp("cache"))
    if data == other:
        other += b"!"
    with pytest.raises(WrongBytes):
        store.add(entry(data), iter([other]))
    assert store.blob(entry(data)) is None
    assert [p for p in store.cache_dir.rglob("*") if p.is_file()] == []


def test_a_source_that_breaks_off_leaves_nothing(tmp_path: Path) -> None:
    def broken() -> Iterator[bytes]:
        yield b"first"
        raise ConnectionError

    store = store_at(tmp_path)
    with pytest.raises(ConnectionError):
        store.add(entry(CONTENTS["a.bin"]), broken())
    assert [p for p in tmp_path.rglob("*") if p.is_file()] == []


def test_nobody_sees_a_file_while_it_is_written(tmp_path: Path) -> None:
    store = store_at(tmp_path)
    seen: list[Path | None] = []

    def slow() -> Iterator[bytes]:
        for byte in CONTENTS["a.bin"]:
            seen.append(store.blob(entry(CONTENTS["a.bin"])))
            yield bytes([byte])

    store.add(entry(CONTENTS["a.bin"]), slow())
    assert set(seen) == {None}
    assert store.blob(entry(CONTENTS["a.bin"])) is not None


def test_a_file_that_was_cut_short_is_as_good_as_missing(tmp_path: Path) -> None:
    store = store_at(tmp_path)
    path = fill(store) / "a.bin"
    path.chmod(0o644)
    path.write_bytes(b"fir")
    assert not store.present("things")


def test_damage_is_found_and_repaired(tmp_path: Path) -> None:
    store = store_at(tmp_path)
    path = fill(store) / "a.bin"
    path.chmod(0o644)
    path.write_bytes(b"FIRST FILE")
    assert [(f.path, f.problem) for f in store.verify("things")] == [
        ("a.bin", "has other bytes than the manifest says"),
        ("copy.bin", "has other bytes than the manifest says"),
    ]
    store.discard(entry(CONTENTS["a.bin"]))
    fill(store)
    assert store.verify("things") == ()


def test_weights_cannot_be_written_by_accident(tmp_path: Path) -> None:
    assert (fill(store_at(tmp_path)) / "a.bin").stat().st_mode & 0o222 == 0


def test_another_version_of_a_set_goes_beside_the_old_one(tmp_path: Path) -> None:
    old = fill(store_at(tmp_path))
    newer = CONTENTS | {"a.bin": b"a newer file"}
    new = fill(store_at(tmp_path, newer), newer)
    assert (old / "a.bin").read_bytes() == b"first file"
    assert (new / "a.bin").read_bytes() == b"a newer file"
    assert (tmp_path / "weights" / "things").resolve() == new.resolve()


def test_what_a_killed_pull_left_is_swept(tmp_path: Path) -> None:
    store = store_at(tmp_path)
    fill(store)
    (store.downloads() / "half.tmp").write_bytes(b"half")
    (store.downloads() / "kept.part").write_bytes(b"half")
    (store.downloads() / "forgotten.part").write_bytes(b"half")
    os.utime(store.downloads() / "forgotten.part", (0, 0))
    (tmp_path / "sets" / ".things-x.tmp").mkdir()
    store.sweep()
    assert [p.name for p in store.downloads().iterdir()] == ["kept.part"]
    assert store.present("things")


def test_only_one_fills_a_store_at_a_time(tmp_path: Path) -> None:
    store = store_at(tmp_path)
    waiting, done = threading.Event(), threading.Event()

    def second() -> None:
        with store.filling(on_wait=waiting.set):
            done.set()

    with store.filling():
        thread = threading.Thread(target=second)
        thread.start()
        assert waiting.wait(10)
        assert not done.is_set()
    thread.join(10)
    assert done.is_set()
