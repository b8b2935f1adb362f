"""Kokoro: what its rewritten graph, its threads and its early sound gain, and what they cost in quality."""
