"""Tests of the duty rules, the clocks and the incident channel."""

from importlib.resources import files
from pathlib import Path

RULES_FOLDER = Path(str(files("tasks.notify").joinpath("rules")))
