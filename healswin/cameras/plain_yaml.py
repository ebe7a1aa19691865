"""YAML as calibration files have it."""

from __future__ import annotations

import re

import yaml


class _Loader(yaml.SafeLoader):
    """YAML 1.1 of plain values, and OpenCV's matrices as mappings of rows, cols and data."""


# YAML 1.1 takes 1e-3 (no point) and -.5 (no digit before it) for text; in a calibration they are
# numbers. What it does take for a number comes first and stays.
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?$"),
    list("-+.0123456789"),
)
_Loader.add_constructor(
    "tag:yaml.org,2002:opencv-matrix",
    lambda loader, node: loader.construct_mapping(node, deep=True),
)


def read_yaml(text: str) -> object:
    """The content of a YAML file as plain values.

    Raises:
        yaml.YAMLError: If it is no YAML.
    """
    # OpenCV's first line, %YAML:1.0, is no directive of YAML.
    if text.startswith("%YAML:"):
        text = text.partition("\n")[2]
    return yaml.load(text, Loader=_Loader)
