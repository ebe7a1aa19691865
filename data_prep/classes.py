"""Class lists: what the label ids of a source become, with names and colours.

The two short lists of SynWoodScape and their loss weights are those of HEAL-SWIN (Carlsson et al.,
CVPR 2024, arXiv 2307.07313), where class 0, "void", takes up every id that has no class of its own.
The map of "large-ad" is inferred from that paper's order of classes. The colours are our own.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import UInt8

Colour = tuple[int, int, int]

_SYNWOODSCAPE: tuple[tuple[str, Colour], ...] = (
    ("unlabeled", (38, 38, 44)),
    ("building", (176, 142, 112)),
    ("fence", (150, 106, 70)),
    ("other", (92, 92, 98)),
    ("pedestrian", (226, 52, 76)),
    ("pole", (188, 188, 168)),
    ("road line", (250, 246, 224)),
    ("road", (108, 92, 128)),
    ("sidewalk", (214, 150, 192)),
    ("vegetation", (86, 146, 66)),
    ("four-wheeler vehicle", (36, 84, 196)),
    ("wall", (132, 122, 116)),
    ("traffic sign", (250, 196, 30)),
    ("sky", (136, 192, 236)),
    ("ground", (120, 84, 84)),
    ("bridge", (140, 112, 150)),
    ("rail track", (200, 160, 150)),
    ("guard rail", (160, 176, 190)),
    ("traffic light", (255, 122, 40)),
    ("static", (120, 140, 120)),
    ("dynamic", (146, 60, 180)),
    ("water", (40, 130, 170)),
    ("terrain", (170, 196, 110)),
    ("two-wheeler vehicle", (22, 170, 146)),
    ("ego-vehicle", (66, 70, 100)),
)


@dataclass(frozen=True)
class ClassList:
    """The classes of a prepared set, made from the ids of a source.

    Args:
        names: Name of each class.
        colours: RGB colour (0..255) of each class.
        class_of_id: The class of each source id 0, 1, ...
        published_weights: Weight of each class in the loss as published, None if there is none.

    Raises:
        ValueError: If the lengths do not fit or a class has no id.
    """

    names: tuple[str, ...]
    colours: tuple[Colour, ...]
    class_of_id: tuple[int, ...]
    published_weights: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        count = len(self.names)
        if len(self.colours) != count or len(self.published_weights or self.names) != count:
            raise ValueError(f"{count} class names need as many colours and weights")
        if set(self.class_of_id) != set(range(count)):
            raise ValueError(
                f"class_of_id={self.class_of_id} must reach every class 0..{count - 1}"
            )

    def classes_of(
        self, ids: UInt8[np.ndarray, "height width"], file: str
    ) -> UInt8[np.ndarray, "height width"]:
        """The class of each pixel of a label image.

        Args:
            ids: The source ids.
            file: Name of the label file, for the message.

        Raises:
            ValueError: If the image holds ids that the source's class list does not know.
        """
        known = len(self.class_of_id)
        if ids.max() >= known:
            found = ", ".join(str(i) for i in np.unique(ids) if i >= known)
            raise ValueError(
                f"{file} holds the unknown class ids {found}; the ids are 0 to {known - 1}"
            )
        table = np.zeros(256, dtype=np.uint8)
        table[:known] = self.class_of_id
        return cv2.LUT(ids, table)


def _short_list(
    classes: dict[str, str], class_of_id: tuple[int, ...], weights: tuple[float, ...]
) -> ClassList:
    """A short list whose classes are coloured like the SynWoodScape class named beside them."""
    colours = dict(_SYNWOODSCAPE)
    return ClassList(
        names=tuple(classes),
        colours=tuple(colours[original] for original in classes.values()),
        class_of_id=class_of_id,
        published_weights=weights,
    )


SYNWOODSCAPE_CLASSES: dict[str, ClassList] = {
    "all": ClassList(
        names=tuple(name for name, _ in _SYNWOODSCAPE),
        colours=tuple(colour for _, colour in _SYNWOODSCAPE),
        class_of_id=tuple(range(25)),
    ),
    "large": _short_list(
        {
            "void": "unlabeled",
            "building": "building",
            "road line": "road line",
            "road": "road",
            "sidewalk": "sidewalk",
            "four-wheeler vehicle": "four-wheeler vehicle",
            "sky": "sky",
            "ego-vehicle": "ego-vehicle",
        },
        class_of_id=(
            *(0, 1, 0, 0, 0, 0, 2, 3, 4, 0, 5, 0, 0),
            *(6, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7),
        ),
        weights=(
            *(0.62990112, 0.5111932, 0.88803174, 0.39921158),
            *(0.75032628, 0.88420746, 0.67315916, 0.43332322),
        ),
    ),
    "large-ad": _short_list(
        {
            "void": "unlabeled",
            "building": "building",
            "pedestrian": "pedestrian",
            "road line": "road line",
            "road": "road",
            "sidewalk": "sidewalk",
            "four-wheeler vehicle": "four-wheeler vehicle",
            "traffic sign": "traffic sign",
            "sky": "sky",
            "traffic light": "traffic light",
            "two-wheeler vehicle": "two-wheeler vehicle",
            "ego-vehicle": "ego-vehicle",
        },
        class_of_id=(
            *(0, 1, 0, 0, 2, 0, 3, 4, 5, 0, 6, 0, 7),
            *(8, 0, 0, 0, 0, 9, 0, 0, 0, 0, 10, 11),
        ),
        weights=(
            *(0.64988532, 0.5111932, 1.18160048, 0.88803174, 0.39921158, 0.75032628),
            *(0.88420746, 1.91088558, 0.67315916, 2.34623503, 1.67844596, 0.43332322),
        ),
    ),
}
