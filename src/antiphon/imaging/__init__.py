"""Imaging: plans a prompt as one unit for each image, and encodes the images.

Entry points: `kind.kind` for jobs, `kind.whole` and `kind.finished` for waiting requests, `image_codec.convert`."""

#: The modules that other rooms use; the rest is this room's own.
__all__ = ["kind"]
