"""Precision: what each stage of the batched runtime computes in, on a device."""

from __future__ import annotations

from antiphon.engines.indextts.options import SoundPrecision


def has_bf16(device: str) -> bool:
    """Whether a GPU computes in bfloat16 itself. torch would say so too of those that only pretend to, slowly."""
    try:
        import torch
    except ImportError:
        return False
    if not device.startswith("cuda") or not torch.cuda.is_available():
        return False
    return bool(torch.version.hip) or torch.cuda.get_device_properties(device).major >= 8


def sound(asked: SoundPrecision, codes: str, device: str) -> tuple[str, str]:
    """That of the flow and that of the vocoder, of what the operator asked for and what the codes are computed in.

    `auto` leaves the vocoder in float32: it gains least, and its error is heard as it is, while that of the flow is a
    small part of a mel.
    """
    if asked != "auto":
        return asked, asked
    halved = codes == "bfloat16" or (codes == "float16" and has_bf16(device))
    return "bfloat16" if halved else "float32", "float32"
