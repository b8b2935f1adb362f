"""Engines of heavy libraries, on small models that the tests build; `make test-diffusion`."""
