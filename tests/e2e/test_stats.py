"""What is told about the server: metrics, and statistics with advice; and the dashboard that shows them."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import time
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from antiphon.app.antiphon import Antiphon
from antiphon.app.learned import own_name
from antiphon.settings import load
from antiphon.stats.hour import HourStats
from tests import plugins
from tests.conftest import Server, Start, command, surroundings, wait_until
from tests.plugins.slow_engines import GATE

DASHBOARD = Path(__file__).parents[2] / "deploy" / "grafana" / "antiphon.json"


def metrics(server: Server) -> dict[tuple[str, ...], float]:
    """Every sample by its name and its labels' values in the order of the labels' names."""
    answer = server.client.get("/metrics")
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    families = text_string_to_metric_families(answer.text)
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in families
        for sample in family.samples
    }


def stats(server: Server) -> dict[str, Any]:
    return dict(server.client.get("/v1/stats").json())


# Metrics


def test_metrics_count_what_happened(serve: Start) -> None:
    server = serve(
        "--model", "tone", "--workers", "2", "--max-client-seconds", "20", env={"ANTIPHON_TONE_DELAY": "0.1"}
    )
    # One of them is enough to be ready; elsewhere than here the other takes its time.
    wait_until(lambda: metrics(server)["antiphon_workers", "tone", "ready"] == 2, "both are up")
    for _ in range(2):
        assert server.client.post("/v1/audio/speech", json={"input": "One of two.", "voice": "tone"}).status_code == 200
    job = server.client.post(
        "/v1/jobs", json={"input": "One of two. A job of two segments.", "priority": "bulk"}
    ).json()
    server.wait_job(job["id"])
    assert server.client.get("/nowhere/at/all?secret=1").status_code == 404
    found = wait_until(
        lambda: (m := metrics(server))["antiphon_jobs_total", "bulk", "tone", "succeeded"] == 1 and m,
        "the job is counted",
    )
    assert found["antiphon_jobs_total", "normal", "tone", "accepted"] == 2
    assert found["antiphon_jobs_total", "normal", "tone", "succeeded"] == 2
    assert found["antiphon_wait_seconds_count", "bulk", "tone"] == 1
    # The second was a hit, and waited for nothing.
    assert found["antiphon_wait_seconds_count", "normal", "tone"] == 1
    assert found["antiphon_units_total", "tone", "worker"] == found["antiphon_unit_seconds_count", "tone"]
    assert (
        found["antiphon_units_total", "tone", "worker"] + found["antiphon_units_total", "tone", "cache"]
        == job["units"]["total"] + 2
    )
    assert found["antiphon_units_total", "tone", "cache"] >= 1
    assert found["antiphon_unit_seconds_sum", "tone"] >= 0.1 * found["antiphon_unit_seconds_count", "tone"]
    assert found["antiphon_real_time_factor_count", "tone"] == found["antiphon_unit_seconds_count", "tone"]
    assert found["antiphon_audio_seconds_total", "tone"] > 0
    assert found["antiphon_first_audio_seconds_count",] == 2
    assert found["antiphon_store_commit_seconds_count",] == 1
    assert found["antiphon_eta_ratio_count",] == 1
    assert found["antiphon_http_requests_total", "POST", "/v1/audio/speech", "200"] == 2
    assert found["antiphon_http_requests_total", "GET", "other", "404"] == 1
    assert found["antiphon_http_requests_total", "GET", "/v1/jobs/{id}", "200"] >= 1
    assert found["antiphon_workers", "tone", "ready"] == 2
    assert found["antiphon_worker_resident_memory_bytes", "tone", "tone-1"] > 1e6
    assert found["antiphon_cache_hits_total",] >= 1
    assert found["antiphon_slots", "tone"] == 2
    assert found["antiphon_ready",] == 1
    assert found["antiphon_open_connections", "http"] == 1
    assert found["process_cpu_seconds_total",] > 0
    wait_until(lambda: metrics(server)["antiphon_event_loop_lag_seconds_count",] > 0, "the pulse beats")


def test_what_waits_and_what_is_refused(serve: Start) -> None:
    server = serve(
        "--model",
        "tone",
        "--workers",
        "1",
        "--max-client-seconds",
        "1",
        "--drain-seconds",
        "0",
        env={"ANTIPHON_TONE_DELAY": "30"},
    )
    book = " ".join(f"This is sentence number {n} of a book that nobody reads to its end." for n in range(60))
    assert server.client.post("/v1/jobs", json={"input": book, "priority": "bulk"}).status_code == 202
    assert server.client.post("/v1/jobs", json={"input": book + " Another."}).status_code == 429
    wait_until(lambda: server.health()["concurrent"] == 1, "it runs")
    found = metrics(server)
    assert found["antiphon_queue_seconds", "bulk", "tone"] > 0
    assert found["antiphon_queue_seconds", "vip", "tone"] == 0
    assert found["antiphon_queued_jobs", "tone"] == 1
    assert found["antiphon_running_jobs", "tone"] == 1
    assert found["antiphon_running_units", "tone"] == 1
    assert found["antiphon_live_jobs",] == 1
    assert found["antiphon_admitted_seconds",] > 0
    assert found["antiphon_refusals_total", "over_share"] == 1
    worker = server.workers()[0]
    os.kill(worker["pid"], signal.SIGKILL)
    wait_until(
        lambda: metrics(server)["antiphon_worker_restarts_total", "tone", "tone-1"] >= 1, "the restart is counted"
    )
    # The place keeps its name whichever process holds it.
    assert {key[2] for key in metrics(server) if key[0] == "antiphon_worker_restarts_total"} == {"tone-1"}


def test_every_metric_of_the_dashboard_is_there(tone: Server) -> None:
    board = json.loads(DASHBOARD.read_text("utf-8"))
    shown = [target["expr"] for panel in board["panels"] for target in panel.get("targets", ())]
    asked = {name for expr in shown for name in re.findall(r"\b(?:antiphon|process)_[a-z_]+", expr)}
    asked |= set(re.findall(r"antiphon_[a-z_]+", json.dumps(board["templating"])))
    there: set[str] = set()
    for kind, name in re.findall(r"^# TYPE (\S+) (\S+)$", tone.client.get("/metrics").text, re.MULTILINE):
        there |= {kind, *(kind + end for end in ("_bucket", "_sum", "_count") if name == "histogram")}
    assert asked - there == set()
    assert len(asked) > 25
    # And everything that is ours is looked at somewhere.
    ours = {re.sub("_(bucket|sum|count)$", "", name) for name in there if name.startswith("antiphon_")}
    assert ours - {re.sub("_(bucket|sum|count)$", "", name) for name in asked} == set()
    ids = [panel["id"] for panel in board["panels"]]
    assert len(ids) == len(set(ids))


# Statistics


async def _preload(data: Path, kept: dict[str, Any]) -> None:
    data.mkdir(parents=True)
    store = surroundings(data).get("ANTIPHON_STORE", "sqlite")
    antiphon = Antiphon(load(flags={"data_dir": data, "store": store}))
    await antiphon.store.open()
    await antiphon.store.set_value(own_name(antiphon.store, "statistics"), kept)
    await antiphon.store.close()
    antiphon.threads.close()


def busy_hour() -> HourStats:
    """1800 segments of about a second, in an hour of a server with two workers."""
    hour = HourStats(requests=900, arrived=1800, seen=3600.0, available=7200.0)
    for n in range(1800):
        hour.service.add(0.5 + n % 2)
        hour.waits.add(0.1)
        hour.synthesis.add(1.0)
    return hour


@pytest.fixture(scope="module")
def busy_day(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Data of a server that had a busy hour before it was stopped."""
    data = tmp_path_factory.mktemp("busy") / "data"
    an_hour_ago = str(int(time.time() // 3600) - 1)
    asyncio.run(_preload(data, {"tone": {an_hour_ago: busy_hour().to_json()}}))
    return data


def test_the_day_survives_a_restart_and_advice_comes_from_it(serve: Start, busy_day: Path) -> None:
    server = serve("--model", "tone", "--workers", "1", data=busy_day)
    said = stats(server)
    assert said["requests"]["day"] == 900
    assert said["requests"]["peak_hour"]["requests"] == 900
    assert said["requests"]["per_hour"][-2:] == [900, 0] or said["requests"]["per_hour"][-3:-1] == [900, 0]
    assert len(said["requests"]["per_hour"]), len(said["requests"]["per_minute"]) == (24, 60)
    assert said["wait"]["p95"] == pytest.approx(0.1, rel=0.06)
    assert said["segment"]["mean"] == pytest.approx(1.0)
    assert said["models"]["tone"]["utilisation_peak"] == pytest.approx(0.25)
    advice = said["advice"]["models"][0]
    assert (advice["enough_data"], advice["workers"], advice["workers_needed"]) == (True, 1, 2)
    assert [p["workers"] for p in advice["predictions"]] == [1, 2]
    assert "needs 2 workers; there is 1" in said["advice"]["en"]
    assert "需要 2 个工作进程；现有 1 个" in said["advice"]["zh"]
    # What happens now adds to it, and is there after the next restart.
    server.client.post("/tts", json={"text": "One more.", "emotion": "neutral"})
    assert server.stop() == 0
    again = serve("--model", "tone", "--workers", "1", data=busy_day)
    assert stats(again)["requests"]["day"] == 901
    shown = cli("stats", "--server", again.base)
    assert "tone, waiting" in shown
    assert "needs 2 workers" in " ".join(shown.split())
    assert json.loads(cli("stats", "--server", again.base, "--json"))["requests"]["day"] == 901


def cli(*args: str) -> str:
    done = command(*args)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_fresh_server_says_that_it_knows_too_little(tone: Server) -> None:
    said = stats(tone)["advice"]
    assert "not enough data" in said["en"]
    assert "数据还不够" in said["zh"]
    assert said["models"][0]["workers_needed"] is None
    document = tone.client.get("/openapi.json").json()["components"]["schemas"]
    assert set(stats(tone)) == set(document["Stats"]["properties"])
    assert set(said["models"][0]) == set(document["ModelAdvice"]["properties"])
    assert set(stats(tone)["models"]["tone"]) == set(document["ModelSection"]["properties"])


def test_a_start_tells_when_it_will_be_over_by_what_the_last_one_took(serve: Start, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    module = Path(plugins.__file__).parent / "slow_engines.py"
    env = plugins.installed(tmp_path / "site", module, {"gated": "Gated"}) | {GATE: str(gate)}
    gate.write_text("anna")
    first = serve("--model", "gated", env=env)
    first.stop()
    gate.unlink()
    again = serve("--model", "gated", data=first.data, env=env, ready=False)

    def eta() -> float | None:
        told: float | None = again.health()["models"][0]["eta"]
        return told

    wait_until(lambda: eta() is not None, "it tells")
    new = gate.with_suffix(".new")
    new.write_text("anna")
    new.rename(gate)
    again.wait_ready()
    assert eta() is None
