from __future__ import annotations

import orjson
import pytest

from antiphon.errors import (
    AntiphonError,
    Failure,
    InvalidApiKey,
    InvalidValue,
    JobFailed,
    ModelNotFound,
    NotFound,
    Overloaded,
    Unavailable,
)
from antiphon.schemas import ErrorInfo
from services.ingest.errors import error_response
from services.ingest.surface import is_api_version, surface_of

pytestmark = pytest.mark.unit


def body_of(error: AntiphonError, path: str) -> dict[str, object]:
    found: dict[str, object] = orjson.loads(error_response(error, surface_of(path)).body)["error"]
    return found


def test_an_error_has_all_four_members_of_the_openai_shape() -> None:
    assert body_of(InvalidValue("No.", param="speed"), "/v1/audio/speech") == {
        "message": "No.",
        "type": "invalid_request_error",
        "param": "speed",
        "code": "invalid_value",
    }


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (InvalidApiKey("No."), "401"),
        (ModelNotFound("No."), "DeploymentNotFound"),
        (NotFound("No."), "404"),
        (Overloaded("No.", retry_after_s=2.4), "429"),
        (Unavailable("No."), "503"),
    ],
)
def test_the_azure_gateway_says_a_code_and_a_message(error: AntiphonError, code: str) -> None:
    body = body_of(error, "/openai/deployments/d/audio/speech")
    assert set(body) == {"code", "message"}
    assert body["code"] == code


def test_the_azure_gateway_lets_other_errors_through() -> None:
    assert "param" in body_of(InvalidValue("No.", param="speed"), "/openai/deployments/d/audio/speech")


def test_a_full_backlog_says_when_to_come_back() -> None:
    response = error_response(Overloaded("No.", retry_after_s=2.4), "openai")
    assert response.status_code == 429
    assert response.headers["retry-after"] == "3"
    assert response.headers["retry-after-ms"] == "2400"


def test_clients_are_told_not_to_retry_what_cannot_succeed() -> None:
    hopeless = JobFailed(ErrorInfo(message="No.", http_status=500, retryable=False))
    assert error_response(hopeless, "openai").headers["x-should-retry"] == "false"
    assert "x-should-retry" not in error_response(Failure("No."), "openai").headers


def test_routes_are_told_apart_by_their_path() -> None:
    assert surface_of("/v1/audio/speech") == "openai"
    assert surface_of("/openai/v1/audio/speech") == "openai"
    assert surface_of("/openai/v1x") == "azure"
    assert surface_of("/openai/deployments/v1/audio/speech") == "azure"


@pytest.mark.parametrize("version", ["2024-10-21", "2025-04-01-preview", "preview", "v1"])
def test_any_well_formed_api_version_is_taken(version: str) -> None:
    assert is_api_version(version)


@pytest.mark.parametrize("version", [None, "", "1", "yesterday", "2024-1-1"])
def test_other_api_versions_are_not(version: str | None) -> None:
    assert not is_api_version(version)
