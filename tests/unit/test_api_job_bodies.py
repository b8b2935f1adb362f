"""Job bodies: every kind of this server has a model of its body."""

from __future__ import annotations

from pathlib import Path

from antiphon.api.job_bodies import BODIES
from antiphon.app.antiphon import Antiphon


def test_every_kind_has_a_body_model(tmp_path: Path) -> None:
    service = Antiphon(data_dir=tmp_path, model="tone", offline=True)
    try:
        assert BODIES.keys() == service.kinds.keys()
    finally:
        service.threads.close()


def test_a_body_names_its_own_kind() -> None:
    for kind, model in BODIES.items():
        assert model.model_json_schema()["properties"]["type"]["const"] == kind
