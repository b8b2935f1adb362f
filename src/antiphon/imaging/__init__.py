"""Imaging: a prompt becomes a plan, its units become image files."""
