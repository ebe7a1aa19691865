"""SynWoodScape: simulated surround-view fisheye images (Sekkat et al. 2022, arXiv 2203.05056).

The layout is WoodScape's (`data_prep.readers.woodscape`), with

* ``semantic_annotations/gtLabels/00001_FV.png``: 8-bit grey, ids 0..24;
* ``depth_maps/raw_data/00001_FV.npy``: metres along the ray, 1000 is the sky.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from jaxtyping import Float32

from data_prep.classes import SYNWOODSCAPE_CLASSES, ClassList
from data_prep.readers.depth import decode_npy, refuse_no_depth
from data_prep.readers.woodscape import WoodScapeReader
from healswin.data.depth_files import DepthFiles

# What the simulator writes where its ray met nothing.
SKY_DEPTH = 1000.0


class SynWoodScapeReader(WoodScapeReader):
    """Reads SynWoodScape's folder layout.

    Args:
        root: The folder that holds ``rgb_images`` and its neighbours.

    Raises:
        ValueError: If the folder does not exist or may not be read.
    """

    tasks: ClassVar[tuple[str, ...]] = ("semantic", "depth")
    classes: ClassVar[dict[str, ClassList]] = SYNWOODSCAPE_CLASSES
    default_classes: ClassVar[str | None] = "large-ad"
    depth_files: ClassVar[DepthFiles | None] = DepthFiles({".npy": 1.0}, sky_from=SKY_DEPTH)
    places: ClassVar[dict[str, tuple[str, str]]] = {
        **WoodScapeReader.places,
        "depth": ("depth_maps/raw_data", ".npy"),
    }

    def depth(self, data: bytes, file: str) -> Float32[np.ndarray, "height width"]:
        """See `data_prep.readers.base.Reader`."""
        stored = decode_npy(data, file)
        refuse_no_depth(stored, file, f"{SKY_DEPTH:g} where nothing is met")
        return self.depth_files.metres(stored, file)
