"""What the depth files of a data set hold.

A reader of data sets states it, the conversion decodes by it and stores it in the prepared set
(attribute ``depth_source``), so that the files can be read again without the reader.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

import numpy as np
from jaxtyping import Float32, Shaped


@dataclass(frozen=True)
class DepthFiles:
    """How the numbers in depth files become metres along the ray.

    Args:
        metres_per_unit: Metres that 1 in a file stands for, by the suffix of its name (".npy").
        sky_from: Metres from which on a pixel is sky. None: only what is infinite in the file.
        unknown: The number in a file that stands for no known depth. None: there is none.
    """

    metres_per_unit: Mapping[str, float]
    sky_from: float | None = None
    unknown: float | None = None

    def metres(
        self, stored: Shaped[np.ndarray, "height width"], file: str
    ) -> Float32[np.ndarray, "height width"]:
        """The depth that the numbers of a file stand for: +inf sky, NaN unknown.

        Args:
            stored: What the file holds, integers or floats.
            file: Its name.

        Raises:
            ValueError: If files with such a name hold no depth.
        """
        suffix = PurePath(file).suffix.lower()
        if suffix not in self.metres_per_unit:
            raise ValueError(f"{file} must end in {' or '.join(self.metres_per_unit)}")
        depth = stored.astype(np.float32) * np.float32(self.metres_per_unit[suffix])
        if self.sky_from is not None:
            depth[depth >= np.float32(self.sky_from)] = np.inf
        if self.unknown is not None:
            depth[stored == self.unknown] = np.nan
        return depth

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON values."""
        return {
            "metres_per_unit": dict(self.metres_per_unit),
            "sky_from": self.sky_from,
            "unknown": self.unknown,
        }
