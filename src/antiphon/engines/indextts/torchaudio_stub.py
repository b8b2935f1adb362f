"""torchaudio without its compiled part, which is linked to CUDA and does not load on a torch without it."""

from __future__ import annotations

import importlib.util
import sys
import types

_NAME = "torchaudio._extension"


def do_without() -> None:
    """To be called before anything imports torchaudio; transformers does, where it is installed.

    Nothing of the compiled part is used here: resampling and filter banks are written in torch."""
    import torch

    if torch.version.cuda or _NAME in sys.modules or importlib.util.find_spec("torchaudio") is None:
        return
    stand_in = types.ModuleType(_NAME)
    vars(stand_in).update(
        _IS_TORCHAUDIO_EXT_AVAILABLE=False,
        _IS_ALIGN_AVAILABLE=False,
        fail_if_no_align=lambda function: function,
        _check_cuda_version=lambda: None,
        __path__=[],
    )
    sys.modules[_NAME] = stand_in
