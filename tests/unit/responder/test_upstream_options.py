"""What the catalogue may say of an upstream."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

import pytest

from antiphon.errors import InvalidValue
from services.responder.engines.upstream_options import UpstreamOptions

pytestmark = pytest.mark.unit

URL = "http://127.0.0.1:8001/v1"
KEY = "sk-0123456789abcdef"


def test_an_address_is_enough() -> None:
    options = UpstreamOptions.read("my-llm", {"base_url": URL})
    assert options.url("my-llm") == f"{URL}/chat/completions"
    assert options.key("my-llm", {}) is None
    assert options.credentials(None) == {}


def test_the_catalogues_read_only_tables_are_taken() -> None:
    nested = MappingProxyType({"timeouts": MappingProxyType({"first_token_s": 3}), "base_url": URL})
    assert UpstreamOptions.read("my-llm", nested).timeouts.first_token_s == 3.0


@pytest.mark.parametrize(
    ("options", "header"),
    [
        ({}, {"authorization": f"Bearer {KEY}"}),
        ({"api_key_header": "x-my-key"}, {"x-my-key": KEY}),
        ({"azure_api_version": "2024-10-21"}, {"api-key": KEY}),
    ],
)
def test_the_key_comes_from_the_environment(options: dict[str, Any], header: dict[str, str]) -> None:
    read = UpstreamOptions.read("my-llm", {"base_url": URL, "api_key_env": "MY_KEY"} | options)
    assert read.credentials(read.key("my-llm", {"MY_KEY": f"{KEY}\n"})) == header


@pytest.mark.parametrize(
    ("base_url", "deployment", "url"),
    [
        ("https://r.openai.azure.com", None, "https://r.openai.azure.com/openai/deployments/gpt-4o"),
        ("https://r.openai.azure.com/", "my gpt", "https://r.openai.azure.com/openai/deployments/my%20gpt"),
        ("https://gate/azure/openai", "a/b", "https://gate/azure/openai/deployments/a%2Fb"),
    ],
)
def test_azures_dated_address_names_the_deployment(base_url: str, deployment: str | None, url: str) -> None:
    given = {"base_url": base_url, "azure_api_version": "2024-10-21"}
    read = UpstreamOptions.read("m", given | ({"azure_deployment": deployment} if deployment else {}))
    assert read.url("gpt-4o") == f"{url}/chat/completions?api-version=2024-10-21"


@pytest.mark.parametrize(
    ("options", "key"),
    [
        ({}, "base_url"),
        ({"base_url": "not a url"}, "base_url"),
        ({"base_url": "ftp://host/v1"}, "base_url"),
        ({"base_url": "127.0.0.1:8001/v1"}, "base_url"),
        ({"base_url": "http://"}, "base_url"),
        ({"base_url": f"http://user:{KEY}@host/v1"}, "base_url"),
        ({"base_url": f"http://host/v1?api-key={KEY}"}, "base_url"),
        ({"base_url": URL, "modell": "x"}, "modell"),
        ({"base_url": URL, "api_key": KEY}, "api_key"),
        ({"base_url": URL, "Token": KEY}, "Token"),
        ({"base_url": URL, "api_key_env": KEY}, "api_key_env"),
        ({"base_url": URL, "api_key_env": "0123456789ABCDEF"}, "api_key_env"),
        ({"base_url": URL, "headers": {"Authorization": f"Bearer {KEY}"}}, "headers"),
        ({"base_url": URL, "headers": {"X-Api-Key": KEY}}, "headers"),
        ({"base_url": URL, "headers": {"x-ok": f"{KEY}\r\nx-evil: 1"}}, "headers"),
        ({"base_url": URL, "headers": {"content-length": "1"}}, "headers"),
        ({"base_url": URL, "api_key_header": "content-length"}, "api_key_header"),
        ({"base_url": URL, "azure_deployment": "x"}, "azure_deployment"),
        ({"base_url": URL, "azure_api_version": "../x"}, "azure_api_version"),
        ({"base_url": URL, "max_connections": 0}, "max_connections"),
        ({"base_url": URL, "max_connections": "many"}, "max_connections"),
        ({"base_url": URL, "hears": "yes"}, "hears"),
        ({"base_url": URL, "max_tokens_field": "tokens"}, "max_tokens_field"),
        ({"base_url": URL, "timeouts": {"first_token_s": -1}}, "timeouts.first_token_s"),
        ({"base_url": URL, "timeouts": {"forever": 1}}, "timeouts.forever"),
    ],
)
def test_a_mistake_is_told_in_one_line_with_its_place_and_without_the_key(options: dict[str, Any], key: str) -> None:
    with pytest.raises(InvalidValue) as caught:
        UpstreamOptions.read("my-llm", options)
    message = caught.value.message
    assert message.startswith(f"model my-llm: options: {key}: ")
    assert "\n" not in message
    assert KEY not in message


@pytest.mark.parametrize(
    "environ", [{}, {"MY_KEY": ""}, {"MY_KEY": " \n"}, {"MY_KEY": "a\nb"}, {"MY_KEY": "schlüssel"}]
)
def test_a_key_that_is_not_there_is_told_by_the_name_of_its_variable(environ: dict[str, str]) -> None:
    options = UpstreamOptions.read("my-llm", {"base_url": URL, "api_key_env": "MY_KEY"})
    with pytest.raises(InvalidValue, match="model my-llm: options: api_key_env: the variable MY_KEY "):
        options.key("my-llm", environ)
