"""Measures the product's speed against its promises. Each number is a ratio inside one interleaved run."""
