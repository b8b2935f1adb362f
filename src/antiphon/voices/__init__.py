"""Recordings to clone from: read in a child process with limits, and kept under their digests."""
