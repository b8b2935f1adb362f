"""The OpenAPI document is complete: every route, every body, every error."""

from __future__ import annotations

from typing import Any

from tests.conftest import Server


def document(server: Server) -> dict[str, Any]:
    return dict(server.client.get("/openapi.json").json())


def test_every_surface_is_in_it(tone: Server) -> None:
    paths = document(tone)["paths"]
    expected = {
        "/tts": {"post"},
        "/status": {"get"},
        "/health": {"get"},
        "/output/{name}": {"get"},
        "/v1/audio/speech": {"post"},
        "/v1/audio/dialogue": {"post"},
        "/v1/audio/speech/batch": {"post"},
        "/v1/audio/reading": {"post"},
        "/dev/captioned_speech": {"post"},
        "/tts_url": {"post"},
        "/v1/audio/voices": {"get", "post"},
        "/v1/audio/voices/{voice}": {"delete"},
        "/v1/audio/voices/{voice}/sample": {"get"},
        "/v1/audio/transcriptions": {"post"},
        "/v1/audio/translations": {"post"},
        "/v1/images/generations": {"post"},
        "/v1/models": {"get"},
        "/v1/models/{id}/load": {"post"},
        "/v1/models/{id}/unload": {"post"},
        "/v1/jobs": {"get", "post"},
        "/v1/jobs/{id}": {"get", "delete"},
        "/v1/jobs/{id}/result": {"get"},
        "/v1/jobs/{id}/events": {"get"},
        "/v1/jobs/{id}/retry": {"post"},
        "/v1/jobs/{id}/units/{index}/retry": {"post"},
        "/v1/jobs/{id}/subtitles.{kind}": {"get"},
        "/v1/events": {"get"},
        "/livez": {"get"},
        "/readyz": {"get"},
        "/v1/workers": {"get"},
        "/metrics": {"get"},
        "/v1/stats": {"get"},
        "/v1/webhooks/secret": {"get"},
        "/v1/queue": {"get"},
        "/v1/queue/pause": {"post"},
        "/v1/queue/resume": {"post"},
        "/v1/queue/{id}": {"delete"},
        "/v1/queue/{id}/front": {"post"},
        "/v1/queue/{id}/class": {"post"},
    }
    assert {path: set(methods) for path, methods in paths.items()} == expected


def test_bodies_and_references_resolve(tone: Server) -> None:
    doc = document(tone)
    schemas = doc["components"]["schemas"]

    def check(node: Any) -> None:
        if isinstance(node, dict):
            if "$ref" in node:
                assert node["$ref"].rpartition("/")[2] in schemas
            for value in node.values():
                check(value)
        elif isinstance(node, list):
            for value in node:
                check(value)

    check(doc)
    for path in ("/tts", "/v1/audio/speech", "/v1/jobs"):
        assert doc["paths"][path]["post"]["requestBody"]["required"]
    assert "text" in schemas["TtsBody"]["properties"]
    assert schemas["TtsBody"]["additionalProperties"] is False


def test_every_operation_has_a_summary_and_an_answer(tone: Server) -> None:
    for path, methods in document(tone)["paths"].items():
        for method, operation in methods.items():
            assert operation["summary"], (method, path)
            assert any(code.startswith("2") for code in operation["responses"]), (method, path)


def test_answers_have_the_documented_fields(tone: Server) -> None:
    schemas = document(tone)["components"]["schemas"]
    health = tone.health()
    assert set(health) == set(schemas["Health"]["properties"])
    assert set(health["models"][0]) == set(schemas["ModelHealth"]["properties"])
    job = tone.client.post("/v1/jobs", json={"input": "Document me."}).json()
    assert set(job) == set(schemas["JobView"]["properties"])
    done = tone.wait_job(job["id"])
    assert set(done) == set(schemas["JobView"]["properties"])
    assert set(done["result"]) == set(schemas["ResultView"]["properties"])
    model = tone.client.get("/v1/models").json()["data"][0]
    assert set(model) == set(schemas["ModelView"]["properties"])
