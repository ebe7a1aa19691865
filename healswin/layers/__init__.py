"""The parts of the transformer: patches, windowed attention, blocks, stages.

Tokens are (batch, pixels, channels), pixels in NESTED order, so that patches, children and windows
are reshapes of the pixel axis.
"""

from healswin.layers.attention import WindowAttention, relative_position_index
from healswin.layers.block import Block, BlockSettings, Stage
from healswin.layers.patches import PatchEmbed, PatchExpand, PatchMerge

__all__ = [
    "Block",
    "BlockSettings",
    "PatchEmbed",
    "PatchExpand",
    "PatchMerge",
    "Stage",
    "WindowAttention",
    "relative_position_index",
]
