"""The settings of a pod as its process would read them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import AliasChoices
from pydantic_settings import BaseSettings

from antiphon.settings import BusSettings, WorkerSettings
from services.ingest.settings import IngestSettings
from services.realtime.settings import RealtimeSettings
from services.responder.settings import Settings as ResponderSettings
from services.transcriber.settings import Settings as TranscriberSettings
from services.translator.settings import Settings as TranslatorSettings
from services.webhooks.settings import WebhookSettings
from tests.integration.deploy.manifests import Manifest, Manifests

SETTINGS: dict[str, type[BaseSettings]] = {
    "ingest": IngestSettings,
    "transcriber": TranscriberSettings,
    "translator": TranslatorSettings,
    "synthesizer": WorkerSettings,
    "responder": ResponderSettings,
    "realtime": RealtimeSettings,
    "webhooks": WebhookSettings,
}

SECRETS = {
    "antiphon-redis": {"password": "5ecret"},
    "antiphon-api-keys": {"keys": "sk-one,sk-two"},
    "antiphon-blobs": {"AWS_ACCESS_KEY_ID": "one", "AWS_SECRET_ACCESS_KEY": "two", "AWS_ENDPOINT_URL": "https://s3"},
}
"""The Secrets that a user makes, with values of the kind that they hold."""

_USED = re.compile(r"\$\((\w+)\)")


def variables_of(settings: type[BaseSettings]) -> Iterator[str]:
    """Yield the variables that a class of settings reads, those of its parts included."""
    for name, field in settings.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseSettings):
            yield from variables_of(field.annotation)
        elif isinstance(field.validation_alias, AliasChoices):
            yield from (str(choice) for choice in field.validation_alias.choices)
        else:
            yield f"ANTIPHON_{name.upper()}"


def environment_of(manifests: Manifests, container: Manifest) -> dict[str, str]:
    """Return the variables of a container; fails when one comes from where nothing is."""
    found: dict[str, str] = {}
    for source in container.get("envFrom", ()):
        if "secretRef" in source:
            found |= SECRETS[source["secretRef"]["name"]]
        else:
            found |= manifests.get("ConfigMap", source["configMapRef"]["name"])["data"]
    for variable in container.get("env", ()):
        found[variable["name"]] = _value(manifests, container, variable, found)
    return found


def auxiliary(container: Manifest) -> set[str]:
    """Return the variables that are there for others to be made of."""
    return {name for variable in container.get("env", ()) for name in _USED.findall(variable.get("value", ""))}


def read_settings(manifests: Manifests, service: str) -> Any:
    """Return the settings that a service starts with."""
    container = manifests.pods()[service]["spec"]["containers"][0]
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment_of(manifests, container).items():
            patch.setenv(name, value)
        return SETTINGS[service]()


def bus_of(settings: Any) -> BusSettings:
    """Return what settings say of the bus."""
    bus: BusSettings = settings.bus
    return bus


def _value(manifests: Manifests, container: Manifest, variable: Manifest, known: dict[str, str]) -> str:
    if "value" in variable:
        # Only what stands above is filled in; anything else stays as it is.
        return _USED.sub(lambda used: known.get(used[1], used[0]), str(variable["value"]))
    source: Manifest = variable["valueFrom"]
    if "secretKeyRef" in source:
        return SECRETS[source["secretKeyRef"]["name"]][source["secretKeyRef"]["key"]]
    if "configMapKeyRef" in source:
        reference = source["configMapKeyRef"]
        return str(manifests.get("ConfigMap", reference["name"])["data"][reference["key"]])
    if "resourceFieldRef" in source:
        assert source["resourceFieldRef"]["resource"] == "requests.cpu", source
        return str(cores(container["resources"]["requests"]["cpu"]))
    return {"metadata.namespace": "antiphon", "metadata.name": "pod-0"}[source["fieldRef"]["fieldPath"]]


def cores(quantity: str) -> int:
    """Return a quantity of processors as Kubernetes hands it to a pod: rounded up to whole ones."""
    milli = int(quantity[:-1]) if quantity.endswith("m") else int(float(quantity) * 1000)
    return -(-milli // 1000)
