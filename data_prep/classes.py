"""Class lists: what the label ids of a source become, with names and colours.

The two short lists of SynWoodScape, their loss weights and those of WoodScape are those of
HEAL-SWIN (Carlsson et al., CVPR 2024, arXiv 2307.07313), where class 0, "void", takes up every id
that has no class of its own in a short list. The map of "large-ad" is inferred from that paper's
order of classes. The colours are our own. Other lists are YAML files (`read_class_list`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import yaml
from jaxtyping import UInt8

from healswin.data.sources import MAX_CLASSES, UNKNOWN_ID, classes_of_ids
from healswin.data.store import IGNORE_INDEX

if TYPE_CHECKING:
    from data_prep.readers.base import Reader

# What a file that lists classes is called; other names are those of a reader's lists.
CLASS_FILE_SUFFIXES = (".yaml", ".yml")

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

# The names of the ids 0..9 in WoodScape's semantic annotations.
_WOODSCAPE: tuple[tuple[str, Colour], ...] = (
    ("void", (38, 38, 44)),
    ("road", (108, 92, 128)),
    ("lanemarks", (250, 246, 224)),
    ("curb", (214, 150, 192)),
    ("person", (226, 52, 76)),
    ("rider", (255, 122, 40)),
    ("vehicles", (36, 84, 196)),
    ("bicycle", (22, 170, 146)),
    ("motorcycle", (146, 60, 180)),
    ("traffic_sign", (250, 196, 30)),
)


@dataclass(frozen=True)
class ClassList:
    """The classes of a prepared set, made from the ids of a source.

    Args:
        names: Name of each class.
        colours: RGB colour (0..255) of each class.
        class_of_id: The class of each source id 0, 1, ...; 255 is ignored, -1 is not known and
            refused. The id 255 is ignored if the list does not reach it.
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
        if not 1 <= count <= MAX_CLASSES:
            raise ValueError(f"{count} classes: there must be 1 to {MAX_CLASSES}")
        if set(self.class_of_id) - {IGNORE_INDEX, UNKNOWN_ID} != set(range(count)):
            raise ValueError(
                f"class_of_id={self.class_of_id} must reach every class 0..{count - 1}"
            )
        if len(self.class_of_id) > 256:
            raise ValueError(f"class_of_id has {len(self.class_of_id)} entries, ids are 0 to 255")

    def classes_of(
        self, ids: UInt8[np.ndarray, "height width"], file: str
    ) -> UInt8[np.ndarray, "height width"]:
        """The class of each pixel of a label image, 255 where it is ignored.

        Args:
            ids: The source ids.
            file: Name of the label file, for the message.

        Raises:
            ValueError: If the image holds ids that the source's class list does not know.
        """
        return classes_of_ids(ids, self.class_of_id, file)


def read_class_list(path: Path) -> ClassList:
    """Read a class list from a YAML file.

    It holds ``classes``, and ``ignored`` if some ids are to be left out of loss and scores (255
    always is, unless a class has it). A class has a name, the ids that become it, and, if wanted,
    a colour and a weight in the loss::

        classes:
          - {name: void, ids: [0, 1, 4], colour: [30, 30, 30]}
          - {name: road, ids: [2, 3], colour: [128, 64, 128], weight: 0.4}
        ignored: [5]

    Where there are no ids, each class has its place in the list, from 0; then a plain list of names
    will do: ``classes: [void, road]``. Classes without a colour get one that differs from all
    others. An id that is not listed is an error when a label image holds it.

    Args:
        path: The file.

    Raises:
        ValueError: If the file is missing or wrong; the message names it.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ValueError(f"the class list {path} is missing") from None
    except PermissionError:
        raise ValueError(f"the class list {path} may not be read: no permission") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"the class list {path} is no valid YAML: {error}") from None
    try:
        return _class_list(content)
    except ValueError as error:
        raise ValueError(f"the class list {path} cannot be used: {error}") from None


def find_class_list(reader: Reader, name: str | None) -> ClassList:
    """The class list that is wanted for a source.

    Args:
        reader: The source's reader.
        name: One of `reader.classes`, or the path of a YAML file (`read_class_list`). None: the
            reader's usual one, or ``classes.yaml`` in the source.

    Raises:
        ValueError: If there is no such list, or its file is wrong.
    """
    name = reader.default_classes if name is None else name
    if name in reader.classes:
        return reader.classes[name]
    if name is not None:
        if not name.lower().endswith(CLASS_FILE_SUFFIXES):
            known = f"one of {sorted(reader.classes)} or " if reader.classes else ""
            raise ValueError(f"classes={name!r} must be {known}a .yaml file that lists classes")
        return read_class_list(Path(name).expanduser())
    path = reader.root / "classes.yaml"
    if not path.exists():
        raise ValueError(
            f"{path} is missing: it says which ids the labels have; name another one as classes"
        )
    return read_class_list(path)


def distinct_colours(count: int, taken: Sequence[Colour] = ()) -> list[Colour]:
    """Colours that differ as much as possible from each other and from some others.

    Each is, of a fixed set, the farthest from all before it, by the distance in CIE L*a*b*.
    """
    levels = np.linspace(0.1, 0.9, 9, dtype=np.float32)
    candidates = np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(1, -1, 3)
    rgb = np.rint(255 * candidates[0]).astype(int)
    lab = cv2.cvtColor(candidates, cv2.COLOR_RGB2Lab)[0]
    # Nearly the colour in which pixels without a class are drawn.
    others = np.array([(215, 215, 220), *taken], dtype=np.float32)[None] / 255
    others = cv2.cvtColor(others, cv2.COLOR_RGB2Lab)[0]
    distance = np.linalg.norm(lab[:, None] - others, axis=-1).min(axis=1)
    colours: list[Colour] = []
    for _ in range(count):
        farthest = int(distance.argmax())
        red, green, blue = rgb[farthest].tolist()
        colours.append((red, green, blue))
        distance = np.minimum(distance, np.linalg.norm(lab - lab[farthest], axis=-1))
    return colours


def _class_list(content: object) -> ClassList:
    """The class list that the content of a YAML file describes."""
    content = {"classes": content} if isinstance(content, list) else content
    entries = content.get("classes") if isinstance(content, dict) else None
    if not isinstance(entries, list) or not entries:
        raise ValueError("a list 'classes' is needed")
    _refuse_strange(content, {"classes", "ignored"}, "the file")
    entries = [{"name": e} if isinstance(e, str) else e for e in entries]
    for place, entry in enumerate(entries):
        if not isinstance(entry, dict) or not isinstance(entry.get("name"), str):
            raise ValueError(f"class {place} must be a name, or have one: {entry!r}")
        _refuse_strange(entry, {"name", "ids", "colour", "weight"}, f"class {entry['name']!r}")
    names = [entry["name"] for entry in entries]
    doubled = [name for name in names if names.count(name) > 1]
    if doubled:
        raise ValueError(f"the class name {doubled[0]!r} is doubled")
    return ClassList(
        names=tuple(names),
        colours=_colours(entries),
        class_of_id=_class_of_id(entries, content.get("ignored", [])),
        published_weights=_weights(entries),
    )


def _refuse_strange(entry: dict, known: set[str], what: str) -> None:
    strange = [key for key in entry if key not in known]
    if strange:
        raise ValueError(f"{what} has the entry {strange[0]!r}, known are {sorted(known)}")


def _class_of_id(entries: list[dict], ignored: object) -> tuple[int, ...]:
    with_ids = ["ids" in entry for entry in entries]
    if any(with_ids) != all(with_ids):
        name = entries[with_ids.index(False)]["name"]
        raise ValueError(f"class {name!r} has no 'ids', but others have")
    listed = [(e["name"], c, e.get("ids", [c])) for c, e in enumerate(entries)]
    table: dict[int, int] = {}
    for name, class_, ids in [*listed, ("ignored", IGNORE_INDEX, ignored)]:
        if not isinstance(ids, list) or not (ids or class_ == IGNORE_INDEX):
            raise ValueError(f"the ids of {name!r} are {ids!r}, a list of numbers is needed")
        for id_ in ids:
            if type(id_) is not int or not 0 <= id_ <= 255:
                raise ValueError(f"{name!r} has the id {id_!r}, ids are whole numbers 0 to 255")
            if id_ in table:
                raise ValueError(f"the id {id_} is listed twice")
            table[id_] = class_
    return tuple(table.get(id_, UNKNOWN_ID) for id_ in range(max(table) + 1))


def _colours(entries: list[dict]) -> tuple[Colour, ...]:
    for entry in entries:
        colour = entry.get("colour", [0, 0, 0])
        if (
            not isinstance(colour, list)
            or len(colour) != 3
            or not all(type(value) is int and 0 <= value <= 255 for value in colour)
        ):
            raise ValueError(
                f"the colour of {entry['name']!r} is {colour!r}, three numbers 0 to 255 are needed"
            )
    stated = [tuple(entry["colour"]) for entry in entries if "colour" in entry]
    missing = iter(distinct_colours(len(entries) - len(stated), stated))
    return tuple(tuple(e["colour"]) if "colour" in e else next(missing) for e in entries)


def _weights(entries: list[dict]) -> tuple[float, ...] | None:
    weights = [entry.get("weight") for entry in entries]
    if all(weight is None for weight in weights):
        return None
    for entry, weight in zip(entries, weights, strict=True):
        if not isinstance(weight, int | float) or not 0 <= weight < float("inf"):
            raise ValueError(
                f"the weight of {entry['name']!r} is {weight!r}, a number from 0 on is needed for "
                "every class or none"
            )
    return tuple(float(weight) for weight in weights)


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


WOODSCAPE_CLASSES: dict[str, ClassList] = {
    "all": ClassList(
        names=tuple(name for name, _ in _WOODSCAPE),
        colours=tuple(colour for _, colour in _WOODSCAPE),
        class_of_id=tuple(range(10)),
        published_weights=(
            *(0.34876218, 0.44370147, 0.89928661, 1.1544441, 1.3193849),
            *(1.7061983, 0.73121492, 1.2444171, 1.6885881, 2.364354),
        ),
    ),
}

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
