"""Engines that fail, each named after its failure; `broken:Class` in this package is what a pool is given."""
