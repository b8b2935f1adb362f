"""Options from flags, environment and file, each in its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from antiphon.cli import serve
from antiphon.domain import errors
from antiphon.settings import Settings, load, values


def test_flags_beat_environment_beats_file_beats_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "antiphon.toml"
    file.write_text("port = 1\nageing = 11.0\nlog_text = 5\n")
    monkeypatch.setenv("ANTIPHON_PORT", "2")
    monkeypatch.setenv("ANTIPHON_AGEING", "22")
    settings = load(file, {"port": "3"})
    assert (settings.port, settings.ageing, settings.log_text, settings.workers) == (3, 22.0, 5, "auto")


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        ({"port": "70000"}, "--port (ANTIPHON_PORT)"),
        ({"workers": "many"}, "--workers"),
        ({"ageing": "-1"}, "--ageing"),
        ({"log_format": "xml"}, "--log-format"),
    ],
)
def test_a_bad_value_names_the_option_and_the_value(flags: dict[str, str], says: str) -> None:
    with pytest.raises(errors.InvalidRequest, match=r"got '") as caught:
        load(flags=flags)
    assert says in caught.value.message


def test_an_unknown_name_in_the_file_is_an_error(tmp_path: Path) -> None:
    file = tmp_path / "antiphon.toml"
    file.write_text("prot = 1\n")
    with pytest.raises(errors.InvalidRequest, match="no option prot"):
        load(file)
    file.write_text("port = ")
    with pytest.raises(errors.InvalidRequest, match="not valid TOML"):
        load(file)
    with pytest.raises(errors.InvalidRequest, match="cannot read"):
        load(tmp_path / "nothing.toml")


def test_every_option_is_a_flag_with_help() -> None:
    text = serve.make_parser().format_help()
    for name, field in Settings.model_fields.items():
        assert "--" + name.replace("_", "-") in text
        assert field.description


def test_flags_of_serve(tmp_path: Path) -> None:
    settings = serve.parse(
        ["--model", "tone", "--model", "espeak", "--workers", "2", "--no-download", "--data-dir", str(tmp_path)]
    )
    assert settings.model == ("tone", "espeak")
    assert settings.workers == 2
    assert settings.download is False
    assert settings.models_path == tmp_path / "cache_hub" / "models"


@pytest.mark.parametrize(
    ("host", "open_door"), [("127.0.0.1", False), ("localhost", False), ("::1", False), ("0.0.0.0", True)]
)
def test_an_address_that_others_reach_needs_insecure(host: str, open_door: bool) -> None:
    settings = load(flags={"host": host})
    if open_door:
        with pytest.raises(errors.InvalidRequest, match="--insecure"):
            serve.refuse_public_without_keys(settings)
        serve.refuse_public_without_keys(load(flags={"host": host, "insecure": True}))
    else:
        serve.refuse_public_without_keys(settings)


def test_a_port_in_use_is_said_with_another_one() -> None:
    taken = serve.listen("127.0.0.1", 0)
    port = taken.getsockname()[1]
    with pytest.raises(errors.InvalidRequest, match=f"try --port {port + 1}"):
        serve.listen("127.0.0.1", port)
    taken.close()


def test_options_of_models_keep_the_commas_of_their_values() -> None:
    made = load(
        flags={"model_option": 'far:arguments=["--a", "b,c"],far:command=/x/vllm,indextts-2.5:normalise=["en","zh"]'}
    )
    assert made.options_by_model() == {
        "far": {"arguments": ["--a", "b,c"], "command": "/x/vllm"},
        "indextts-2.5": {"normalise": ["en", "zh"]},
    }


def test_what_servers_share_is_told_by_addresses_without_credentials() -> None:
    good = {
        "objects": ["s3://bucket", "s3://bucket/a/b", "gs://b/x", "az://container", "file:///mnt/shared"],
        "objects_endpoint": ["http://storage:9000", "https://s3.example.org/"],
        "ray_address": ["head:6379", "10.0.0.1:6379"],
        "workers": ["auto", "3", "1-8"],
        "store": ["sqlite", "postgresql://u:p@db/antiphon"],
    }
    for name, texts in good.items():
        for text in texts:
            assert getattr(load(flags={name: text}), name) in (text, 3)
    bad = {
        "objects": ["s3://", "s3://key:secret@bucket", "s3://b?x=1", "file://relative", "/mnt", "http://b"],
        "objects_endpoint": ["storage:9000", "http://key:secret@storage", "http://storage/path"],
        "ray_address": ["ray://head:10001"],
        "workers": ["some", "0-3", "3-1", "1-", "1-2-3"],
        "store": ["mysql://u:secret@db/x"],
        "ray_gpus": ["a=b", "-1", "nan"],
    }
    for name, texts in bad.items():
        for text in texts:
            with pytest.raises(errors.InvalidRequest) as raised:
                load(flags={name: text})
            assert f"ANTIPHON_{name.upper()}" in raised.value.message
            assert "secret" not in raised.value.message


def test_the_span_of_workers_and_their_shares() -> None:
    settings = load(flags={"workers": "2-9", "ray_gpus": "0.5,indextts-2=1"})
    assert settings.workers_span == (2, 9)
    assert load(flags={"workers": "4"}).workers_span is None
    assert load().workers_span is None
    assert values.by_model(settings.ray_gpus) == {"*": 0.5, "indextts-2": 1.0}
