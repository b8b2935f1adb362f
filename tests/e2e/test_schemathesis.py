"""Requests made up from the OpenAPI document: no route breaks, and none answers what the document does not say."""

from __future__ import annotations

from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.conftest import Server

#: Requests made for each operation. More of them by hand found nothing else; see docs/security.md.
EXAMPLES = 12
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
#: An answer without an end has no place here.
ENDLESS = {"/v1/events"}
#: Busy is no fault of the server: the document has it, and so must its Retry-After.
BUSY = {429, 503}


def operations(server: Server) -> list[Any]:
    schema = schemathesis.openapi.from_url(f"{server.base}/openapi.json")
    found = [result.ok() for result in schema.get_all_operations()]
    return [operation for operation in found if operation.path not in ENDLESS]


def test_made_up_requests_break_nothing_and_are_answered_as_documented(tone: Server) -> None:
    found = operations(tone)
    assert len(found) > 20
    counts: dict[int, int] = {}
    faults: list[str] = []
    seen: list[str] = []
    real = [tone.client.post("/v1/jobs", json={"input": f"A job to ask about, {n}."}).json()["id"] for n in range(3)]
    for job in real:
        tone.wait_job(job)
    for operation in found:

        @settings(
            max_examples=EXAMPLES,
            deadline=None,
            database=None,
            derandomize=True,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy())
        def ask(case: Any) -> None:
            # Made-up names exist nowhere; half of the questions are about something real.
            if "id" in (case.path_parameters or {}) and len(seen) % 2:
                case.path_parameters["id"] = real[len(seen) // 2 % len(real)]
            seen.append(case.operation.label)
            response = case.call(timeout=30)
            counts[response.status_code] = counts.get(response.status_code, 0) + 1
            if response.status_code in BUSY:
                assert int(response.headers["retry-after"][0]) >= 1
                return
            case.validate_response(response, checks=CHECKS)

        try:
            ask()
        except BaseExceptionGroup as e:
            faults += [f"{operation.label}: {fault.title}: {fault.message}" for fault in e.exceptions]
    print("answers by status:", counts)
    assert not faults, "\n".join(faults)
    assert tone.client.get("/livez").status_code == 200
    errors = [line for line in tone.lines() if line.get("level") in ("error", "critical")]
    assert not errors, errors[:3]
    if counts.get(200, 0) < 20:
        pytest.fail(f"too few requests were valid for this to mean anything: {counts}")
