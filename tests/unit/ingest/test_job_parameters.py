from __future__ import annotations

import base64
from dataclasses import replace
from typing import Any

import pytest

from antiphon.egress import EgressRules
from antiphon.errors import AntiphonError
from antiphon.models import Catalogue
from antiphon.schemas import BlobRef, SynthesizeJob, TranscribeJob, TranslateJob, WebhookTarget
from services.ingest.jobs.admission import job_of, request_of
from services.ingest.jobs.cursor import Cursor
from services.ingest.jobs.orders import Order
from services.ingest.parameters.fields import Fields, Members
from services.ingest.parameters.jobs import JobOrder, JobRules, read_job, read_listing
from services.ingest.parameters.speech import SpeechRequest
from services.ingest.parameters.transcription import TranscriptionRequest

pytestmark = pytest.mark.unit

WAV = b"RIFF\x24\x00\x00\x00WAVEfmt " + b"\0" * 64
URL = "https://example.com/a.wav"
NOW_S = 1_800_000_000.0
RULES = JobRules(
    catalogue=Catalogue.load(), strict=False, check_url=EgressRules().check_url, kept_s=86_400, now_s=NOW_S
)
HEARD: dict[str, Any] = {"kind": "transcribe", "model": "whisper-1", "audio": URL}
SPOKEN: dict[str, Any] = {"kind": "synthesize", "model": "tts-1", "input": "Hi.", "voice": "alloy"}


def heard(**changed: Any) -> dict[str, Any]:
    return HEARD | changed


def spoken(**changed: Any) -> dict[str, Any]:
    return SPOKEN | changed


def read(job: dict[str, Any], **changed: Any) -> JobOrder:
    return read_job(Members(job), replace(RULES, **changed))


def refusal(job: dict[str, Any], *, uploaded: bool = False) -> tuple[str | None, str | None]:
    with pytest.raises(AntiphonError) as raised:
        read_job(Members(job), RULES, uploaded=uploaded)
    assert raised.value.http_status in {400, 404}
    assert len(raised.value.message) < 1_000
    return raised.value.code, raised.value.param


def test_a_job_without_terms_has_the_documented_ones() -> None:
    order = read(HEARD)
    assert (order.kind, order.model, order.priority, order.stream) == ("transcribe", "whisper-1", "bulk", True)
    assert (order.expires_in_s, order.keep_s, order.metadata, order.webhook) == (86_400, 86_400, {}, None)
    assert order.audio is not None
    assert order.audio.uri == URL
    assert not read(SPOKEN).stream


def test_null_means_default() -> None:
    nothing = dict.fromkeys(("priority", "deadline", "deadline_s", "keep_s", "metadata", "webhook", "stream", "prompt"))
    assert read(HEARD | nothing) == read(HEARD)


@pytest.mark.parametrize("endpoint", ["/v1/audio/translations", "/openai/v1/audio/translations"])
def test_a_job_may_name_its_endpoint_instead_of_its_kind(endpoint: str) -> None:
    job = {name: value for name, value in HEARD.items() if name != "kind"} | {"endpoint": endpoint}
    assert read(job).kind == "translate"
    assert refusal(job | {"kind": "transcribe"}) == ("invalid_value", "endpoint")


def test_the_work_has_the_parameters_of_its_endpoint() -> None:
    order = read(
        heard(
            response_format="verbose_json",
            timestamp_granularities=["word"],
            language="German",
            temperature=0.5,
            prompt="P",
            chunking_strategy={"type": "server_vad", "threshold": 0.7},
        )
    )
    assert isinstance(order.wanted, TranscriptionRequest)
    options = order.wanted.options
    assert (options.language, options.temperature, options.prompt, options.words) == ("de", 0.5, "P", True)
    assert options.chunking is not None
    assert options.chunking.threshold == 0.7
    speech = read(spoken(voice={"id": "nova"}, speed=2, response_format="wav")).wanted
    assert isinstance(speech, SpeechRequest)
    assert (speech.voice, speech.speed, speech.format) == ("nova", 2.0, "wav")


def test_every_format_may_be_followed() -> None:
    assert read(heard(response_format="srt")).stream
    assert not read(heard(response_format="srt", stream=False)).stream


def test_a_form_says_the_same_as_json() -> None:
    form = Fields(
        [
            ("kind", "transcribe"),
            ("model", "whisper-1"),
            ("audio", URL),
            ("response_format", "verbose_json"),
            ("timestamp_granularities[]", "word"),
            ("temperature", "0.5"),
            ("stream", "false"),
            ("priority", "std"),
            ("deadline_s", "60"),
            ("keep_s", "600"),
            ("metadata[case]", "17"),
            ("webhook[url]", URL),
            ("webhook[events]", "job.failed, job.progress"),
        ]
    )
    job = heard(
        response_format="verbose_json",
        timestamp_granularities=["word"],
        temperature=0.5,
        stream=False,
        priority="std",
        deadline_s=60,
        keep_s=600,
        metadata={"case": "17"},
        webhook={"url": URL, "events": ["job.failed", "job.progress"]},
    )
    assert read_job(form, RULES) == read(job)


@pytest.mark.parametrize(
    ("audio", "uri"),
    [
        (URL, URL),
        ({"url": URL}, URL),
        ("redis:0123abcd", "redis:0123abcd"),
        ({"blob": "redis:0123abcd"}, "redis:0123abcd"),
        ({"blob": "file:20270115/" + "0" * 32}, "file:20270115/" + "0" * 32),
        ({"blob": "s3:20270115/" + "f" * 32}, "s3:20270115/" + "f" * 32),
    ],
)
def test_audio_is_named_by_a_url_or_as_a_blob(audio: Any, uri: str) -> None:
    source = read(heard(audio=audio)).audio
    assert source is not None
    assert (source.uri, source.inline) == (uri, None)


@pytest.mark.parametrize("wrap", [lambda uri: uri, lambda uri: {"data": uri}])
def test_audio_may_lie_within_the_job(wrap: Any) -> None:
    source = read(heard(audio=wrap(f"data:audio/wav;base64,{base64.b64encode(WAV).decode()}"))).audio
    assert source is not None
    assert (source.uri, source.inline, source.media_type) == (None, WAV, "audio/wav")


@pytest.mark.parametrize(
    "audio",
    [
        "nonsense",
        "http://example.com/a.wav",
        "https://127.0.0.1/a.wav",
        "https://[::1]/a.wav",
        "https://169.254.169.254/latest/meta-data",
        "https://2130706433/a.wav",
        "https://user:password@example.com/a.wav",
        "https://example.com:22/a.wav",
        "file:///etc/passwd",
        "file:/etc/passwd",
        "ftp://example.com/a.wav",
        "redis:../x",
        "redis:a b",
        "s3://bucket/key",
        "data:audio/wav;base64,%%%",
        "data:audio/wav;base64," + base64.b64encode(b"no audio at all").decode(),
        "data:",
        7,
        [],
        {"url": 7},
        {"url": URL, "blob": "redis:a"},
        {"url": "redis:a"},
        {"blob": URL},
        {"data": URL},
        {"path": "/etc/passwd"},
        "x" * 100_000,
        "https://example.com/" + "x" * 10_000,
    ],
)
def test_audio_that_cannot_be_had_is_refused(audio: Any) -> None:
    assert refusal(heard(audio=audio)) == ("invalid_value", "audio")


@pytest.mark.parametrize("audio", [None, "", {}])
def test_audio_must_be_somewhere(audio: Any) -> None:
    assert refusal(heard(audio=audio)) == ("missing_required_parameter", "audio")


def test_audio_is_in_one_place() -> None:
    assert refusal(HEARD, uploaded=True) == ("invalid_value", "audio")
    assert refusal(spoken(audio=URL)) == ("unsupported_value", "audio")
    assert refusal(SPOKEN, uploaded=True) == ("unsupported_value", "file")
    assert read_job(Members({"kind": "transcribe", "model": "whisper-1"}), RULES, uploaded=True).audio is None


@pytest.mark.parametrize(
    ("deadline", "expires_in_s"),
    [
        (NOW_S + 60, 60.0),
        (str(NOW_S + 60), 60.0),
        ("2027-01-15T08:01:00Z", 60.0),
        ("2027-01-15T09:01:00+01:00", 60.0),
        ("2027-01-15T08:01:00", 60.0),
    ],
)
def test_a_deadline_is_an_instant(deadline: Any, expires_in_s: float) -> None:
    assert read(heard(deadline=deadline)).expires_in_s == pytest.approx(expires_in_s)


def test_speech_is_kept_no_longer_than_its_audio() -> None:
    assert read(heard(keep_s=31 * 86_400)).keep_s == 31 * 86_400
    assert refusal(spoken(keep_s=86_401)) == ("invalid_value", "keep_s")
    assert read(SPOKEN, kept_s=3_600).keep_s == 3_600


@pytest.mark.parametrize(
    ("webhook", "target"),
    [
        (URL, WebhookTarget(url=URL)),
        ("whe_1", WebhookTarget(endpoint="whe_1")),
        ({"endpoint": "whe_1", "events": ["job.progress"]}, WebhookTarget(endpoint="whe_1", events=("job.progress",))),
        ({"url": URL, "secret": "s"}, WebhookTarget(url=URL, secret="s")),
    ],
)
def test_a_webhook_is_a_url_an_endpoint_or_an_object(webhook: Any, target: WebhookTarget) -> None:
    assert read(heard(webhook=webhook)).webhook == target


@pytest.mark.parametrize(
    ("job", "param", "code"),
    [
        ({"kind": None}, "kind", "missing_required_parameter"),
        ({"kind": "cook"}, "kind", "invalid_value"),
        ({"kind": "webhook"}, "kind", "invalid_value"),
        ({"kind": 7}, "kind", "invalid_value"),
        ({"endpoint": "/v1/chat/completions"}, "endpoint", "invalid_value"),
        ({"model": None}, "model", "missing_required_parameter"),
        ({"model": 7}, "model", "invalid_value"),
        ({"model": "nobody"}, "model", "model_not_found"),
        ({"model": "tts-1"}, "model", "model_not_found"),
        ({"priority": "hi"}, "priority", "invalid_value"),
        ({"stream": "yes"}, "stream", "invalid_value"),
        ({"temperature": "0.5"}, "temperature", "invalid_value"),
        ({"temperature": True}, "temperature", "invalid_value"),
        ({"temperature": 2}, "temperature", "invalid_value"),
        ({"response_format": "x" * 10_000}, "response_format", "invalid_value"),
        ({"response_format": ["json"]}, "response_format", "invalid_value"),
        ({"timestamp_granularities": "word"}, "timestamp_granularities", "invalid_value"),
        ({"timestamp_granularities": ["word"]}, "timestamp_granularities", "invalid_value"),
        ({"include": [7]}, "include", "invalid_value"),
        ({"language": {}}, "language", "invalid_value"),
        ({"chunking_strategy": []}, "chunking_strategy", "invalid_value"),
        ({"deadline_s": 0}, "deadline_s", "invalid_value"),
        ({"deadline_s": 86_401}, "deadline_s", "invalid_value"),
        ({"deadline_s": "60"}, "deadline_s", "invalid_value"),
        ({"deadline": NOW_S - 1}, "deadline", "invalid_value"),
        ({"deadline": NOW_S + 90_000}, "deadline", "invalid_value"),
        ({"deadline": "tomorrow"}, "deadline", "invalid_value"),
        ({"deadline": "nan"}, "deadline", "invalid_value"),
        ({"deadline": "inf"}, "deadline", "invalid_value"),
        ({"deadline": True}, "deadline", "invalid_value"),
        ({"deadline": NOW_S + 60, "deadline_s": 60}, "deadline", "invalid_value"),
        ({"keep_s": 9}, "keep_s", "invalid_value"),
        ({"keep_s": 31 * 86_400 + 1}, "keep_s", "invalid_value"),
        ({"metadata": "x"}, "metadata", "invalid_type"),
        ({"metadata": []}, "metadata", "invalid_value"),
        ({"metadata": {str(i): "" for i in range(17)}}, "metadata", "invalid_value"),
        ({"metadata": {"k" * 65: ""}}, "metadata", "invalid_value"),
        ({"metadata": {"k": "v" * 513}}, "metadata.k", "invalid_value"),
        ({"metadata": {"k": 1}}, "metadata.k", "invalid_type"),
        ({"webhook": 7}, "webhook", "invalid_value"),
        ({"webhook": {}}, "webhook", "invalid_value"),
        ({"webhook": {"url": URL, "endpoint": "whe_1"}}, "webhook", "invalid_value"),
        ({"webhook": "http://example.com"}, "webhook.url", "invalid_value"),
        ({"webhook": {"url": "https://10.0.0.1/"}}, "webhook.url", "invalid_value"),
        ({"webhook": {"url": "https://example.com/" + "x" * 2048}}, "webhook.url", "invalid_value"),
        ({"webhook": {"url": 7}}, "webhook.url", "invalid_value"),
        ({"webhook": {"endpoint": "whe_1", "secret": "s"}}, "webhook.secret", "invalid_value"),
        ({"webhook": {"url": URL, "secret": "whsec_%"}}, "webhook.secret", "invalid_value"),
        ({"webhook": {"url": URL, "secret": "s" * 257}}, "webhook.secret", "invalid_value"),
        ({"webhook": {"url": URL, "events": []}}, "webhook.events", "invalid_value"),
        ({"webhook": {"url": URL, "events": ["job.begun"]}}, "webhook.events", "invalid_value"),
        ({"webhook": {"url": URL, "events": [7]}}, "webhook.events", "invalid_value"),
    ],
)
def test_a_wrong_parameter_is_named_in_the_error(job: dict[str, Any], param: str, code: str) -> None:
    assert refusal(HEARD | job) == (code, param)


@pytest.mark.parametrize(
    ("job", "param"),
    [({"stream": True}, "stream"), ({"stream_format": "sse", "model": "gpt-4o-mini-tts"}, "stream_format")],
)
def test_the_speech_of_a_job_is_not_streamed(job: dict[str, Any], param: str) -> None:
    assert refusal(SPOKEN | job) == ("unsupported_value", param)


def test_an_order_becomes_a_job_that_is_tracked() -> None:
    order = Order(read(heard(response_format="srt", keep_s=60, webhook=URL)), "f", source=URL)
    job = job_of(order, id="job_1", tenant="t", created_ms=5, audio=BlobRef(uri=URL), secret="whsec_x")
    assert isinstance(job, TranscribeJob)
    assert (job.tracked, job.announce, job.stream, job.discard_audio, job.keep_s) == (True, True, True, False, 60)
    assert (job.tenant, job.created_ms, job.model) == ("t", 5, "whisper-1")
    assert job.webhook == WebhookTarget(url=URL, secret="whsec_x")
    request = request_of(order)
    assert (request.format, request.granularities, request.source, request.fingerprint) == (
        "srt",
        ("segment",),
        URL,
        "f",
    )


def test_what_came_with_the_request_goes_with_the_job() -> None:
    uploaded = read_job(Members({"kind": "translate", "model": "whisper-1"}), RULES, uploaded=True)
    job = job_of(Order(uploaded, "f"), id="job_1", tenant="t", created_ms=5, audio=BlobRef(uri="redis:a"))
    assert isinstance(job, TranslateJob)
    assert job.discard_audio
    speech = job_of(Order(read(spoken(instructions="Softly.")), "f"), id="job_2", tenant="t", created_ms=5, audio=None)
    assert isinstance(speech, SynthesizeJob)
    assert (speech.text, speech.voice, speech.instructions, speech.stream) == ("Hi.", "alloy", "Softly.", False)


def test_a_list_is_asked_for_with_repeated_or_joined_names() -> None:
    joined = read_listing(Fields([("kind", "transcribe,translate"), ("status", "queued")]))
    assert joined == read_listing(Fields([("kind", "translate"), ("kind", "transcribe"), ("status", "queued")]))
    assert joined.kinds == ("transcribe", "translate")
    assert sorted(joined.states or ()) == ["queued"]
    assert joined.limit == 20
    assert read_listing(Fields([])).states is None


@pytest.mark.parametrize(
    "cursor",
    [Cursor("0-0", "queued"), Cursor("0-0", "running", 2.5), Cursor("17-3", "running"), Cursor("17-3", "ended")],
)
def test_a_cursor_survives_its_spelling(cursor: Cursor) -> None:
    assert Cursor.parse(str(cursor)) == cursor
    assert Cursor.parse(None) == Cursor()
