"""What the reports of segmentation and depth share: columns, groups of pixels, what is said."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from healswin.data import PreparedDataModule
from healswin.tasks.pages import Results, markdown_table
from healswin.tasks.worlds import Worlds

# Columns of the tables: where predictions are compared with the truth, and who predicted.
COLUMNS = {
    "resized": "resized",
    "resized_prior": "resized, prior",
    "sphere": "sphere",
    "sphere_prior": "sphere, prior",
    "sphere_valid": "sphere, valid",
    "image": "image",
    "image_prior": "image, prior",
    "image_common": "common",
    "image_common_prior": "common, prior",
}

# Of the rings around the optical axis.
RING_DEGREES = 15
RINGS = [f"{low} to {low + RING_DEGREES}" for low in range(0, 180, RING_DEGREES)]

_GROUPS = {"cameras": "By camera", "angles": "By angle from the optical axis, in degrees"}

_Found = TypeVar("_Found")


@contextmanager
def explained_prior(data: PreparedDataModule) -> Iterator[None]:
    """Say of a prior that cannot be made whose it is, and how to do without.

    Raises:
        ValueError: In place of the one that was raised.
    """
    try:
        yield
    except ValueError as error:
        raise ValueError(
            f"the prior of the training split of {data.prepared.root}: {error}; "
            "--report.prior false does without"
        ) from None


def in_order(columns: Mapping[str, _Found]) -> dict[str, _Found]:
    """What belongs to columns, in the order of `COLUMNS`."""
    return {column: columns[column] for column in COLUMNS if column in columns}


def by_title(results: Results) -> Results:
    """Scores by the titles of their columns, in the order of `COLUMNS`."""
    return {COLUMNS[column]: scores for column, scores in in_order(results).items()}


def group_tables(found: Mapping[str, Mapping[str, Any]], scores: Mapping[str, str]) -> list[str]:
    """Sections with scores by camera and by angle; none where there are no such groups.

    Args:
        found: What was counted, by column: of its ``cameras`` and ``angles`` every group's scores
            and ``pixels``. The columns of the prior are left out.
        scores: Names of the scores that are shown, by what they are called in words.
    """
    sections = []
    for name, title in _GROUPS.items():
        columns: Results = {}
        groups: dict[str, str] = {}
        for column, counted in found.items():
            if not counted[name] or column.endswith("_prior"):
                continue
            groups |= {group: group for group in counted[name]}
            world = COLUMNS[column]
            if not columns:  # the worlds differ little in it
                total = sum(figures["pixels"] for figures in counted[name].values())
                columns[f"pixels, {world}"] = {
                    group: figures["pixels"] / total for group, figures in counted[name].items()
                }
            for words, score in scores.items():
                columns[f"{words}, {world}"] = {
                    group: figures[score] for group, figures in counted[name].items()
                }
        if groups:
            sections.append(f"## {title}\n\n{markdown_table(groups, columns)}")
    return sections


def world_facts(worlds: Worlds, absent: Mapping[str, str]) -> dict[str, Any]:
    """What test.json says of the worlds.

    Args:
        worlds: What the predictions were compared in.
        absent: Why some worlds were not measured.
    """
    companion = None
    if worlds.companion is not None:
        companion = {
            "data": str(worlds.companion.root),
            "same_test_samples": worlds.same_split,
        }
    return {
        "images": absent.get("image", "measured"),
        "absent": absent,
        "companion": companion,
    }


def missing_worlds(worlds: Worlds, absent: Mapping[str, str]) -> dict[str, str]:
    """Why worlds are missing; nobody looks for common pixels beside those of a sphere's image."""
    return {
        world: reason
        for world, reason in absent.items()
        if world != "image_common" or worlds.own == "resized"
    }


@dataclass(frozen=True)
class Wording:
    """How a task says what its columns are.

    Attributes:
        headline: Name of the score in which the model is held against the prior.
        headline_in_words: What that score is called.
        unit: Behind its value, with the space before it; "" without one.
        best: Whether it is best at its "max" or its "min".
        prior: What the prior predicts at each pixel.
        image: What is done in the image; ends before the part of it that counts.
        common: What is done on the pixels that a companion has too.
    """

    headline: str
    headline_in_words: str
    unit: str
    best: Literal["max", "min"]
    prior: str
    image: str
    common: str


def definitions(
    worlds: Worlds,
    results: Results,
    wording: Wording,
    counting: Iterable[str],
    reasons: Iterable[str],
    further: Iterable[str] = (),
) -> list[str]:
    """Sentences: what the columns are, why others are missing, what the model gains over the prior.

    Args:
        worlds: What the predictions were compared in.
        results: Scores by column.
        wording: How the task says it.
        counting: How the set's own pixels count.
        reasons: Why worlds are missing.
        further: What else is to be known of the scores.
    """
    own = worlds.own
    said = []
    if own == "resized":
        said.append("*resized*: on the pixels of the resized images.")
        if "sphere" in results:
            said.append("*sphere*: looked up at the valid pixels of the companion's sphere.")
    else:
        said.append("*sphere*: on the grid's pixels.")
    said += counting
    if "image" in results:
        part = "that the lens sees" if own == "resized" else "inside the domain"
        said.append(f"*image*: {wording.image} {part}.")
    if "image_common" in results:
        said.append(f"*common*: {wording.common}.")
    if worlds.same_split is False:
        said.append("**The companion's test split has other samples.**")
    said += [*reasons, *further]
    if f"{own}_prior" in results:
        said.append(
            f"*prior*: predicts at each pixel {wording.prior}, without looking at the image."
        )
        said += _gain(own, results, wording)
    return said


def _gain(own: str, results: Results, wording: Wording) -> list[str]:
    """How far the model is above or below the prior on the set's own pixels."""
    model, prior = (results[name].get(wording.headline) for name in (own, f"{own}_prior"))
    if model is None or prior is None:
        return []
    # Of equal scores neither is better: the model is not said to be worse.
    above = model >= prior if wording.best == "max" else model > prior
    where = "sphere" if own == "sphere" else "resized images"
    return [
        f"On the {where} the model's {wording.headline_in_words} is {abs(model - prior):.4f}"
        f"{wording.unit} {'above' if above else 'below'} the prior's."
    ]
