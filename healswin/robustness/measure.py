"""The measurement itself: every sample in every pose."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from healswin.robustness.poses import Pose, Turning, poses_of
from healswin.scoring import check_fit, described, new_scores, samples_of

if TYPE_CHECKING:
    from healswin.data import PreparedSet
    from healswin.zoo import ZooModel

# Degrees about z: 90 is a symmetry of HEALPix, the others are it halved again and again.
ANGLES = (0.0, 5.625, 11.25, 22.5, 45.0, 90.0)


def measure_robustness(
    model: ZooModel,
    data: PreparedSet,
    *,
    split: str = "test",
    limit: int | None = None,
    angles: Sequence[float] = ANGLES,
    rotations: int = 50,
    seed: int = 0,
    batch_size: int = 32,
    progress: Callable[[int], None] | None = None,
) -> dict[str, Any]:
    """Score a model upright, turned about z, and under random rotations.

    Args:
        model: A classification or segmentation, see `healswin.load_model`; it computes where it is.
        data: A prepared set on the model's grid, with labels or classes.
        split: Which part of it; "test" means "val" in a set without tests.
        limit: At most so many samples, spread evenly over the part; None: all.
        angles: Of the turns about z, in degrees, anticlockwise from above.
        rotations: How many random rotations.
        seed: Of the random rotations.
        batch_size: Samples the network sees at a time.
        progress: Told the number of samples that were just finished.

    Returns:
        Plain JSON values:

        - ``model``, ``task``, ``grid``, ``data``: what was measured; ``data["rotated"]`` is which
          samples carry a random rotation already ("all", "none", "test"; None: not known);
        - ``headline``: the name of the score that matters most;
        - ``upright``: score by name: ``accuracy``, and ``accuracy_6_9_merged`` if there are labels
          6 and 9, of a classification; those of `healswin.metrics.SegmentationScores` over all
          classes of a segmentation, by area on equiangular grids;
        - ``turns``: the same for 0 and each angle, with ``degrees``;
        - ``random``: for each score ``values`` under every rotation, their ``mean``, ``std`` (of
          the values, not of the mean), ``min``, ``max``, and ``kept``, mean / upright; None for a
          part of the sphere;
        - ``most_frequent``: of a classification, the accuracy of always answering the label that
          most of these samples have; near it ``kept`` says nothing;
        - ``control``: mean scores after turning and turning back, or None;
        - ``left_out``: what was not measured, and why.

    Raises:
        ValueError: If model and data do not fit, nothing can be scored, or a number is out of
            range.
    """
    import torch

    from healswin.data.prepared import PreparedDataset, collate
    from healswin.data.transforms import Normalisation

    for name, value in (("rotations", rotations), ("batch_size", batch_size), ("limit", limit)):
        if value is not None and value < 1:
            raise ValueError(f"{name}={value} must be at least 1")
    if seed < 0:
        raise ValueError(f"seed={seed} must not be negative")
    if not all(math.isfinite(angle) for angle in angles):
        raise ValueError(f"angles={list(angles)} must be finite numbers of degrees")
    truth = check_fit(model, data, ("classification", "segmentation"))
    part, indices = samples_of(data, split, limit)
    config = model.config
    normalisation = Normalisation(
        config.image_mean or data.image_mean, config.image_std or data.image_std
    )
    black = np.zeros((1, config.in_chans), dtype=data.image_dtype)
    poses, left_out = poses_of(data, angles, rotations, seed)
    turned = Turning(data.grid, torch.from_numpy(normalisation(black)[:, 0]), model.device)
    scores = [new_scores(config.task, data) for _ in poses]
    dataset = PreparedDataset(data, indices, [truth], normalisation)
    was_training = model.training
    model.eval()
    try:
        for start in range(0, len(dataset), batch_size):
            positions = range(start, min(start + batch_size, len(dataset)))
            batch = collate(dataset.__getitems__(positions))
            batch = {key: values.to(model.device) for key, values in batch.items()}
            for pose, score in zip(poses, scores, strict=True):
                with torch.inference_mode():
                    seen = turned(batch, pose)
                    score.update(model(seen["image"]).argmax(dim=1), seen[truth])
            if progress is not None:
                progress(len(positions))
    finally:
        model.train(was_training)
    values = [score.compute() for score in scores]
    most_frequent = None
    if config.task == "classification":
        labels = np.bincount([data.label(index) for index in indices])
        most_frequent = float(labels.max() / labels.sum())
    return {
        "model": config.name,
        "task": config.task,
        "grid": data.grid.to_dict(),
        "data": {
            **described(data, part, indices),
            "rotated": data.attributes.get("conversion", {}).get("rotated"),
        },
        "rotations": rotations,
        "seed": seed,
        **_summary(poses, values),
        "most_frequent": most_frequent,
        "left_out": left_out,
    }


def _summary(poses: Sequence[Pose], values: Sequence[Mapping[str, float]]) -> dict[str, Any]:
    """Figures by kind of pose."""
    by_kind = {
        kind: [value for pose, value in zip(poses, values, strict=True) if pose.kind == kind]
        for kind in ("random", "control")
    }
    upright = dict(values[0])
    turns = [
        {"degrees": pose.degrees, **value}
        for pose, value in zip(poses, values, strict=True)
        if pose.kind == "turn"
    ]
    spread = None
    if by_kind["random"]:
        spread = {
            name: _spread([value[name] for value in by_kind["random"]], upright[name])
            for name in upright
        }
    control = None
    if by_kind["control"]:
        control = {
            "rotations": len(by_kind["control"]),
            **{n: float(np.mean([v[n] for v in by_kind["control"]])) for n in upright},
        }
    return {
        "headline": _headline(upright),
        "upright": upright,
        "turns": turns,
        "random": spread,
        "control": control,
    }


def _spread(values: list[float], upright: float) -> dict[str, Any]:
    mean = float(np.mean(values))
    return {
        "mean": mean,
        "std": float(np.std(values)),
        "min": min(values),
        "max": max(values),
        "kept": mean / upright if upright > 0 else None,
        "values": values,
    }


def _headline(scores: Mapping[str, float]) -> str:
    for name in ("miou_without_background", "miou_without_void", "miou"):
        if name in scores:
            return name
    return "accuracy"
