"""What the runbook and the guides tell people to type exists."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from typer.core import TyperGroup
from typer.exceptions import TyperException
from typer.main import get_command

from antiphon.cli.app import app as antiphon
from antiphon.cli.dead import app as dead
from antiphon.cli.jobs import app as jobs
from antiphon.cli.keys import app as keys
from antiphon.cli.models import app as models
from antiphon.cli.webhooks import app as webhooks
from tests.integration.deploy.environment import SECRETS
from tests.integration.deploy.manifests import K8S, ROOT, load, overlay, render

pytestmark = pytest.mark.integration

RUNBOOK = ROOT / "deploy" / "README.md"
KUBERNETES = ROOT / "docs" / "deploy-kubernetes.md"
PAGES = (RUNBOOK, *sorted((ROOT / "docs").glob("deploy-*.md")))
HANDED_ON = {"dead": dead, "jobs": jobs, "keys": keys, "models": models, "webhooks": webhooks}

_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_COMMAND = re.compile(r"(?:^|(?<!-n)[\s;|&(])antiphon ([a-z].*)$")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_of_the_page_exists(page: Path) -> None:
    for line in _lines(page):
        if found := _COMMAND.search(line):
            words = shlex.split(re.split(r"\s[|;&)]|\s+#|2>&1", found[1])[0])
            _parse(words)


def test_the_runbook_has_commands_of_all_groups() -> None:
    used = {found[1].split()[0] for line in _lines(RUNBOOK) if (found := _COMMAND.search(line))}
    assert {*HANDED_ON, "lanes", "plan"} <= used


@pytest.mark.parametrize(
    "words", [["lanes", "--wacth"], ["dead", "resurrect"], ["keys", "create", "--nmae", "x"], ["dead", "show"], ["fly"]]
)
def test_a_command_that_does_not_exist_is_noticed(words: list[str]) -> None:
    with pytest.raises(TyperException):
        _parse(words)


def test_every_alert_has_its_part_and_every_part_its_alert() -> None:
    (groups,) = load((ROOT / "deploy/observability/rules/alerts.yml").read_text())
    alerts = [rule for group in groups["groups"] for rule in group["rules"] if "alert" in rule]
    described = re.findall(r"(?m)^### (Antiphon\w+)$", RUNBOOK.read_text())
    assert sorted(described) == sorted(rule["alert"] for rule in alerts)
    for rule in alerts:
        assert rule["annotations"]["runbook_url"] == f"deploy/README.md#{rule['alert'].lower()}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_and_paths_lead_somewhere(page: Path) -> None:
    text = page.read_text()
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if "://" in target:
            continue
        name, _, anchor = target.partition("#")
        file = (page.parent / name).resolve() if name else page
        assert file.exists(), target
        assert not anchor or anchor in _anchors(file), target
    for name in re.findall(r"(?<![\w./-])deploy/(?:docker|k8s|observability|redis)[\w./-]*\w", text):
        assert (ROOT / name).exists(), name


def test_the_overlay_of_the_guide_renders(tmp_path: Path) -> None:
    (example,) = [text for _, text in _BLOCK.findall(KUBERNETES.read_text()) if "kind: Kustomization" in text]
    (tmp_path / "antiphon").symlink_to(ROOT)
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "kustomization.yaml").write_text(example)
    rendered = render(mine)
    assert rendered.get("ScaledObject", "transcriber")["spec"]["maxReplicaCount"] == 40
    container = rendered.pods()["transcriber"]["spec"]["containers"][0]
    assert container["image"] == "registry.example.org/antiphon/transcriber:0.1.0"
    (settings,) = [name for name in rendered.of_kind("ConfigMap") if name.startswith("antiphon-settings-")]
    assert rendered.get("ConfigMap", settings)["data"]["ANTIPHON_BLOB_URL"] == "s3://my-bucket/antiphon"


def test_the_alerts_in_the_form_of_the_operator_are_valid() -> None:
    (typed,) = [text for _, text in _BLOCK.findall(KUBERNETES.read_text()) if "PrometheusRule" in text]
    shown = typed.replace("| kubectl apply -f -", "")
    done = subprocess.run(["sh", "-euc", shown], cwd=ROOT, capture_output=True, text=True, timeout=30, check=True)
    (rule,) = load(done.stdout)
    schema = Path(__file__).parent / "schemas" / "monitoring.coreos.com-v1-PrometheusRule.json"
    Draft202012Validator(json.loads(schema.read_text())).validate(rule)


def test_the_guide_names_every_secret_overlay_and_component() -> None:
    text = KUBERNETES.read_text()
    for name in (*SECRETS, *(path.name for folder in ("overlays", "components") for path in (K8S / folder).iterdir())):
        assert f"`{name}`" in text, name
    for name, values in SECRETS.items():
        assert all(f"`{key}`" in text for key in values), name
    # What the first steps create is what the first overlay asks for.
    created = set(re.findall(r"create secret generic (\S+) --from-literal=(\w+)=", text))
    asked = set(re.findall(r"secretKeyRef:\n\s+key: (\S+)\n\s+name: (\S+)", overlay("dev").text))
    assert {(name, key) for key, name in asked} == created


def _lines(page: Path) -> Iterator[str]:
    """Yield the lines of the blocks that are to be typed, continued ones joined."""
    for language, text in _BLOCK.findall(page.read_text()):
        if language in {"sh", "console"}:
            for line in text.replace("\\\n", " ").splitlines():
                if not line.startswith(("#", "antiphon()")):
                    yield line


def _parse(words: list[str]) -> None:
    """Read a command line as the command would. Raises `TyperException`."""
    name, *rest = words
    if name in HANDED_ON:
        _descend(get_command(HANDED_ON[name]), name, rest)
    else:
        _descend(get_command(antiphon), "antiphon", words)


def _descend(command: Any, name: str, words: list[str]) -> None:
    context = command.make_context(name, list(words))
    if isinstance(command, TyperGroup) and words:
        _, found, rest = command.resolve_command(context, words)
        _descend(found, words[0], rest)


def _anchors(page: Path) -> set[str]:
    heads = re.findall(r"(?m)^#+ (.+)$", page.read_text())
    return {re.sub(r"[^\w -]", "", head.lower()).strip().replace(" ", "-") for head in heads}
