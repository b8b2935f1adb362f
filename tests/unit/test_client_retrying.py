"""When the client retries and how long it waits: its steps, without a server."""

from __future__ import annotations

import json

import httpx
import pytest

from antiphon.cli import server_probe
from antiphon.client import RoomWait, endpoints, errors
from antiphon.client.retrying import Answer, Call, Pause, Retries, Step, perform
from antiphon.client.types import Job

JOB = json.dumps(
    {
        "id": "1", "type": "speech", "status": "queued", "created_at": 1.0, "started_at": None, "finished_at": None,
        "progress": 0.0, "units": {"total": 1, "done": 0, "cached": 0}, "position": 1, "eta": 1.0, "result": None,
        "error": None, "attempts": 0, "warnings": [],
    }
).encode()  # fmt: skip
DAY = 86_400.0


def refusal(status: int, code: str, after: int | None) -> Answer:
    body = json.dumps({"error": {"code": code, "message": f"no room: {code}"}}).encode()
    return Answer(status, {} if after is None else {"retry-after": str(after)}, body)


def submission() -> Call[Job]:
    return endpoints.submit("A book.", {"idempotency_key": "book"}, repeated=True)


def run(call: Call[Job], retries: Retries, *answers: Answer) -> tuple[list[float], Job]:
    """The pauses between the answers, and what comes of them."""
    steps, pauses = perform(call, retries), list[float]()
    step: Step = next(steps)
    for answer in answers:
        assert isinstance(step, Call)
        try:
            step = steps.send(answer)
            while isinstance(step, Pause):
                pauses.append(step.seconds)
                step = steps.send(None)
        except StopIteration as end:
            return pauses, end.value
    pytest.fail("there is a step left")


def test_a_job_waits_for_room_in_line_for_as_long_as_it_takes_and_says_so() -> None:
    told: list[RoomWait] = []
    full = [refusal(429, "over_share", after) for after in (7200, 5400, 4050, 20)] + [refusal(503, "queue_full", 2)]
    policy = Retries(1, 30.0, DAY, told.append)
    pauses, job = run(submission(), policy, *full, Answer(202, {}, JOB))
    assert job.id == "1"
    # It asks again before the predicted time, since others may cancel, and more often as that comes near.
    assert pauses == [1800.0, 1350.0, 1012.5, 20.0, 2.0]
    assert [(wait.seconds, wait.key) for wait in told] == [(s, "book") for s in (7200, 5400, 4050, 20, 2)]
    assert str(told[0]) == "waiting for room in line, about 7200 s: no room: over_share"


def test_it_waits_no_longer_than_it_may_and_then_says_why() -> None:
    told: list[RoomWait] = []
    full = refusal(429, "over_share", 60)
    with pytest.raises(errors.RateLimited, match="no room: over_share") as caught:
        run(submission(), Retries(1, 30.0, 100.0, told.append), full, full, full)
    assert (caught.value.retry_after, len(told)) == (60.0, 2)


@pytest.mark.parametrize("code", ["rate_limited", "over_quota", "draining", "model_loading"])
def test_only_for_room_in_line_it_waits_beyond_its_patience(code: str) -> None:
    with pytest.raises(errors.ApiError):
        run(submission(), Retries(4, 30.0, DAY), refusal(429, code, 60))


def test_without_retries_and_for_speech_it_does_not_wait() -> None:
    with pytest.raises(errors.RateLimited):
        run(submission(), Retries(0, 0.0, DAY), refusal(429, "over_share", 1))
    with pytest.raises(errors.RateLimited):
        run(endpoints.speak("Now.", {}), Retries(1, 30.0, DAY), refusal(429, "over_share", 60))  # type: ignore[arg-type]


def test_a_wait_is_seen_without_any_configuration(caplog: pytest.LogCaptureFixture) -> None:
    run(submission(), Retries(1, 30.0, DAY), refusal(429, "over_share", 9), Answer(202, {}, JOB))
    assert caplog.messages == ["waiting for room in line, about 9 s: no room: over_share"]


def test_a_command_waits_for_room_and_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    def response(status: int, code: str, after: str | None) -> httpx.Response:
        headers = {} if after is None else {"Retry-After": after}
        return httpx.Response(status, headers=headers, json={"error": {"code": code, "message": f"no room: {code}"}})

    answers = iter([response(429, "over_share", "0"), response(503, "queue_full", "0"), httpx.Response(200)])
    assert server_probe.admitted(lambda: next(answers)).status_code == 200
    said = capsys.readouterr().err.splitlines()
    assert said == [f"waiting for room in line, about 0 s: no room: {code}" for code in ("over_share", "queue_full")]
    for answer in (
        response(429, "rate_limited", "1"), response(429, "over_share", None), response(429, "over_share", "999999"),
    ):  # fmt: skip
        assert server_probe.admitted(lambda answer=answer: answer) is answer
    assert capsys.readouterr().err == ""
