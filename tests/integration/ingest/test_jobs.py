"""Jobs over HTTP, from their admission to their deletion, on a real bus."""

from __future__ import annotations

import asyncio
import base64
from typing import Any

import pytest

from antiphon.errors import InvalidAudio
from antiphon.schemas import WebhookTarget
from tests.integration.ingest.conftest import Scribe
from tests.servers import Server

pytestmark = pytest.mark.integration

WAV = b"RIFF\x24\x00\x00\x00WAVEfmt " + b"\0" * 64
DATA = f"data:audio/wav;base64,{base64.b64encode(WAV).decode()}"
URL = "https://example.com/a.wav"
SPEECH = {"kind": "synthesize", "model": "tts-1", "input": "Hi.", "voice": "alloy"}
HEARD = {"kind": "transcribe", "model": "whisper-1", "audio": URL}


def blobs(server: Server) -> list[bytes]:
    found: list[bytes] = server.do("KEYS", "blob:*")
    return found


async def test_a_job_is_accepted_done_and_shown_with_its_result(door: Any, transcriber: Any) -> None:
    reply = await door.client.post("/v1/jobs", json=HEARD | {"metadata": {"case": "17"}, "priority": "std"})
    assert reply.status_code == 202
    shown = reply.json()
    assert reply.headers["location"] == f"/v1/jobs/{shown['id']}"
    assert "idempotent-replayed" not in reply.headers
    assert (shown["object"], shown["status"], shown["attempts"], shown["result"]) == ("job", "queued", 0, None)
    assert (shown["metadata"], shown["source"], shown["webhook"]) == ({"case": "17"}, URL, None)
    assert shown["deadline_at"] - shown["created_at"] in {86_400, 86_401}
    async with transcriber(door, Scribe()):
        done = await door.when(shown["id"], "completed")
    assert done["result"] == {"text": "Hello there.", "usage": {"type": "duration", "seconds": 2}}
    assert done["progress"] == {"done": 2.0, "total": 2.0, "unit": "seconds"}
    assert done["attempts"] == 1
    assert done["created_at"] <= done["started_at"] <= done["finished_at"]
    content = await door.client.get(done["result_url"])
    assert content.json() == done["result"]


async def test_the_address_of_a_job_has_the_prefix_of_the_request(open_door: Any) -> None:
    async with open_door(path_prefix="/speech") as door:
        reply = await door.client.post("/speech/openai/v1/jobs", json=SPEECH)
        assert reply.headers["location"] == f"/speech/openai/v1/jobs/{reply.json()['id']}"
        assert (await door.client.get(reply.headers["location"])).status_code == 200


async def test_a_transcript_comes_in_the_format_that_was_asked_for(door: Any, transcriber: Any) -> None:
    text = await door.order(**HEARD, response_format="text")
    vtt = await door.order(**HEARD, response_format="vtt")
    async with transcriber(door, Scribe()):
        assert (await door.when(text["id"], "completed"))["result"] == "Hello there.\n"
        await door.when(vtt["id"], "completed")
    content = await door.client.get(f"/v1/jobs/{text['id']}/content")
    assert (content.headers["content-type"], content.text) == ("text/plain; charset=utf-8", "Hello there.\n")
    content = await door.client.get(f"/v1/jobs/{vtt['id']}/content")
    assert (content.headers["content-type"], content.text[:6]) == ("text/vtt; charset=utf-8", "WEBVTT")


async def test_speech_is_fetched_when_it_is_whole(door: Any, synthesizer: Any) -> None:
    shown = await door.order(**SPEECH)
    early = await door.client.get(f"/v1/jobs/{shown['id']}/content")
    assert (early.status_code, early.json()["error"]["code"]) == (409, "job_not_finished")
    async with synthesizer(door):
        done = await door.when(shown["id"], "completed")
    assert done["result"] == {
        "media_type": "audio/mpeg",
        "duration": 1.0,
        "size": 3,
        "url": f"/v1/jobs/{shown['id']}/content",
    }
    assert done["progress"]["unit"] == "characters"
    content = await door.client.get(done["result"]["url"])
    assert (content.headers["content-type"], content.content) == ("audio/mpeg", b"Hi.")
    assert content.headers["content-length"] == "3"


async def test_an_upload_is_kept_until_its_job_has_ended(door: Any, transcriber: Any, server: Server) -> None:
    form = {"kind": "transcribe", "model": "whisper-1", "metadata[a]": "b", "webhook": URL}
    reply = await door.client.post("/v1/jobs", data=form, files={"file": ("talk.wav", WAV)})
    assert reply.status_code == 202, reply.text
    shown = reply.json()
    assert (shown["source"], shown["metadata"]) == ("talk.wav", {"a": "b"})
    assert len(blobs(server)) == 1
    scribe = Scribe()
    async with transcriber(door, scribe):
        await door.when(shown["id"], "completed")
    assert scribe.begun[0].audio.media_type == "audio/wav"  # type: ignore[attr-defined]
    assert not blobs(server)


async def test_audio_within_the_request_is_kept_like_an_upload(door: Any, transcriber: Any, server: Server) -> None:
    shown = await door.order(**HEARD | {"audio": {"data": DATA}})
    assert (shown["source"], len(blobs(server))) == (None, 1)
    async with transcriber(door, Scribe()):
        await door.when(shown["id"], "completed")
    assert not blobs(server)


async def test_a_blob_of_its_owners_outlives_the_job(door: Any, transcriber: Any, server: Server) -> None:
    kept = await door.blobs.put(WAV)
    shown = await door.order(**HEARD | {"audio": {"blob": kept.uri}})
    async with transcriber(door, Scribe()):
        await door.when(shown["id"], "completed")
    assert len(blobs(server)) == 1
    await door.client.delete(f"/v1/jobs/{shown['id']}")
    assert len(blobs(server)) == 1


async def test_a_failed_job_says_why_wherever_it_is_shown(door: Any, transcriber: Any) -> None:
    shown = await door.order(**HEARD)
    async with transcriber(door, Scribe(error=InvalidAudio("Not audio.", param="file"))):
        failed = await door.when(shown["id"], "failed")
    error = {"message": "Not audio.", "type": "invalid_request_error", "param": "file", "code": "invalid_value"}
    assert (failed["error"], failed["result"], failed["result_url"]) == (error, None, None)
    (listed,) = (await door.client.get("/v1/jobs")).json()["data"]
    assert listed["error"] == error
    content = await door.client.get(f"/v1/jobs/{shown['id']}/content")
    assert (content.status_code, content.json()["error"]) == (400, error)


async def test_a_job_past_its_deadline_has_expired(door: Any, transcriber: Any) -> None:
    shown = await door.order(**HEARD, deadline_s=0.05)
    await asyncio.sleep(0.1)
    async with transcriber(door, Scribe()):
        expired = await door.when(shown["id"], "expired")
    assert expired["error"]["code"] == "deadline_exceeded"
    content = await door.client.get(f"/v1/jobs/{shown['id']}/content")
    assert (content.status_code, content.headers["x-should-retry"]) == (504, "false")
    events = [event async for event in door.events(shown["id"])]
    assert [event.name for event in events] == ["job.failed"]
    assert events[0].data["job"]["status"] == "expired"


async def test_a_list_is_accepted_as_a_whole_and_in_its_order(door: Any) -> None:
    reply = await door.client.post("/v1/jobs", json={"jobs": [SPEECH | {"input": f"{i}"} for i in range(5)]})
    assert reply.status_code == 202
    ids = [job["id"] for job in reply.json()["data"]]
    listed = (await door.client.get("/v1/jobs")).json()["data"]
    assert [job["id"] for job in listed] == ids[::-1]


async def test_of_a_list_with_one_wrong_job_none_is_accepted(door: Any) -> None:
    reply = await door.client.post("/v1/jobs", json=[SPEECH, SPEECH, HEARD | {"model": "nobody"}])
    assert (reply.status_code, reply.json()["error"]["param"]) == (404, "jobs[2].model")
    reply = await door.client.post("/v1/jobs", json=[SPEECH, SPEECH | {"webhook": "whe_unknown"}])
    assert (reply.status_code, reply.json()["error"]["param"]) == (404, "jobs[1].webhook.endpoint")
    wrong: tuple[Any, ...] = ([], {"jobs": {}}, {"jobs": [7]}, [SPEECH] * 1001)
    for body in wrong:
        assert (await door.client.post("/v1/jobs", json=body)).status_code == 400
    assert (await door.client.get("/v1/jobs")).json()["data"] == []


async def test_what_a_full_lane_refuses_in_the_middle_is_withdrawn_as_a_whole(open_door: Any, server: Server) -> None:
    async with open_door(bus={"max_bulk_backlog": 70}) as door:
        jobs = [HEARD | {"audio": DATA} for _ in range(100)]
        headers = {"idempotency-key": "k"}
        for _ in range(2):
            reply = await door.client.post("/v1/jobs", json=jobs, headers=headers)
            assert (reply.status_code, reply.json()["error"]["code"]) == (429, "rate_limit_exceeded")
            assert int(reply.headers["retry-after"]) >= 1
        assert (await door.client.get("/v1/jobs")).json()["data"] == []
        assert not blobs(server)


async def test_the_same_key_is_the_same_job(door: Any, server: Server) -> None:
    headers = {"idempotency-key": "order-17"}
    first = await door.client.post("/v1/jobs", json=HEARD | {"webhook": URL}, headers=headers)
    again = await door.client.post("/v1/jobs", json={"webhook": URL} | HEARD, headers=headers)
    assert again.status_code == 202
    assert again.json()["id"] == first.json()["id"]
    assert again.headers["idempotent-replayed"] == "true"
    assert again.headers["location"] == first.headers["location"]
    assert first.json()["webhook"]["secret"].startswith("whsec_")
    assert "secret" not in again.json()["webhook"]
    for other in (HEARD | {"language": "de"}, SPEECH, [HEARD | {"webhook": URL}]):
        reply = await door.client.post("/v1/jobs", json=other, headers=headers)
        assert (reply.status_code, reply.json()["error"]["code"]) == (422, "idempotency_key_reused")
    others = await door.other.post("/v1/jobs", json=HEARD | {"webhook": URL}, headers=headers)
    assert others.json()["id"] != first.json()["id"]
    assert len((await door.client.get("/v1/jobs")).json()["data"]) == 1


async def test_a_repeated_upload_is_the_same_job_and_another_file_is_not(door: Any, server: Server) -> None:
    form: dict[str, Any] = {"data": HEARD | {"audio": ""}, "headers": {"idempotency-key": "k"}}
    first = await door.client.post("/v1/jobs", files={"file": ("a.wav", WAV)}, **form)
    again = await door.client.post("/v1/jobs", files={"file": ("a.wav", WAV)}, **form)
    assert (first.status_code, again.json()["id"]) == (202, first.json()["id"])
    other = await door.client.post("/v1/jobs", files={"file": ("a.wav", WAV + b"\0")}, **form)
    assert other.status_code == 422
    assert len(blobs(server)) == 1


async def test_a_repeated_list_gives_the_same_jobs(door: Any) -> None:
    jobs, headers = [SPEECH | {"input": f"{i}"} for i in range(3)], {"idempotency-key": "k"}
    first = await door.client.post("/v1/jobs", json=jobs, headers=headers)
    again = await door.client.post("/v1/jobs", json=jobs, headers=headers)
    assert [job["id"] for job in again.json()["data"]] == [job["id"] for job in first.json()["data"]]
    assert again.headers["idempotent-replayed"] == "true"


async def test_a_key_whose_job_was_deleted_is_free(door: Any) -> None:
    headers = {"idempotency-key": "k"}
    ids = set()
    for _ in range(3):
        reply = await door.client.post("/v1/jobs", json=SPEECH, headers=headers)
        assert reply.status_code == 202
        ids.add(reply.json()["id"])
        await door.client.delete(f"/v1/jobs/{reply.json()['id']}")
    assert len(ids) == 3


async def test_a_queued_and_a_running_job_can_be_cancelled(door: Any, transcriber: Any) -> None:
    scribe = Scribe(held=True)
    async with transcriber(door, scribe):
        running = await door.order(**HEARD)
        await door.when(running["id"], "running")
        reply = await door.client.post(f"/v1/jobs/{running['id']}/cancel")
        assert (reply.status_code, reply.json()["id"]) == (202, running["id"])
        cancelled = await door.when(running["id"], "cancelled")
        assert cancelled["error"]["code"] == "cancelled"
        again = await door.client.post(f"/v1/jobs/{running['id']}/cancel")
        assert (again.status_code, again.json()["status"]) == (200, "cancelled")
    queued = await door.order(**HEARD)
    assert (await door.client.post(f"/v1/jobs/{queued['id']}/cancel")).status_code == 202
    async with transcriber(door, scribe):
        await door.when(queued["id"], "cancelled")
    assert len(scribe.begun) == 1


async def test_an_ended_job_is_not_cancelled(door: Any, transcriber: Any) -> None:
    async with transcriber(door, Scribe()):
        shown = await door.order(**HEARD)
        await door.when(shown["id"], "completed")
    reply = await door.client.post(f"/v1/jobs/{shown['id']}/cancel")
    assert (reply.status_code, reply.json()["status"]) == (200, "completed")


async def test_nothing_is_left_of_a_deleted_job(door: Any, transcriber: Any, synthesizer: Any, server: Server) -> None:
    async with transcriber(door, Scribe()), synthesizer(door):
        jobs = [await door.order(**HEARD | {"audio": DATA}), await door.order(**SPEECH)]
        for job in jobs:
            await door.when(job["id"], "completed")
    for job in jobs:
        reply = await door.client.delete(f"/v1/jobs/{job['id']}")
        assert reply.json() == {"id": job["id"], "object": "job", "deleted": True}
        assert (await door.client.get(f"/v1/jobs/{job['id']}")).status_code == 404
        assert (await door.client.delete(f"/v1/jobs/{job['id']}")).status_code == 404
        assert not server.do("KEYS", f"*{job['id']}*")
    assert not blobs(server)
    assert (await door.client.get("/v1/jobs")).json()["data"] == []


async def test_a_running_job_that_is_deleted_stops_and_leaves_nothing(
    door: Any, transcriber: Any, server: Server
) -> None:
    scribe = Scribe(held=True)
    async with transcriber(door, scribe):
        shown = await door.order(**HEARD | {"audio": DATA})
        scribe.say()
        await door.when(shown["id"], "running")
        assert (await door.client.delete(f"/v1/jobs/{shown['id']}")).status_code == 200
        assert (await door.client.get(f"/v1/jobs/{shown['id']}")).status_code == 404
        async with asyncio.timeout(10):
            while server.do("KEYS", f"*{shown['id']}*") or blobs(server):
                await asyncio.sleep(0.02)


async def test_a_job_is_visible_to_its_tenant_only(door: Any) -> None:
    shown = await door.order(**SPEECH)
    path, nothing = f"/v1/jobs/{shown['id']}", "/v1/jobs/job_0"
    for method, suffix in (
        ("GET", ""),
        ("GET", "/content"),
        ("GET", "/events"),
        ("POST", "/cancel"),
        ("DELETE", ""),
    ):
        theirs = await door.other.request(method, path + suffix)
        unknown = await door.other.request(method, nothing + suffix)
        assert theirs.status_code == unknown.status_code == 404
        assert theirs.json()["error"]["code"] == "job_not_found"
        assert theirs.text.replace(shown["id"], "job_0") == unknown.text
    assert (await door.other.get("/v1/jobs")).json()["data"] == []
    assert (await door.job(shown["id"]))["status"] == "queued"


async def test_pages_of_a_list_are_walked_in_both_directions(door: Any, transcriber: Any) -> None:
    made = [(await door.order(**(HEARD if i % 2 else SPEECH)))["id"] for i in range(7)]
    newest = made[::-1]

    async def page(**query: Any) -> tuple[list[str], bool]:
        reply = (await door.client.get("/v1/jobs", params=query)).json()
        ids = [job["id"] for job in reply["data"]]
        assert (reply["first_id"], reply["last_id"]) == ((ids[0], ids[-1]) if ids else (None, None))
        return ids, reply["has_more"]

    assert await page(limit=3) == (newest[:3], True)
    assert await page(limit=3, after=newest[2]) == (newest[3:6], True)
    assert await page(limit=3, after=newest[5]) == (newest[6:], False)
    assert await page(limit=2, before=newest[3]) == (newest[1:3], True)
    assert await page(limit=3, before=newest[3]) == (newest[:3], False)
    assert await page(kind="synthesize") == (made[::-2], False)
    async with transcriber(door, Scribe()):
        await door.when(made[1], "completed")
        await door.when(made[5], "completed")
        await door.when(made[3], "completed")
    assert await page(status="completed") == ([made[5], made[3], made[1]], False)
    assert await page(status="queued,completed", kind="transcribe", limit=1) == ([made[5]], True)
    (shown,) = (await door.client.get("/v1/jobs", params={"status": "completed", "limit": 1})).json()["data"]
    assert "result" not in shown


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ("limit=0", "limit"),
        ("limit=101", "limit"),
        ("limit=1.5", "limit"),
        ("kind=cook", "kind"),
        ("status=x", "status"),
    ],
)
async def test_a_wrong_query_is_named(door: Any, query: str, param: str) -> None:
    reply = await door.client.get(f"/v1/jobs?{query}")
    assert (reply.status_code, reply.json()["error"]["param"]) == (400, param)


async def test_a_webhook_reaches_the_job_with_its_secret(door: Any, transcriber: Any) -> None:
    own = {"url": URL, "secret": "mine", "events": ["job.failed"]}
    shown = await door.order(**HEARD, webhook=own)
    assert shown["webhook"] == {"url": URL, "events": ["job.failed"]}
    new = await door.order(**HEARD, webhook=URL)
    secret = new["webhook"].pop("secret")
    assert new["webhook"] == {"url": URL, "events": ["job.completed", "job.failed", "job.cancelled"]}
    assert (await door.job(new["id"]))["webhook"] == new["webhook"]
    scribe = Scribe()
    async with transcriber(door, scribe):
        await door.when(new["id"], "completed")
        await door.when(shown["id"], "completed")
    targets = {job.id: job.webhook for job in scribe.begun}
    assert targets[shown["id"]] == WebhookTarget(url=URL, secret="mine", events=("job.failed",))
    assert targets[new["id"]] == WebhookTarget(url=URL, secret=secret)


HOSTILE: list[tuple[bytes, dict[str, str], int]] = [
    (b"", {}, 400),
    (b"{", {}, 400),
    (b"7", {}, 400),
    (b'"jobs"', {}, 400),
    (b"[" * 100_000, {}, 400),
    (b'{"kind": "transcribe", "model": "\xff"}', {}, 400),
    (b"{}", {"content-type": "text/plain"}, 415),
    (b"{}", {"idempotency-key": "k" * 256}, 400),
    (b"x" * (16 * 2**20 + 1), {}, 413),
    (b"x", {"content-type": "multipart/form-data; boundary=x"}, 400),
]


async def test_a_hostile_body_is_refused(door: Any) -> None:
    for content, headers, status in HOSTILE:
        reply = await door.client.post(
            "/v1/jobs", content=content, headers={"content-type": "application/json", **headers}
        )
        assert reply.status_code == status, (content[:80], reply.text)
        assert reply.json()["error"]["message"]
    assert (await door.client.get("/v1/jobs")).json()["data"] == []


async def test_a_hostile_id_is_not_found(door: Any) -> None:
    for id in ("job_", "..", "%00", "a b", "x" * 500, "%7Btranscribe%7D", "*"):
        assert (await door.client.get(f"/v1/jobs/{id}/content")).status_code == 404, id
