"""What each sample shows and how it is turned.

All of it depends on the seed, the part of the split and the sample's number in its part only, so
that neither the number of processes nor a set's size changes a sample.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int64

from healswin.cameras import quaternion_to_matrix

# Parts of a split in the order in which their samples are stored. A random stream is named by its
# seed, the part's place in here, what it decides, and the sample's (or block's) number.
PARTS = ("train", "val", "test")
_TURNS, _ITEMS = 0, 1


@dataclass(frozen=True)
class Part:
    """The samples of one part of the split.

    Args:
        name: One of `PARTS`.
        count: Number of samples.
        source: The part of the originals that they are from: "train" or "test".
        first: The first original that may be drawn.
        originals: How many may be drawn, from the first on.
        rotated: Whether samples are turned.
        block: Samples that share a rotation.
    """

    name: str
    count: int
    source: str
    first: int
    originals: int
    rotated: bool
    block: int = 1

    def rotation(self, seed: int, number: int) -> Float[np.ndarray, "3 3"] | None:
        """How a sample is turned, uniformly from SO(3); None if it is upright.

        A normalised Gaussian quaternion is uniform (Shoemake 1992, Graphics Gems III, "Uniform
        random rotations").

        Args:
            seed: Of the whole set.
            number: The sample's number in its part.

        Returns:
            R: the picture is looked at in the directions R p of the grid's directions p.
        """
        if not self.rotated:
            return None
        quaternion = self._random(seed, _TURNS, number // self.block).normal(size=4)
        return quaternion_to_matrix(quaternion / np.linalg.norm(quaternion))

    def placing(self, seed: int, number: int) -> np.random.Generator:
        """The random stream that decides which items a sample shows and where they are."""
        return self._random(seed, _ITEMS, number)

    def shown(
        self, number: int, items: int, rng: np.random.Generator | None
    ) -> Int64[np.ndarray, " items"]:
        """Which originals a sample shows.

        A single one is the next in the source's order, from the beginning again after the last;
        several are drawn at random, each at most once where there are enough.

        Args:
            number: The sample's number in its part.
            items: How many.
            rng: `placing`; a single item needs none.
        """
        if items == 1:
            return np.array([self.first + number % self.originals])
        drawn = rng.choice(self.originals, size=items, replace=items > self.originals)
        return self.first + drawn.astype(np.int64)

    def _random(self, seed: int, purpose: int, number: int) -> np.random.Generator:
        return np.random.default_rng([seed, PARTS.index(self.name), purpose, number])


def make_parts(
    counts: Sequence[int | None],
    train_originals: int,
    test_originals: int,
    rotated: str,
    block: int,
) -> list[Part]:
    """The parts of a set; those without samples are left out.

    The originals of the validation part are the last ones of the training originals; the training
    part never shows them.

    Args:
        counts: Samples for training, validation and test. None: as many as there are originals;
            for validation a twelfth of the training originals, at most 5000.
        train_originals: Pictures for training that the source has.
        test_originals: Pictures for tests that it has.
        rotated: "all", "none" or "test".
        block: Samples that share a rotation.

    Raises:
        ValueError: If nothing is left to train with, or a count is impossible.
    """
    train, val, test = counts
    for name, count in zip(PARTS, counts, strict=True):
        if count is not None and count < (name == "train"):
            raise ValueError(f"{name}={count} must be at least {int(name == 'train')}")
    if val is None:
        val = min(5000, train_originals // 12)
    left = train_originals - val
    if left < 1:
        raise ValueError(
            f"val={val} of {train_originals} pictures for training leave none to train with"
        )
    if test and not test_originals:
        raise ValueError(f"test={test}: the source has no pictures for tests")
    parts = [
        Part("train", left if train is None else train, "train", 0, left, rotated == "all", block),
        Part("val", val, "train", left, val, rotated == "all", block),
        Part(
            "test",
            test_originals if test is None else test,
            *("test", 0, test_originals),
            rotated in ("all", "test"),
            block,
        ),
    ]
    return [part for part in parts if part.count]
