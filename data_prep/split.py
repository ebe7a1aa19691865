"""Which samples train, which validate, which test.

Whole scenes are split, not images: the four cameras of a car see the same houses, people and light
at the same moment, so that an image whose neighbour was trained on says little about a new street.

The order of the scenes is that of the SHA-256 of "seed/scene": a permutation that depends on the
seed and the scenes' names alone, not on a random generator's version.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence

PARTS = ("train", "val", "test")


def parse_split(text: str) -> dict[str, float]:
    """Read shares such as "train:0.8" (the rest is val) or "train:0.7,val:0.1,test:0.2".

    Returns:
        The share of each part, in the order train, val, test; they sum to 1.

    Raises:
        ValueError: If a part is unknown, doubled, empty or negative, train is missing, or the
            shares do not sum to 1.
    """
    shares: dict[str, float] = {}
    for entry in text.split(","):
        name, _, share = entry.strip().partition(":")
        if name not in PARTS:
            raise ValueError(f"split={text!r}: the part {name!r} must be one of {PARTS}")
        if name in shares:
            raise ValueError(f"split={text!r} names the part {name!r} twice")
        try:
            shares[name] = float(share)
        except ValueError:
            raise ValueError(
                f"split={text!r}: the share of {name!r} must be a number, e.g. {name}:0.8"
            ) from None
        if not 0 < shares[name] <= 1:
            raise ValueError(f"split={text!r}: the share of {name!r} must be above 0, at most 1")
    if "train" not in shares:
        raise ValueError(f"split={text!r} must name the part 'train'")
    rest = 1 - math.fsum(shares.values())
    if rest < -1e-9:
        raise ValueError(f"split={text!r}: the shares sum to {1 - rest:g}, above 1")
    if rest > 1e-9:
        if "val" in shares:
            raise ValueError(f"split={text!r}: the shares sum to {1 - rest:g}, they must sum to 1")
        shares["val"] = rest
    return {name: shares[name] for name in PARTS if name in shares}


def split_by_scene(
    scenes: Sequence[str], shares: dict[str, float], seed: int
) -> dict[str, list[int]]:
    """Deal whole scenes out to the parts.

    Args:
        scenes: The scene of each sample.
        shares: From `parse_split`; of the scenes, rounded, at least one scene a part.
        seed: Decides the order of the scenes.

    Returns:
        Ascending sample indices of each part.

    Raises:
        ValueError: If there are fewer scenes than parts.
    """
    order = sorted(
        set(scenes), key=lambda scene: hashlib.sha256(f"{seed}/{scene}".encode()).digest()
    )
    if len(order) < len(shares):
        raise ValueError(
            f"{len(order)} scene(s) cannot be split into {', '.join(shares)}: convert more, or "
            "give --split train:1"
        )
    part_of: dict[str, str] = {}
    start, cumulative = 0, 0.0
    for left, (name, share) in zip(range(len(shares) - 1, -1, -1), shares.items(), strict=True):
        cumulative += share
        end = math.floor(cumulative * len(order) + 0.5)
        # Every part that is still to come gets a scene as well.
        end = min(max(end, start + 1), len(order) - left)
        part_of.update(dict.fromkeys(order[start:end], name))
        start = end
    return {
        name: [index for index, scene in enumerate(scenes) if part_of[scene] == name]
        for name in shares
    }
