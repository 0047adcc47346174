"""`/jobs` on the running platform: what the official client's own methods and a plain HTTP client see."""

from __future__ import annotations

import io
import time
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import av
import httpx
import openai
import orjson
import pytest

pytestmark = [pytest.mark.contract, pytest.mark.timeout(300)]

TEXT = "The train leaves at noon."
PATIENCE_S = 90.0


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def shelf(clips: Path) -> Iterator[str]:
    """Where the clips are served."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(clips))) as server:
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


@pytest.fixture
def clip(clips: Path) -> Path:
    return clips / "en/hello_world.wav"


def finished(client: openai.OpenAI, job_id: str) -> dict[str, Any]:
    """Return a job's object when it has ended."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        job = client.get(f"/jobs/{job_id}", cast_to=dict[str, Any])
        if job["status"] not in {"queued", "running"}:
            return job
        assert time.monotonic() < deadline, job
        time.sleep(0.05)


def order(client: openai.OpenAI, **job: Any) -> dict[str, Any]:
    return client.post("/jobs", body=job, cast_to=dict[str, Any])


def followed(http: httpx.Client, job_id: str, *, after: str | None = None, limit: int = 10_000) -> list[dict[str, Any]]:
    """Return up to `limit` events, each with its `id`."""
    headers = {"last-event-id": after} if after else {}
    told: list[dict[str, Any]] = []
    with http.stream("GET", f"/v1/jobs/{job_id}/events", headers=headers) as reply:
        assert reply.headers["content-type"] == "text/event-stream"
        id = ""
        for line in reply.iter_lines():
            name, _, value = line.partition(": ")
            if name == "id":
                id = value
            elif name == "data":
                told.append(orjson.loads(value) | {"id": id})
            if len(told) == limit:
                break
    return told


def test_an_uploaded_recording_becomes_what_the_waiting_caller_would_get(client: openai.OpenAI, clip: Path) -> None:
    fields = {"kind": "transcribe", "model": "whisper-1", "response_format": "verbose_json", "priority": "std"}
    job = client.post(
        "/jobs",
        body=fields,
        files={"file": ("hello.wav", clip.read_bytes())},
        cast_to=dict[str, Any],
        options={"headers": {"content-type": "multipart/form-data"}},
    )
    assert (job["object"], job["source"], job["kind"]) == ("job", "hello.wav", "transcribe")
    done = finished(client, job["id"])
    assert done["status"] == "completed", done["error"]
    waited = client.audio.transcriptions.create(model="whisper-1", file=clip, response_format="verbose_json")
    assert done["result"]["text"] == waited.text
    assert done["result"]["segments"] == [segment.to_dict() for segment in waited.segments or ()]
    assert done["progress"]["done"] == done["progress"]["total"] == pytest.approx(waited.duration)


def test_a_recording_at_a_url_is_fetched_and_subtitled(client: openai.OpenAI, http: httpx.Client, shelf: str) -> None:
    url = f"{shelf}/en/hello_world.wav"
    job = order(client, kind="transcribe", model="whisper-1", audio=url, response_format="srt")
    done = finished(client, job["id"])
    assert done["status"] == "completed", done["error"]
    assert done["result"].startswith("1\n00:00:0")
    content = http.get(done["result_url"])
    assert (content.headers["content-type"], content.text) == ("text/plain; charset=utf-8", done["result"])


def test_a_url_that_leads_nowhere_is_the_callers_fault(client: openai.OpenAI, shelf: str) -> None:
    job = order(client, kind="translate", model="whisper-1", audio={"url": f"{shelf}/nothing.wav"})
    failed = finished(client, job["id"])
    assert (failed["status"], failed["attempts"]) == ("failed", 1)
    assert (failed["error"]["type"], failed["error"]["param"]) == ("invalid_request_error", "audio")


@pytest.mark.parametrize("url", ["https://10.0.0.1/a.wav", "http://[fe80::1]/a.wav", "https://169.254.169.254/latest"])
def test_a_url_of_a_private_place_is_refused_at_once(client: openai.OpenAI, url: str) -> None:
    with pytest.raises(openai.BadRequestError) as raised:
        order(client, kind="transcribe", model="whisper-1", audio={"url": url})
    assert (raised.value.param, raised.value.code) == ("audio", "invalid_value")


def test_speech_is_made_and_fetched(client: openai.OpenAI, http: httpx.Client) -> None:
    job = order(client, endpoint="/v1/audio/speech", model="tts-1", input=TEXT, voice="alloy", response_format="wav")
    done = finished(client, job["id"])
    assert done["status"] == "completed", done["error"]
    reply = http.get(done["result"]["url"])
    assert (reply.headers["content-type"], len(reply.content)) == ("audio/wav", done["result"]["size"])
    with av.open(io.BytesIO(reply.content), "r") as container:
        frames = list(container.decode(audio=0))
        length_s = sum(frame.samples for frame in frames) / frames[0].sample_rate
    assert length_s == pytest.approx(done["result"]["duration"], abs=0.1)


def test_a_list_of_jobs_of_all_kinds_is_done(client: openai.OpenAI, shelf: str) -> None:
    audio = f"{shelf}/en/hello_world.wav"
    jobs = [
        {"kind": "transcribe", "model": "gpt-4o-transcribe", "audio": audio},
        {"kind": "translate", "model": "whisper-1", "audio": audio},
        {"kind": "synthesize", "model": "tts-1", "input": TEXT, "voice": "nova"},
    ]
    listed = client.post("/jobs", body={"jobs": jobs}, cast_to=dict[str, Any])["data"]
    assert [job["kind"] for job in listed] == ["transcribe", "translate", "synthesize"]
    for job in listed:
        assert finished(client, job["id"])["status"] == "completed"
    page = client.get("/jobs?status=completed&kind=transcribe&limit=1", cast_to=dict[str, Any])
    assert page["data"][0]["id"] == listed[0]["id"]


def test_the_official_client_may_repeat_a_request(client: openai.OpenAI) -> None:
    options: Any = {"headers": {"idempotency-key": f"order-{time.time_ns()}"}}
    body = {"kind": "synthesize", "model": "tts-1", "input": TEXT, "voice": "alloy"}
    first = client.post("/jobs", body=body, options=options, cast_to=dict[str, Any])
    again = client.post("/jobs", body=body, options=options, cast_to=dict[str, Any])
    assert again["id"] == first["id"]
    with pytest.raises(openai.UnprocessableEntityError) as raised:
        client.post("/jobs", body=body | {"input": "Other."}, options=options, cast_to=dict[str, Any])
    assert raised.value.code == "idempotency_key_reused"


def test_events_are_resumed_in_the_middle(client: openai.OpenAI, http: httpx.Client, shelf: str, clip: Path) -> None:
    job = order(client, kind="transcribe", model="whisper-1", audio=f"{shelf}/en/hello_world.wav", priority="std")
    beginning = followed(http, job["id"], limit=2)
    rest = followed(http, job["id"], after=beginning[-1]["id"])
    told = beginning + rest
    assert told[-1]["type"] == "job.completed"
    ids = [event["id"] for event in told]
    assert len(set(ids)) == len(ids)
    text = "".join(event["delta"] for event in told if event["type"] == "job.delta").strip()
    assert text == told[-1]["job"]["result"]["text"]
    assert followed(http, job["id"], after=ids[-2])[-1] == told[-1]


def test_a_long_job_shows_its_progress_and_is_cancelled(
    client: openai.OpenAI, http: httpx.Client, reading: Path
) -> None:
    form = {"kind": "transcribe", "model": "whisper-1", "priority": "std"}
    reply = http.post("/v1/jobs", data=form, files={"file": ("reading.wav", reading.read_bytes())})
    job = reply.json()
    with http.stream("GET", f"/v1/jobs/{job['id']}/events") as events:
        names = []
        for line in events.iter_lines():
            if line.startswith("event: "):
                names.append(line.removeprefix("event: "))
            if line == "event: job.progress":
                client.post(f"/jobs/{job['id']}/cancel", cast_to=dict[str, Any])
    assert names[-1] in {"job.cancelled", "job.completed"}
    assert finished(client, job["id"])["status"] == names[-1].removeprefix("job.")
    assert names[-1] == "job.cancelled"
    with pytest.raises(openai.APIStatusError) as raised:
        client.get(f"/jobs/{job['id']}/content", cast_to=httpx.Response)
    assert raised.value.status_code == 499


def test_a_deadline_that_passes_ends_the_job(client: openai.OpenAI, http: httpx.Client, reading: Path) -> None:
    form = {"kind": "transcribe", "model": "whisper-1", "deadline_s": "0.2"}
    reply = http.post("/v1/jobs", data=form, files={"file": ("reading.wav", reading.read_bytes())})
    expired = finished(client, reply.json()["id"])
    assert (expired["status"], expired["error"]["code"]) == ("expired", "deadline_exceeded")


def test_a_job_belongs_to_its_tenant(client: openai.OpenAI, other_client: openai.OpenAI) -> None:
    job = order(client, kind="synthesize", model="tts-1", input=TEXT, voice="alloy")
    with pytest.raises(openai.NotFoundError) as raised:
        other_client.get(f"/jobs/{job['id']}", cast_to=dict[str, Any])
    assert raised.value.code == "job_not_found"
    with pytest.raises(openai.NotFoundError):
        other_client.delete(f"/jobs/{job['id']}", cast_to=dict[str, Any])
    ids = [each["id"] for each in other_client.get("/jobs", cast_to=dict[str, Any])["data"]]
    assert job["id"] not in ids
    assert finished(client, job["id"])["status"] == "completed"
    assert client.delete(f"/jobs/{job['id']}", cast_to=dict[str, Any])["deleted"]
    with pytest.raises(openai.NotFoundError):
        client.get(f"/jobs/{job['id']}", cast_to=dict[str, Any])


def test_azures_v1_route_serves_jobs_too(http: httpx.Client) -> None:
    body = {"kind": "synthesize", "model": "tts-1", "input": TEXT, "voice": "alloy"}
    reply = http.post("/openai/v1/jobs?api-version=preview", json=body)
    assert (reply.status_code, reply.headers["location"]) == (202, f"/openai/v1/jobs/{reply.json()['id']}")


def test_noise_is_refused_as_an_upload_and_fails_as_a_job(client: openai.OpenAI, http: httpx.Client) -> None:
    form = {"kind": "transcribe", "model": "whisper-1"}
    assert http.post("/v1/jobs", data=form, files={"file": ("a.wav", b"noise" * 1000)}).status_code == 400
    head_alone = b"RIFF\xff\xff\xff\xffWAVE" + bytes(100)
    job = http.post("/v1/jobs", data=form, files={"file": ("a.wav", head_alone)}).json()
    failed = finished(client, job["id"])
    assert (failed["status"], failed["error"]["type"]) == ("failed", "invalid_request_error")
    assert http.get(f"/v1/jobs/{job['id']}/content").status_code == 400
