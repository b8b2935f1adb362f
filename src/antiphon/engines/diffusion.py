"""Diffusion: draws images with any text-to-image pipeline of diffusers that is a folder of safetensors.

A unit is one image; its result is a PNG file. The engine loads local files only, and runs no code that comes with them.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import inspect
import io
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from antiphon.domain import errors
from antiphon.domain.engine import Canvas, Capabilities, Chunk, Context, Phase

#: Raised when our own code makes the same prompt look different.
CODE = 1
INDEX = "model_index.json"
#: Libraries whose classes a pipeline may use. Any other name is a file of code beside the weights.
LIBRARIES = frozenset({"diffusers", "transformers"})
#: Bytes that drawing an image of 1024×1024 takes beside the weights, about.
WORKSPACE = 3 * 1024**3
#: The longest side in pixels, and as a multiple of the pipeline's own size: above it, bodies grow second heads.
SIDE, TIMES = 2048, 2
#: Steps of a pipeline that has no number of its own.
STEPS = 50


class Missing(FileNotFoundError):
    """The model's files are missing; `hint` says how to get them."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


class Stopped(Exception):
    """The unit was cancelled while the pipeline drew."""


class Diffusion:
    """Options: `dir` or `folder` (of the pipeline), or `repo` (a hub id with files in the hub's cache); `threads`."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        self._options = options
        self._threads = int(options.get("threads", 1))
        self._pipe: Any = None

    def load(self, phase: Phase) -> None:
        """Raises `Missing`, or `ValueError` for a pipeline that needs code of its own or draws no images."""
        self._folder = folder_of(self._options)
        index = read_index(self._folder)
        # A thread that spins while it waits takes the core from the thread that it waits for. On two busy cores a small
        # image took ten seconds with spinning, and 0.2 seconds without.
        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
        phase("importing torch and diffusers")
        import diffusers
        import torch
        import transformers

        for library in (diffusers, transformers):
            # In the log a progress bar is a hundred lines.
            library.utils.logging.disable_progress_bar()
        torch.set_num_threads(self._threads)
        self._gpu = torch.cuda.is_available()
        half = torch.bfloat16 if self._gpu and torch.cuda.is_bf16_supported() else torch.float16
        phase("reading weights")
        self._pipe = diffusers.DiffusionPipeline.from_pretrained(
            str(self._folder),
            local_files_only=True,
            use_safetensors=True,
            trust_remote_code=False,
            dtype=half if self._gpu else torch.float32,
            variant=variant_of(self._folder),
        )
        self._takes = frozenset(inspect.signature(self._pipe.__call__).parameters)
        if not {"prompt", "num_inference_steps"} <= self._takes:
            raise ValueError(f"{index['_class_name']} draws no images of a prompt")
        self._pipe.set_progress_bar_config(disable=True)
        if self._gpu:
            phase("moving weights to the GPU")
            self._place()
        self._canvas = canvas_of(self._pipe)
        self._revision = revision(self._folder)

    def _place(self) -> None:
        """Moves the pipeline to the GPU: whole, or in parts when they are needed, by how much memory is free."""
        import torch

        sizes = [
            sum(p.numel() * p.element_size() for p in part.parameters())
            for part in self._pipe.components.values()
            if isinstance(part, torch.nn.Module)
        ]
        match placing(torch.cuda.mem_get_info()[0], sizes):
            case "whole":
                self._pipe.to("cuda")
            case "parts":
                self._pipe.enable_model_cpu_offload()
            case _:
                self._pipe.enable_sequential_cpu_offload()

    def warm(self) -> None:
        side = self._canvas.least if not self._gpu else min(self._canvas.size)
        self._draw({"prompt": "warm", "width": side, "height": side, "steps": 2, "seed": 0}, None)

    def capabilities(self) -> Capabilities:
        options = ["steps"]
        options += ["guidance"] if "guidance_scale" in self._takes else []
        options += ["negative_prompt"] if "negative_prompt" in self._takes else []
        return Capabilities(
            kind="image",
            sample_rate=0,
            revision=self._revision,
            options=tuple(options),
            deterministic=not self._gpu,
            canvas=self._canvas,
            licence="see its model card",
        )

    def run(self, params: Mapping[str, Any], context: Context) -> Iterator[Chunk]:
        with contextlib.suppress(Stopped):
            png = self._draw(params, context)
            meta = {name: params[name] for name in ("width", "height", "seed")}
            yield Chunk(png, meta)

    def close(self) -> None:
        pass

    def _draw(self, params: Mapping[str, Any], context: Context | None) -> bytes:
        import torch

        steps = int(params.get("steps") or self._canvas.steps)
        if steps < 1 or not self._fits(int(params["width"]), int(params["height"])):
            raise errors.UnitFailed(f"This model cannot draw {params['width']}x{params['height']} in {steps} steps")

        def after_step(pipe: Any, step: int, _: Any, tensors: dict[str, Any]) -> dict[str, Any]:
            if context is not None:
                if context.cancelled():
                    raise Stopped
                context.progress((step + 1) / steps)
            return tensors

        asked: dict[str, Any] = {
            "prompt": params["prompt"],
            "width": int(params["width"]),
            "height": int(params["height"]),
            "num_inference_steps": steps,
            # The CPU draws the noise, so that it is the same on every device.
            "generator": torch.Generator("cpu").manual_seed(int(params["seed"])),
        }
        if params.get("guidance") is not None:
            asked["guidance_scale"] = float(params["guidance"])
        if params.get("negative_prompt"):
            asked["negative_prompt"] = params["negative_prompt"]
        if "callback_on_step_end" in self._takes:
            asked["callback_on_step_end"] = after_step
        try:
            with torch.inference_mode():
                made = self._pipe(**{name: value for name, value in asked.items() if name in self._takes})
        except torch.OutOfMemoryError as e:
            # Unlike after other errors of CUDA, the worker can go on.
            torch.cuda.empty_cache()
            raise errors.UnitFailed("The image does not fit into the GPU's memory; ask for a smaller size") from e
        finally:
            if self._gpu:
                self._pipe.maybe_free_model_hooks()
        return _png(made)

    def _fits(self, *sides: int) -> bool:
        canvas = self._canvas
        return all(canvas.least <= side <= canvas.most and side % canvas.multiple == 0 for side in sides)


def _png(made: Any) -> bytes:
    if any(getattr(made, "nsfw_content_detected", None) or ()):
        # The pipeline then returns a black image, which would look like a fault.
        raise errors.UnitFailed("The model's own safety checker refused the image; change the prompt or the seed")
    out = io.BytesIO()
    made.images[0].save(out, "PNG")
    return out.getvalue()


def folder_of(options: Mapping[str, Any]) -> Path:
    """The folder of the pipeline. Raises `Missing`."""
    repo = options.get("repo")
    if repo is None:
        folder = Path(options.get("folder") or options["dir"])
        if not (folder / INDEX).is_file():
            raise Missing(f"{folder / INDEX} is missing", f"copy a diffusers pipeline into {folder}")
        return folder
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        return Path(snapshot_download(repo, local_files_only=True))
    except LocalEntryNotFoundError:
        raise Missing(f"{repo} is not in the hub's cache on this machine", f"hf download {repo}") from None


def read_index(folder: Path) -> dict[str, Any]:
    """The pipeline's index. Raises `ValueError` if a part of the pipeline is code that came with the weights."""
    index = json.loads((folder / INDEX).read_text("utf-8"))
    parts = {name: part for name, part in index.items() if not name.startswith("_") and isinstance(part, list)}
    foreign = [name for name, part in parts.items() if part[0] is not None and part[0] not in LIBRARIES]
    # A list in place of the name means a class from a file in the folder.
    if not isinstance(index.get("_class_name"), str) or foreign:
        raise ValueError(
            f"{folder.name} brings code of its own ({', '.join(foreign) or 'its pipeline'}); none is run here"
        )
    return dict(index)


def variant_of(folder: Path) -> str | None:
    """`fp16` if the folder has the weights in no other precision."""
    files = [file.name for file in folder.glob("*/*.safetensors")]
    return "fp16" if files and all(".fp16" in name for name in files) else None


def placing(free: int, sizes: list[int]) -> str:
    """`whole`, `parts` (one component at a time) or `layers` (one layer at a time), by the bytes free on the GPU."""
    if sum(sizes) + WORKSPACE <= free:
        return "whole"
    return "parts" if max(sizes, default=0) + WORKSPACE <= free else "layers"


def canvas_of(pipe: Any) -> Canvas:
    """Sizes by what the pipeline was trained on, and its own number of steps."""
    scale = int(getattr(pipe, "vae_scale_factor", 8))
    core = getattr(pipe, "unet", None) or getattr(pipe, "transformer", None)
    sample = getattr(pipe, "default_sample_size", None) or getattr(getattr(core, "config", None), "sample_size", None)
    # Transformers divide the latents into patches of two.
    multiple = max(8, scale) * (1 if getattr(pipe, "unet", None) is not None else 2)
    own = sample * scale if isinstance(sample, int) else 512
    own = max(multiple, own // multiple * multiple)
    least = min(own, max(multiple, 64 // multiple * multiple))
    steps = inspect.signature(pipe.__call__).parameters["num_inference_steps"].default
    most = max(own, min(SIDE, TIMES * own) // multiple * multiple)
    return Canvas((own, own), least, most, multiple, steps if isinstance(steps, int) and steps > 0 else STEPS)


def revision(folder: Path) -> str:
    """Changes with the small files, and with the names and sizes of the weights."""
    digest = hashlib.sha256()
    for file in sorted(folder.rglob("*")):
        if file.suffix == ".json":
            digest.update(file.read_bytes())
        elif file.suffix == ".safetensors":
            digest.update(f"{file.relative_to(folder)} {file.stat().st_size}".encode())
    return f"{CODE}-{importlib.metadata.version('diffusers')}-{digest.hexdigest()[:12]}"
