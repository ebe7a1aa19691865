"""The arguments: what fits the others by default, and what cannot be."""

import pytest

from data_prep.mnist.conversion import MnistConversion
from healswin.grid import EquiangularGrid, HealpixGrid


@pytest.mark.parametrize(
    ("arguments", "grid"),
    [
        ({}, HealpixGrid(32)),
        ({"nside": 8, "base_pixels": (0, 9)}, HealpixGrid(8, (0, 9))),
        ({"grid": "soft"}, EquiangularGrid(30)),
        ({"grid": "driscoll-healy", "bandwidth": 7}, EquiangularGrid(7, "driscoll-healy")),
        ({"published": True}, EquiangularGrid(30, "driscoll-healy")),
    ],
)
def test_grids(arguments, grid):
    assert MnistConversion("digits", **arguments).pixels() == grid


def test_what_fits_the_items():
    assert MnistConversion("digits").tasks == ("label", "semantic")
    assert MnistConversion("digits", items=2).tasks == ("semantic",)
    assert MnistConversion("digits", items=2).canvas == 60
    assert MnistConversion("digits").canvas is None
    assert MnistConversion("digits", tasks=("semantic", "label")).tasks == ("label", "semantic")


def test_arguments_name_everything_but_the_place_of_the_source():
    values = MnistConversion("/somewhere").arguments()
    assert values["command"] == "mnist"
    assert "source" not in values
    assert values["base_pixels"] == list(range(12))
    assert {"items", "rotated", "rotation_block", "threshold", "seed", "published"} <= set(values)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"grid": "icosahedral"}, "grid='icosahedral' must be one of"),
        ({"grid": "soft", "published": True}, "grid='soft': the published sets"),
        ({"bandwidth": 30}, "bandwidth=30: a HEALPix grid has an nside instead"),
        ({"grid": "soft", "nside": 16}, "nside=16, .* has a bandwidth instead"),
        ({"grid": "soft", "base_pixels": (1,)}, r"base_pixels=\(1,\): the grid 'soft'"),
        ({"nside": 12}, "nside=12"),
        ({"nside": 0}, "nside=0 must be 1 to 1024"),
        ({"nside": 2048}, "nside=2048 must be 1 to 1024"),
        ({"grid": "soft", "bandwidth": 0}, "bandwidth=0 must be 1 to 1024"),
        ({"base_pixels": ()}, "base_pixels"),
        ({"items": 0}, "items=0 must be 1 to 4"),
        ({"items": 5}, "items=5 must be 1 to 4"),
        ({"canvas": 0}, "canvas=0 must be"),
        ({"canvas": 10_000}, "canvas=10000 must be"),
        ({"rotated": "yes"}, "rotated='yes' must be one of"),
        ({"rotation_block": 0}, "rotation_block=0"),
        ({"threshold": -1}, "threshold=-1 must be a grey level, 0 to 255"),
        ({"threshold": 256}, "threshold=256 must be a grey level"),
        ({"seed": -1}, "seed=-1"),
        ({"tasks": ()}, "tasks='' must be"),
        ({"tasks": ("depth",)}, "tasks='depth' must be"),
        ({"tasks": ("label", "label")}, "tasks='label,label' must be"),
        ({"items": 2, "tasks": ("label",)}, "a canvas with 2 items has no one label"),
    ],
)
def test_what_cannot_be(arguments, message):
    with pytest.raises(ValueError, match=message):
        MnistConversion("digits", **arguments)
