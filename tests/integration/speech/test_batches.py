from __future__ import annotations

from typing import Any

import httpx
import pytest

from services.ingest.access.keyring import Keyring
from tests.eventually import eventually
from tests.integration.speech.conftest import KEYS, OpenScene, Scene
from tests.servers import Server

pytestmark = pytest.mark.integration

V = {"api-version": "2025-10-15"}
API = "/speechtotext/transcriptions"


def definition(*names: str, **changes: Any) -> dict[str, Any]:
    properties = {"timeToLiveHours": 6} | changes.pop("properties", {})
    return {
        "displayName": "Calls",
        "locale": "de-DE",
        "contentUrls": [f"https://example.com/{name}" for name in names],
        "properties": properties,
    } | changes


async def submit(client: httpx.AsyncClient, *names: str, **changes: Any) -> dict[str, Any]:
    reply = await client.post(f"{API}:submit", params=V, json=definition(*names, **changes))
    assert reply.status_code == 201, reply.text
    body: dict[str, Any] = reply.json()
    assert reply.headers["location"] == body["self"]
    return body


async def ended(client: httpx.AsyncClient, url: str) -> dict[str, Any]:
    async def look() -> dict[str, Any] | None:
        body: dict[str, Any] = (await client.get(url)).json()
        return body if body["status"] in {"Succeeded", "Failed"} else None

    return await eventually(look)


async def files(client: httpx.AsyncClient, transcription: dict[str, Any], **query: Any) -> list[dict[str, Any]]:
    reply = await client.get(transcription["links"]["files"], params={**V, **query})
    assert reply.status_code == 200, reply.text
    found: list[dict[str, Any]] = reply.json()["values"]
    return found


async def test_a_batch_goes_from_submission_to_its_files(scene: Scene) -> None:
    submitted = await submit(scene.client, "anna", "broken", properties={"wordLevelTimestampsEnabled": True})
    waiting = await scene.client.get(submitted["self"])
    assert waiting.json()["status"] == "NotStarted"
    assert int(waiting.headers["retry-after"]) > 0
    assert await files(scene.client, submitted) == []
    async with scene.serve() as hearing:
        done = await ended(scene.client, submitted["self"])
    assert done["status"] == "Succeeded"
    assert done["properties"]["durationMilliseconds"] == 2500
    assert {job.parent for job in hearing.heard} == {done["self"].rpartition("/")[2].partition("?")[0]}
    assert hearing.heard[0].options.language == "de"
    assert "retry-after" not in (await scene.client.get(submitted["self"])).headers
    result, report = await files(scene.client, done)
    assert (result["name"], result["kind"]) == ("contenturl_0.json", "Transcription")
    assert (report["name"], report["kind"]) == ("report.json", "TranscriptionReport")
    content = await scene.anybody.get(result["links"]["contentUrl"])
    assert content.status_code == 200
    assert len(content.content) == result["properties"]["size"]
    heard = content.json()
    assert heard["source"] == "https://example.com/anna"
    assert heard["combinedRecognizedPhrases"][0]["display"] == "anna speaking."
    assert [word["word"] for word in heard["recognizedPhrases"][0]["nBest"][0]["words"]] == ["anna", "speaking"]
    told = (await scene.anybody.get(report["links"]["contentUrl"])).json()
    assert (told["successfulTranscriptionsCount"], told["failedTranscriptionsCount"]) == (1, 1)
    assert told["details"][1]["errorMessage"] == "The file is no audio."
    one = (await scene.client.get(result["self"])).json()
    assert one["name"] == result["name"]
    assert (await scene.client.get(result["self"].replace("/files/0", "/files/1"))).status_code == 404


async def test_a_batch_of_which_nothing_was_transcribed_has_failed(scene: Scene) -> None:
    async with scene.serve():
        done = await ended(scene.client, (await submit(scene.client, "broken1", "broken2"))["self"])
    assert done["status"] == "Failed"
    assert done["properties"]["error"] == {"code": "InvalidData", "message": "The file is no audio."}
    (report,) = await files(scene.client, done)
    assert report["kind"] == "TranscriptionReport"


async def test_a_thousand_urls_are_a_thousand_jobs_with_one_parent(scene: Scene) -> None:
    submitted = await submit(scene.client, *(f"n{number}" for number in range(1000)))
    batch_id = submitted["self"].rpartition("/")[2].partition("?")[0]
    async with scene.serve() as hearing:
        await eventually(lambda: len(hearing.heard) >= 1000, within_s=60)
        done = await ended(scene.client, submitted["self"])
    assert done["status"] == "Succeeded"
    assert done["properties"]["durationMilliseconds"] == 2_500_000
    assert {job.id for job in hearing.heard} == {f"{batch_id}.{number}" for number in range(1000)}
    assert {job.parent for job in hearing.heard} == {batch_id}
    url, names = done["links"]["files"], []
    while url:
        page = (await scene.client.get(url)).json()
        names += [file["name"] for file in page["values"]]
        url = page.get("@nextLink")
    assert names == [*(f"contenturl_{number}.json" for number in range(1000)), "report.json"]


async def test_a_batch_is_on_the_bus_whole_or_not_at_all(open_scene: OpenScene, server: Server) -> None:
    async with open_scene(max_bulk_backlog=3) as scene:
        reply = await scene.client.post(f"{API}:submit", params=V, json=definition("a", "b", "c", "d", "e"))
        assert reply.status_code == 429
        assert reply.json()["code"] == "TooManyRequests"
        assert int(reply.headers["retry-after"]) > 0
        assert (await scene.client.get(API, params=V)).json() == {"values": []}
        async with scene.serve() as hearing:

            async def emptied() -> bool:
                lane = (await scene.bus.lanes())["transcribe"]
                return not lane.pending and not sum(lane.backlog.values())

            await eventually(emptied)
        assert hearing.heard == []


async def test_deleting_cancels_what_has_not_ended_and_forgets_the_rest(scene: Scene, server: Server) -> None:
    submitted = await submit(scene.client, "anna", "berta")
    batch_id = submitted["self"].rpartition("/")[2].partition("?")[0]
    assert (await scene.other.delete(submitted["self"])).status_code == 404
    assert (await scene.client.delete(submitted["self"])).status_code == 204
    assert (await scene.client.get(submitted["self"])).status_code == 404
    assert (await scene.client.delete(submitted["self"])).status_code == 404
    async with scene.serve() as hearing:
        done = await ended(scene.client, (await submit(scene.client, "carla"))["self"])
        assert [job.audio.uri for job in hearing.heard] == ["https://example.com/carla"]
        (result, _) = await files(scene.client, done)
        assert (await scene.client.delete(done["self"])).status_code == 204
    assert (await scene.anybody.get(result["links"]["contentUrl"])).status_code == 404
    assert await scene.bus.batches.find(batch_id, tenant="any") is None


async def test_a_transcription_is_gone_when_its_time_has_passed(scene: Scene, server: Server) -> None:
    async with scene.serve():
        done = await ended(scene.client, (await submit(scene.client, "anna"))["self"])
    (result, _) = await files(scene.client, done)
    batch_id = done["self"].rpartition("/")[2].partition("?")[0]
    tenant = httpx.URL(result["links"]["contentUrl"]).path.split("/")[3]
    record = await scene.bus.batches.find(batch_id, tenant=tenant)
    assert record is not None
    now_ms = scene.bus.now_ms()
    past = record.definition | {"endedMs": now_ms - 6 * 3600 * 1000 - 1}
    await scene.bus.batches.update(record, past, now_ms=now_ms)
    assert (await scene.anybody.get(result["links"]["contentUrl"])).status_code == 404
    assert (await scene.client.get(done["self"])).status_code == 404
    assert (await scene.client.get(API, params=V)).json()["values"] == []
    assert server.do("KEYS", f"*{batch_id}*") == []


async def test_nobody_sees_a_batch_whose_submission_was_cut_off(scene: Scene) -> None:
    submitted = await submit(scene.client, "anna")
    principal = Keyring.parse(KEYS[0]).find(KEYS[0])
    assert principal is not None
    batch_id = submitted["self"].rpartition("/")[2].partition("?")[0]
    record = await scene.bus.batches.find(batch_id, tenant=principal.tenant)
    assert record is not None
    await scene.bus.batches.update(record, record.definition | {"submitted": False}, now_ms=scene.bus.now_ms())
    assert (await scene.client.get(f"{API}/{record.id}", params=V)).status_code == 404
    assert (await scene.client.get(API, params=V)).json()["values"] == []


async def test_nobody_sees_the_batches_of_others(scene: Scene) -> None:
    submitted = await submit(scene.client, "anna")
    for path in ("", "/files", "/files/report"):
        url = submitted["self"].replace("?", f"{path}?")
        reply = await scene.other.get(url)
        assert (reply.status_code, reply.json()["code"]) == (404, "NotFound")
        assert (await scene.anybody.get(url)).status_code == 401
    assert (await scene.other.patch(submitted["self"], json={"displayName": "x"})).status_code == 404
    assert (await scene.other.get(API, params=V)).json()["values"] == []


async def test_a_link_opens_nothing_else_and_not_for_ever(scene: Scene) -> None:
    async with scene.serve():
        done = await ended(scene.client, (await submit(scene.client, "anna", "berta"))["self"])
    (first, *_) = await files(scene.client, done, sasLifetimeMinutes=1)
    link = first["links"]["contentUrl"]
    assert (await scene.anybody.get(link)).status_code == 200
    refused = await scene.anybody.get(link.replace("/0?", "/1?"))
    assert (refused.status_code, refused.json()["innerError"]["code"]) == (403, "AuthenticationFailed")
    moment = httpx.URL(link).params["se"]
    assert 0 < int(moment) - scene.bus.now_ms() / 1000 <= 61
    assert (await scene.anybody.get(link.replace(moment, str(int(moment) + 1)))).status_code == 403
    wrong = await scene.client.get(done["links"]["files"], params={**V, "sasLifetimeMinutes": "soon"})
    assert wrong.status_code == 400


async def test_lists_are_filtered_and_paged(scene: Scene) -> None:
    async with scene.serve():
        first = await submit(scene.client, "anna", displayName="First")
        await ended(scene.client, first["self"])
    for name in ("Second", "Third"):
        await submit(scene.client, "berta", displayName=name)

    async def names(**query: Any) -> list[str]:
        reply = await scene.client.get(API, params={**V, **query})
        assert reply.status_code == 200, reply.text
        return [each["displayName"] for each in reply.json()["values"]]

    assert await names() == ["First", "Second", "Third"]
    assert await names(filter="status eq 'Succeeded'") == ["First"]
    assert await names(filter="status ne 'Succeeded' and displayName eq 'Third'") == ["Third"]
    assert await names(filter=f"createdDateTime ge {first['createdDateTime']}", skip=1) == ["Second", "Third"]
    assert await names(filter="createdDateTime gt 2099-01-01T00:00:00Z") == []
    page = (await scene.client.get(API, params={**V, "top": 2, "filter": "locale eq 'de-DE'"})).json()
    assert [each["displayName"] for each in page["values"]] == ["First", "Second"]
    rest = (await scene.client.get(page["@nextLink"])).json()
    assert [each["displayName"] for each in rest["values"]] == ["Third"]
    assert "@nextLink" not in rest
    for query in ({"filter": "size gt 1"}, {"top": "0"}, {"skip": "-1"}, {"top": "many"}):
        reply = await scene.client.get(API, params=V | query)
        assert (reply.status_code, reply.json()["code"]) == (400, "InvalidRequest")
    chosen = await files(scene.client, first, filter="kind eq 'TranscriptionReport'")
    assert [file["name"] for file in chosen] == ["report.json"]


async def test_what_a_batch_is_called_can_be_changed(scene: Scene) -> None:
    submitted = await submit(scene.client, "anna")
    changes = {"displayName": "Renamed", "description": "D", "customProperties": {"k": "v"}}
    headers = {"content-type": "application/merge-patch+json"}
    changed = await scene.client.patch(submitted["self"], json=changes, headers=headers)
    assert changed.status_code == 200, changed.text
    kept = (await scene.client.get(submitted["self"])).json()
    assert {name: kept[name] for name in changes} == changes
    assert (await scene.client.patch(submitted["self"], json={"displayName": 1})).status_code == 400


async def test_the_older_paths_create_by_a_plain_post(scene: Scene) -> None:
    body = definition("anna") | {"properties": {"timeToLive": "PT12H"}}
    for version in ("v3.1", "v3.2"):
        reply = await scene.client.post(f"/speechtotext/{version}/transcriptions", json=body)
        assert reply.status_code == 201, reply.text
        location = reply.headers["location"]
        assert location.startswith(f"http://door/speechtotext/{version}/transcriptions/")
        assert (await scene.client.get(location)).json()["properties"]["timeToLive"] == "PT12H"
    assert (await scene.client.post("/speechtotext/v3.0/transcriptions", json=body)).status_code == 404
    assert (await scene.client.post(API, params=V, json=body)).status_code == 405
    listed = (await scene.client.get("/speechtotext/v3.2/transcriptions")).json()["values"]
    assert len(listed) == 2


async def test_refusals_have_the_shape_of_the_service(scene: Scene) -> None:
    reply = await scene.client.post(f"{API}:submit", params=V, json=definition("a", locale="tlh"))
    assert reply.status_code == 400
    assert reply.json() == {
        "code": "InvalidRequest",
        "message": "The locale 'tlh' is not supported.",
        "target": "locale",
        "innerError": {"code": "InvalidLocale", "message": "The locale 'tlh' is not supported."},
    }
    reply = await scene.client.post(f"{API}:submit", params=V, content=b"{")
    assert (reply.status_code, reply.json()["code"]) == (400, "InvalidRequest")
    urls = [
        "http://example.com/a",
        "https://169.254.169.254/a",
        "https://[::1]/a",
        "file:///etc/passwd",
        "https://u:p@e/",
    ]
    for url in urls:
        reply = await scene.client.post(f"{API}:submit", params=V, json=definition(contentUrls=[url]))
        if url != urls[0]:  # A name may lead to a network that is allowed here.
            assert (reply.status_code, reply.json()["innerError"]["code"]) == (400, "InvalidRecordingsUri"), url
    assert (await scene.client.get(API)).json()["target"] == "api-version"
    assert (await scene.anybody.get(API, params=V)).json()["code"] == "Unauthorized"
    assert (await scene.client.get("/speechtotext/nothing", params=V)).json()["code"] == "NotFound"


async def test_models_and_locales_are_listed(scene: Scene) -> None:
    listed = (await scene.client.get("/speechtotext/models/base", params=V)).json()["values"]
    whisper = next(model for model in listed if model["displayName"] == "whisper-1")
    assert (await scene.client.get(whisper["self"])).json() == whisper
    assert "tts-1" not in {model["displayName"] for model in listed}
    submitted = await submit(scene.client, "anna", model={"self": whisper["self"]})
    assert submitted["model"]["self"] == whisper["self"]
    locales = (await scene.client.get(f"{API}/locales", params=V)).json()
    assert "de" in locales["submit"]
    assert "de" in (await scene.client.get("/speechtotext/v3.2/transcriptions/locales")).json()
