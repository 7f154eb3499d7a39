"""Bursar: the command line and the demo, where engine, jobs and dashboard come together."""

from importlib.metadata import version

__version__ = version("bursar")
