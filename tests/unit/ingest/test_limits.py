from __future__ import annotations

from datetime import UTC, datetime

import pytest

from antiphon.bus import Level, Limits, Standing
from antiphon.bus.allowances import audio_seconds_of
from antiphon.keys import Grace, KeyRecord, digest_of, is_key, new_key
from antiphon.schemas import lowered
from services.ingest.access.limiting import asks_for_work, limit_headers
from services.ingest.access.live_meter import LiveMeter
from services.ingest.access.principal import Grant
from services.ingest.access.refusals import AudioUsedUp, RequestsUsedUp, said
from services.ingest.access.tokens import granted, is_token, tenant_named

pytestmark = pytest.mark.unit

NOW_S = datetime(2026, 11, 1, tzinfo=UTC).timestamp()
AUDIO = Grant(account="key_1", limits=Limits(audio_seconds_per_minute=60), key="key_1", name="ci")


def record(**fields: object) -> KeyRecord:
    given = {"id": "key_1", "digest": digest_of("new"), "hint": "abcd", "name": "ci", "tenant": "acme", "created_at": 1}
    return KeyRecord.model_validate(given | fields)


def test_a_key_has_a_shape_by_which_guesses_of_others_are_told() -> None:
    keys = {new_key() for _ in range(100)}
    assert len(keys) == 100
    assert all(is_key(key) and len(key) == 55 for key in keys)
    assert not any(is_key(text) for text in ("", "sk-antiphon-", "sk-" + "a" * 52, next(iter(keys)) + "x"))


def test_a_record_opens_to_its_key_and_to_the_one_before_for_its_grace() -> None:
    rotated = record(previous=Grace(digest=digest_of("old"), until=int(NOW_S) + 10))
    assert rotated.opens(digest_of("new"), NOW_S)
    assert rotated.opens(digest_of("old"), NOW_S)
    assert not rotated.opens(digest_of("old"), NOW_S + 10)
    assert not rotated.opens(digest_of("other"), NOW_S)
    assert not record(expires_at=int(NOW_S)).opens(digest_of("new"), NOW_S)
    assert not record(revoked_at=5).opens(digest_of("new"), NOW_S)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (0.0004, "0s"), (0.0123, "12ms"), (1, "1s"), (59.9996, "1m0s"), (75.5, "1m15.5s"), (360, "6m0s"),
     (3661, "1h1m1s"), (7200, "2h0m0s")],
)  # fmt: skip
def test_a_length_of_time_is_said_as_the_api_says_it(seconds: float, text: str) -> None:
    assert said(seconds) == text


def test_a_level_comes_back_with_time() -> None:
    level = Level(60, reset_s=90)
    assert level.remaining == -30
    assert level.wait_s(1) == pytest.approx(31)
    assert level.after(60).remaining == 30
    assert level.after(600).remaining == 60
    assert Level(60, 0).wait_s(60) == 0


def test_headers_name_the_limits_that_there_are_and_no_others() -> None:
    standing = Standing(requests=Level(60, 0.999), concurrency=8, running=9)
    assert limit_headers(standing) == {
        "x-ratelimit-limit-requests": "60",
        "x-ratelimit-remaining-requests": "59",
        "x-ratelimit-reset-requests": "999ms",
        "x-ratelimit-limit-concurrency": "8",
        "x-ratelimit-remaining-concurrency": "0",
    }
    assert limit_headers(Standing(audio=Level(600, 120)))["x-ratelimit-remaining-audio-seconds"] == "0"
    assert limit_headers(Standing()) == {}


def test_whoever_comes_again_when_told_finds_room() -> None:
    refused = Standing(requests=Level(60, 60), short="requests")
    error = RequestsUsedUp(AUDIO, refused)
    assert error.retry_after_s == pytest.approx(1)
    assert "Limit 60, Used 60, Requested 1. Please try again in 1s." in error.message
    overdrawn = AudioUsedUp(AUDIO, Standing(audio=Level(60, 100), short="audio_seconds"))
    assert overdrawn.retry_after_s == pytest.approx(40, abs=0.01)
    assert "Limit 60, Used 100." in overdrawn.message


@pytest.mark.parametrize(
    ("method", "path", "works"),
    [
        ("POST", "/v1/audio/transcriptions", True),
        ("POST", "/openai/deployments/a/audio/speech", True),
        ("POST", "/v1/chat/completions", True),
        ("POST", "/v1/jobs", True),
        ("POST", "/speechtotext/transcriptions:submit", True),
        ("POST", "/speechtotext/transcriptions:transcribe", True),
        ("POST", "/speechtotext/v3.2/transcriptions", True),
        ("GET", "/v1/jobs", False),
        ("POST", "/v1/jobs/job_1/cancel", False),
        ("POST", "/v1/chat/completions/chatcmpl-1", False),
        ("POST", "/v1/realtime/client_secrets", False),
        ("DELETE", "/v1/jobs/job_1", False),
    ],
)
def test_what_makes_no_sound_takes_no_place(method: str, path: str, works: bool) -> None:
    assert asks_for_work({"type": "http", "method": method, "path": path}) is works


def test_a_socket_takes_a_place() -> None:
    assert asks_for_work({"type": "websocket", "path": "/v1/realtime"})


def test_sound_is_counted_by_its_format() -> None:
    meter = LiveMeter(AUDIO, AUDIO.meter)  # type: ignore[arg-type]
    meter.hear(48_000)
    meter.speak(24_000)
    assert meter.take_s() == 1.5
    meter.learn({"audio": {"input": {"format": {"type": "audio/pcmu"}}, "output": {"format": {"type": "audio/pcma"}}}})
    meter.hear(8_000)
    meter.speak(8_000)
    assert meter.take_s() == 2
    assert meter.take_s() == 0


def test_a_session_that_ran_dry_goes_on_with_a_quarter_of_a_minutes_worth() -> None:
    meter = LiveMeter(AUDIO, AUDIO.meter)  # type: ignore[arg-type]
    for reset_s, exhausted in ((59, False), (60, True), (50, True), (45, False), (61, True)):
        meter.told(Level(60, reset_s))
        assert meter.exhausted is exhausted, reset_s
    assert meter.refusal().retry_after_s == pytest.approx(16, abs=0.1)


def test_the_audio_of_a_job_is_in_its_result() -> None:
    assert audio_seconds_of({"duration": 2.5, "text": "Hi."}) == 2.5
    assert audio_seconds_of({"usage": {"prompt_audio_tokens": 20, "completion_audio_tokens": 30}}) == 3.5
    assert audio_seconds_of({"text": "Hi.", "usage": {"prompt_tokens": 20}}) == 0


def test_a_ceiling_lowers_and_never_raises() -> None:
    assert [lowered("hi", ceiling) for ceiling in ("hi", "std", "bulk")] == ["hi", "std", "bulk"]
    assert [lowered("bulk", ceiling) for ceiling in ("hi", "std", "bulk")] == ["bulk"] * 3


def test_a_token_looks_like_one() -> None:
    assert is_token("eyJhbGciOiJSUzI1NiJ9.eyJhIjoxfQ.c2ln")
    assert not any(is_token(text) for text in ("", "sk-antiphon-a.b.c", "eyJ.a", "eyJa.b.c d", "eyJ" + "a" * 20_000))


def test_a_tenant_is_named_by_its_claim_else_by_the_subject() -> None:
    assert tenant_named({"tid": "t-1", "sub": "s"}, "tid") == "oidc-t-1"
    assert tenant_named({"sub": "s"}, "tid") == "oidc-s"
    strange = tenant_named({"sub": "auth0|{x}/../y"}, "tid")
    assert strange.removeprefix("oidc-").isalnum()
    assert strange != tenant_named({"sub": "auth0|{x}/../z"}, "tid")


def test_scopes_and_roles_are_words_or_lists() -> None:
    assert granted({"scp": "a b", "roles": ["c"], "scope": 5, "groups": ["d"]}) == {"a", "b", "c"}
