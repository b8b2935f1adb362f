"""The catalog: which models there are, and where their files come from."""
