"""Voices of Piper that are made in a millisecond: a graph with the inputs of a real one, which hums."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

#: Samples of a phoneme at speed 1.
PHONEME = 400
#: Phonemes that the voices know, with the signs of a real table.
PHONEMES = "_^$ !'(),-.:;?abcdefhijklmnopqrstuvwxyzæçðøħŋœɐɑɒɔəɚɛɜɡɪɫɬɯɲɹɾʁʃʊʌʎʒʔˈˌːθᵻβ"
GERMAN: dict[str, Any] = {
    "language": {"code": "de_DE", "family": "de", "name_english": "German", "country_english": "Germany"},
    "espeak": {"voice": "de"},
}


def make(folder: Path, name: str = "en_US-hum-medium", **config: Any) -> Path:
    """Writes a voice into the folder and returns the path of its model. `config` goes over that of an English voice;
    `graph` is the operator that draws the noise."""
    folder.mkdir(parents=True, exist_ok=True)
    drawn = config.pop("graph", "RandomNormalLike")
    told = {
        "audio": {"sample_rate": 22050, "quality": "medium"},
        "espeak": {"voice": "en-us"},
        "inference": {"noise_scale": 0.667, "length_scale": 1, "noise_w": 0.8},
        "phoneme_type": "espeak",
        "num_symbols": 256,
        "num_speakers": 1,
        "speaker_id_map": {},
        "phoneme_id_map": {phoneme: [number] for number, phoneme in enumerate(PHONEMES)},
        "language": {"code": "en_US", "family": "en", "name_english": "English", "country_english": "United States"},
        **config,
    }
    path = folder / f"{name}.onnx"
    path.write_bytes(graph(told["num_speakers"] not in (0, 1), drawn))
    (folder / f"{name}.onnx.json").write_text(json.dumps(told), "utf-8")
    return path


def graph(speakers: bool, drawn: str = "RandomNormalLike") -> bytes:
    """The bytes of a graph: 0.3 of a sine whose pitch is that of the speaker, and noise."""
    import numpy as np
    from onnx import TensorProto, helper, numpy_helper

    def constant(name: str, value: Any) -> Any:
        return numpy_helper.from_array(np.array(value), name)

    node = helper.make_node
    noise = {
        "RandomNormalLike": node("RandomNormalLike", ["nothing"], ["noise"]),
        "RandomUniformLike": node("RandomUniformLike", ["nothing"], ["noise"]),
        # With another mean: not what the engine can replace.
        "shifted": node("RandomNormalLike", ["nothing"], ["noise"], mean=1.0),
    }[drawn]
    nodes = [
        node("Shape", ["input"], ["shape"]),
        node("Gather", ["shape", "one"], ["count"]),
        node("Cast", ["count"], ["phonemes"], to=TensorProto.FLOAT),
        node("Gather", ["scales", "one"], ["length"]),
        node("Gather", ["scales", "zero"], ["loud"]),
        node("Mul", ["phonemes", "length"], ["scaled"]),
        node("Mul", ["scaled", "phoneme"], ["samples"]),
        node("Cast", ["samples"], ["n"], to=TensorProto.INT64),
        node("Range", ["zero", "n", "one"], ["range"]),
        node("Cast", ["range"], ["time"], to=TensorProto.FLOAT),
        node("Mul", ["time", "pitch"], ["phase"]),
        node("Sin", ["phase"], ["wave"]),
        node("Mul", ["wave", "level"], ["hum"]),
        node("Shape", ["hum"], ["size"]),
        node("ConstantOfShape", ["size"], ["nothing"]),
        noise,
        node("Mul", ["noise", "loud"], ["louder"]),
        node("Mul", ["louder", "level"], ["hiss"]),
        node("Add", ["hum", "hiss"], ["all"]),
        node("Reshape", ["all", "flat"], ["output"]),
    ]
    inputs = [
        helper.make_tensor_value_info("input", TensorProto.INT64, [1, "phonemes_"]),
        helper.make_tensor_value_info("input_lengths", TensorProto.INT64, [1]),
        helper.make_tensor_value_info("scales", TensorProto.FLOAT, [3]),
    ]
    values = [
        constant("zero", np.int64(0)), constant("one", np.int64(1)), constant("phoneme", np.float32(PHONEME)),
        constant("level", np.float32(0.3)), constant("flat", np.array([1, 1, 1, -1], np.int64)),
    ]  # fmt: skip
    if speakers:
        inputs.append(helper.make_tensor_value_info("sid", TensorProto.INT64, [1]))
        values.append(constant("step", np.float32(0.05)))
        nodes[:0] = [
            node("Cast", ["sid"], ["speaker"], to=TensorProto.FLOAT),
            node("Add", ["speaker", "start"], ["above"]),
            node("Mul", ["above", "step"], ["pitch"]),
        ]
        values.append(constant("start", np.float32(1.0)))
    else:
        values.append(constant("pitch", np.float32(0.05)))
    output = helper.make_tensor_value_info("output", TensorProto.FLOAT, [1, 1, 1, "time_"])
    made = helper.make_graph(nodes, "hum", inputs, [output], values)
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 15)], ir_version=8)
    return bytes(model.SerializeToString())
