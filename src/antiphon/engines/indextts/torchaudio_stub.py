"""torchaudio stub: replaces its compiled part, which needs CUDA and fails to load beside a CPU build of torch."""

from __future__ import annotations

import importlib.util
import sys
import types

_NAME = "torchaudio._extension"


def install() -> None:
    """Call it before anything imports torchaudio; transformers does, where it is installed. Does nothing beside CUDA.

    The engines do not use the compiled part: resampling and filter banks are written in torch.
    """
    import torch

    if torch.version.cuda or _NAME in sys.modules or importlib.util.find_spec("torchaudio") is None:
        return
    stub = types.ModuleType(_NAME)
    vars(stub).update(
        _IS_TORCHAUDIO_EXT_AVAILABLE=False,
        _IS_ALIGN_AVAILABLE=False,
        fail_if_no_align=lambda function: function,
        _check_cuda_version=lambda: None,
        __path__=[],
    )
    sys.modules[_NAME] = stub
