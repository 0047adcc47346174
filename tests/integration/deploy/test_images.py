"""deploy/docker/Dockerfile: one image for each service, closed, and with just the packages it needs."""

from __future__ import annotations

import re
import subprocess
import tomllib
from collections.abc import Iterable
from importlib import metadata, util
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from antiphon.models import Catalogue, WeightStore
from antiphon.recognition.loading import options_of
from services.realtime.app import TURN_WEIGHTS, VOICE_WEIGHTS
from tests.integration.deploy.composed import BIN, OURS, composed
from tests.integration.deploy.dockerfile import Dockerfile, read_dockerfile
from tests.integration.deploy.manifests import ROOT, SERVICES

pytestmark = pytest.mark.integration

DOCKER = ROOT / "deploy" / "docker"
IMAGES = ROOT / "requirements" / "images"
OWN = {"antiphon": ROOT / "shared", "antiphon-services": ROOT}
GPU = ("transcriber-gpu", "translator-gpu")
TARGETS = {*SERVICES, *GPU, "tools"}


@pytest.fixture(scope="module")
def dockerfile() -> Dockerfile:
    return read_dockerfile(DOCKER / "Dockerfile")


def locked(path: Path) -> dict[str, tuple[str, frozenset[str]]]:
    """Return the version and the hashes of each package that a lock file names."""
    found: dict[str, tuple[str, frozenset[str]]] = {}
    for entry in re.sub(r"\\\n", " ", path.read_text()).splitlines():
        if not entry.strip() or entry.startswith("#"):
            continue
        pinned, *hashes = entry.split()
        name, version = pinned.split("==")
        assert hashes, f"{path.name}: {name} has no hash"
        found[canonicalize_name(name)] = version, frozenset(hashes)
    return found


def needed_by(extra: str) -> set[str]:
    """Return all packages that an extra of the services needs, as the installed ones say."""
    found: set[tuple[str, str]] = set()
    waiting = [("antiphon-services", extra), ("antiphon-services", "")]
    while waiting:
        each = waiting.pop()
        if each in found:
            continue
        found.add(each)
        for requirement in _requirements(*each):
            # Bases may bring any 3.11.
            if requirement.marker is None or requirement.marker.evaluate(
                {"extra": each[1], "python_full_version": "3.11.0"}
            ):
                name = canonicalize_name(requirement.name)
                waiting += [(name, canonicalize_name(extra)) for extra in ("", *requirement.extras)]
    return {name for name, _ in found} - set(OWN)


def _requirements(name: str, extra: str) -> list[Requirement]:
    if name not in OWN:
        return [Requirement(line) for line in metadata.requires(name) or ()]
    project = tomllib.loads((OWN[name] / "pyproject.toml").read_text())["project"]
    return [
        Requirement(line) for line in (project["optional-dependencies"][extra] if extra else project["dependencies"])
    ]


def declared() -> dict[str, list[str]]:
    extras: dict[str, list[str]] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"][
        "optional-dependencies"
    ]
    return extras


def test_hadolint_has_nothing_to_say() -> None:
    done = subprocess.run([BIN / "hadolint", DOCKER / "Dockerfile"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize("script", sorted(DOCKER.glob("*.sh")), ids=lambda path: path.name)
def test_scripts_are_shell_that_any_debian_reads(script: Path) -> None:
    assert script.stat().st_mode & 0o111
    done = subprocess.run(["sh", "-n", script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_services_images_extras_and_containers_are_the_same(dockerfile: Dockerfile) -> None:
    there = {path.parent.name for path in ROOT.glob("services/*/__main__.py")}
    assert set(SERVICES) == there
    assert dockerfile.finals() == TARGETS
    assert set(declared()) == {*there, "tools", "all"}
    built = {name: composed("*")["services"][name] for name in OURS}
    assert {service["build"]["target"] for service in built.values()} == TARGETS
    for name, service in built.items():
        target = service["build"]["target"]
        assert target == ("tools" if name == "weights" else name)
        assert service["image"].startswith(f"antiphon/{target}:")


@pytest.mark.parametrize("target", [*SERVICES, *GPU])
def test_an_image_starts_its_own_service(target: str, dockerfile: Dockerfile) -> None:
    service = target.removesuffix("-gpu")
    command = dockerfile.command(target, "ENTRYPOINT")
    assert command == ["/opt/antiphon/bin/python", "-P", "-m", f"services.{service}"]


@pytest.mark.parametrize("target", sorted(TARGETS))
def test_no_image_runs_as_root_or_with_what_built_it(target: str, dockerfile: Dockerfile) -> None:
    assert dockerfile.last(target, "USER") == "10001:10001"
    assert dockerfile.last(target, "STOPSIGNAL") == "SIGTERM"
    assert "build" not in {stage.name for stage in dockerfile.line(target)}
    environment = " ".join(value for stage in dockerfile.line(target) for value in stage.values("ENV"))
    assert "PYTHONDONTWRITEBYTECODE=1" in environment
    assert "ANTIPHON_METRICS_PORT=9464" in environment


@pytest.mark.parametrize("target", [*SERVICES, *GPU])
def test_every_service_can_be_asked_how_it_is(target: str, dockerfile: Dockerfile) -> None:
    options, _, command = dockerfile.last(target, "HEALTHCHECK").partition(" CMD ")
    assert command == '["python", "-P", "-m", "antiphon.probe"]'
    assert "--start-period" in options
    assert util.find_spec("antiphon.probe")


@pytest.mark.parametrize("target", sorted(TARGETS - set(GPU)))
def test_an_image_has_the_packages_that_its_service_needs_and_no_others(target: str, dockerfile: Dockerfile) -> None:
    [packages] = [stage for stage in dockerfile.copied_from(target) if stage.endswith("-packages")]
    [lock] = re.findall(r"/build/(\w+\.lock)", " ".join(dockerfile.stages[packages].values("RUN")))
    assert f"requirements/images/{lock}" in " ".join(dockerfile.stages[packages].values("COPY"))
    # The image of the first is the second's as well.
    same = "transcriber" if target == "translator" else target
    assert lock == f"{same}.lock"
    assert set(locked(IMAGES / lock)) == needed_by(target), "run make lock"


@pytest.mark.parametrize("lock", sorted(IMAGES.glob("*.lock")), ids=lambda path: path.name)
def test_a_lock_of_an_image_is_a_part_of_the_platforms(lock: Path) -> None:
    platform = locked(ROOT / "requirements" / "platform.lock")
    mine = locked(lock)
    assert mine
    for name, (version, hashes) in mine.items():
        if lock.stem != "cuda":
            assert version == platform[name][0], f"{name}: run make lock"
            assert hashes == platform[name][1], f"{name}: run make lock"
    assert not re.search(r"://|--index|--extra|--find|^-e|@", lock.read_text(), re.MULTILINE)


def test_locks_are_made_for_all_images() -> None:
    made = re.search(r"^IMAGES := (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert made
    assert {path.stem for path in IMAGES.glob("*.lock")} == {*made[1].split(), "build", "cuda"}
    assert set(made[1].split()) == {*SERVICES, "tools"} - {"translator"}


def test_what_is_copied_gets_into_the_build_and_nothing_else_does(dockerfile: Dockerfile) -> None:
    rules = (ROOT / ".dockerignore").read_text().splitlines()
    assert "*" in rules
    allowed = [rule[1:].rstrip("*").rstrip("/") for rule in rules if rule.startswith("!")]
    for stage in dockerfile.stages.values():
        for copy in stage.values("COPY"):
            if "--from" in copy:
                continue
            for source in copy.split()[:-1]:
                assert (ROOT / source).exists(), copy
                assert any(source == rule or Path(source).match(rule) for rule in _expanded(allowed, rules)), copy


def _expanded(allowed: Iterable[str], rules: Iterable[str]) -> list[str]:
    return [*allowed, *(rule[1:] for rule in rules if rule.startswith("!"))]


def test_a_baked_image_has_the_weights_that_its_service_starts_with(dockerfile: Dockerfile) -> None:
    catalogue, store = Catalogue.load(None), WeightStore(Path("/nowhere"))
    kinds = {"transcriber": "transcribe", "synthesizer": "synthesize", "responder": "respond"}
    for name, kind in kinds.items():
        [baked] = re.findall(r"bake\.sh (.*)", dockerfile.stages[f"{name}-weights"].values("RUN")[0])
        wanted = {
            model.weights
            for public in catalogue.public()
            if kind in public.kinds
            for model in [catalogue.resolve(public.id, kind)]
            if model.weights and not model.optional
        }
        brought = {catalogue.resolve(word, kind).weights for word in baked.split()}  # type: ignore[arg-type]
        assert brought == wanted, name
        assert f"{name}-weights" in dockerfile.copied_from(name)
    [baked] = re.findall(r"bake\.sh (.*)", dockerfile.stages["realtime-weights"].values("RUN")[0])
    assert set(baked.split()) == {VOICE_WEIGHTS, TURN_WEIGHTS}
    assert set(baked.split()) <= set(store.manifest.sets)


def test_the_catalogues_of_the_images_are_read() -> None:
    plain = Catalogue.load(DOCKER / "models.toml")
    assert plain.resolve("whisper-1", "transcribe") == Catalogue.load(None).resolve("whisper-1", "transcribe")
    model = Catalogue.load(DOCKER / "gpu.toml").resolve("whisper-1", "transcribe")
    options = options_of(model, threads=2, parallel=None)
    assert (options.device, options.compute_type) == ("cuda", "float16")


def test_the_base_and_the_weights_are_arguments() -> None:
    text = (DOCKER / "Dockerfile").read_text()
    assert re.search(r"^ARG BASE=python:3\.11-slim-\w+$", text, re.MULTILINE)
    assert re.search(r"^ARG WEIGHTS=mounted$", text, re.MULTILINE)
