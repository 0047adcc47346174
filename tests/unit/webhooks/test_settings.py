"""When attempts are made."""

from __future__ import annotations

from datetime import timedelta

import pytest

from services.webhooks.settings import WebhookSettings

pytestmark = pytest.mark.unit


def test_ten_attempts_are_made_over_three_days() -> None:
    retry = WebhookSettings().retry
    assert retry.max_attempts == 10
    pauses = [retry.delay_ms(attempt, jitter=0.0) / 1000 for attempt in range(1, 10)]
    assert pauses == [5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400]
    assert retry.exhausted(10) and not retry.exhausted(9)


@pytest.mark.parametrize("value", ["PT0.5S, PT2S", '[0.5, "PT2S"]'])
def test_the_schedule_is_read_from_the_environment(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTIPHON_WEBHOOK_SCHEDULE", value)
    assert WebhookSettings().webhook_schedule == (timedelta(seconds=0.5), timedelta(seconds=2))


def test_a_schedule_that_cannot_be_read_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ANTIPHON_WEBHOOK_SCHEDULE", "soon")
    with pytest.raises(SystemExit):
        WebhookSettings.from_environment()
    assert "ANTIPHON_WEBHOOK_SCHEDULE" in capsys.readouterr().err
