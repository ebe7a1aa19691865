"""The parts of the transformer: stems, attention, blocks, stages, merging and expanding.

Tokens are (batch, pixels, channels), pixels in NESTED order, so that patches, children and windows
are reshapes of the pixel axis.
"""

from healswin.layers.attention import Attention
from healswin.layers.bias import FrameBias, RadialBias, TableBias, relative_position_index
from healswin.layers.block import Block, BlockSettings, Stage, StagePlaces, in_runs
from healswin.layers.gathers import WeightedSum
from healswin.layers.neighbourhoods import Neighbourhoods
from healswin.layers.patches import PatchEmbed, PatchExpand, PatchMerge
from healswin.layers.resampling import MeanExpand, MeanMerge, RingStem, blur, interpolation
from healswin.layers.rotation import MapRotation

__all__ = [
    "Attention",
    "Block",
    "BlockSettings",
    "FrameBias",
    "MapRotation",
    "MeanExpand",
    "MeanMerge",
    "Neighbourhoods",
    "PatchEmbed",
    "PatchExpand",
    "PatchMerge",
    "RadialBias",
    "RingStem",
    "Stage",
    "StagePlaces",
    "TableBias",
    "WeightedSum",
    "blur",
    "in_runs",
    "interpolation",
    "relative_position_index",
]
