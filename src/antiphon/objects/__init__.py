"""Object storage that several servers share: S3 and what speaks its language, other clouds', or a common folder."""

from antiphon.objects.bucket import Bucket, Found

__all__ = ["Bucket", "Found"]
