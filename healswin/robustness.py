"""How much of a model's score is left when the sphere is turned: ``healswin robustness``.

A map f is turned to (T f)(p) = f(R^-1 p), the classes of its pixels with it, and the model is
scored again: under turns about the z axis, and under rotations that are uniform over SO(3). The
rotations depend on the seed alone; all samples, models and data sets meet the same ones. "Upright"
is the pose in which the maps are stored.

Turned images are interpolated between four pixels, classes are those of the nearest pixel
(`healswin.data.batch_augment.BatchRotation`), so that what interpolation costs is part of every
figure. How much that is, a control tells: the maps are turned and turned back, which interpolates
them twice, and the model sees them upright again.

Of a part of the sphere most turns would bring unknown pixels into view. There only quarter turns
about z are measured, exactly, where they map the part onto itself.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from healswin.outcome import status_of

if TYPE_CHECKING:
    from torch import Tensor

    from healswin.data import PreparedSet
    from healswin.zoo import ZooModel

# Degrees about z: 90 is a symmetry of HEALPix, the others are it halved again and again.
ANGLES = (0.0, 5.625, 11.25, 22.5, 45.0, 90.0)

# So many of the rotations are undone again for the control.
CONTROLS = 5

# Digits that a half turn makes of each other.
MERGED = ("6", "9")

Batch = dict[str, "Tensor"]


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
    _check_fit(model, data)
    part, indices = _samples(data, split, limit)
    config = model.config
    normalisation = Normalisation(
        config.image_mean or data.image_mean, config.image_std or data.image_std
    )
    black = np.zeros((1, config.in_chans), dtype=data.image_dtype)
    poses, left_out = _poses(data, angles, rotations, seed)
    turned = _Turning(data.grid, torch.from_numpy(normalisation(black)[:, 0]), model.device)
    scores = [_new_scores(config.task, data) for _ in poses]
    truth = "label" if config.task == "classification" else "semantic"
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
            "name": data.root.name,
            "fingerprint": data.fingerprint,
            "split": part,
            "samples": len(indices),
            "rotated": data.attributes.get("conversion", {}).get("rotated"),
        },
        "rotations": rotations,
        "seed": seed,
        **_summary(poses, values),
        "most_frequent": most_frequent,
        "left_out": left_out,
    }


@dataclass(frozen=True)
class _Pose:
    """A pose in which the model is scored.

    Attributes:
        kind: "turn", "random" or "control".
        matrix: The rotation.
        degrees: Of a turn about z; 0 is upright.
    """

    kind: str
    matrix: np.ndarray
    degrees: float | None = None


def _poses(
    data: PreparedSet, angles: Sequence[float], rotations: int, seed: int
) -> tuple[list[_Pose], list[str]]:
    """All poses that the grid allows, upright first, and what was left out with the reason."""
    from healswin.equivariance import haar_rotations, rotation_about
    from healswin.grid import HealpixGrid, PixelSymmetry

    poses, left_out = [_Pose("turn", np.eye(3), 0.0)], []
    grid = data.grid
    whole = not isinstance(grid, HealpixGrid) or grid.is_full_sphere
    for degrees in angles:
        if degrees == 0:
            continue
        matrix = rotation_about((0.0, 0.0, 1.0), math.radians(degrees))
        if not whole:
            quarters, rest = divmod(degrees, 90)
            if rest or not PixelSymmetry(int(quarters) % 4).permutes(grid):
                left_out.append(
                    f"a turn about z by {degrees:g} degrees: it does not map base pixels "
                    f"{list(grid.base_pixels)} onto themselves pixel by pixel"
                )
                continue
        poses.append(_Pose("turn", matrix, degrees))
    if whole:
        drawn = haar_rotations(rotations, seed)
        poses += [_Pose("random", matrix) for matrix in drawn]
        poses += [_Pose("control", matrix) for matrix in drawn[:CONTROLS]]
    else:
        left_out.append(
            "random rotations: the maps cover a part of the sphere, unknown pixels would come into "
            "view"
        )
    return poses, left_out


class _Turning:
    """Turns batches into poses.

    Args:
        grid: Of the maps.
        background: What a stored 0 is when it is normalised, (channels,).
        device: Of the batches.
    """

    def __init__(self, grid: Any, background: Tensor, device: Any) -> None:
        from healswin.data.batch_augment import BatchRotation

        self.grid = grid
        self.background = background.to(device)
        self._rotation = BatchRotation()

    def __call__(self, batch: Batch, pose: _Pose) -> Batch:
        if pose.degrees == 0:
            return batch
        if not getattr(self.grid, "is_full_sphere", True):
            return self._exactly(batch, round(pose.degrees / 90) % 4)
        turned = self._turned(batch, pose.matrix)
        if pose.kind == "control":
            back = self._turned(turned, pose.matrix.T)
            return {**batch, "image": back["image"]}
        return turned

    def _turned(self, batch: Batch, matrix: np.ndarray) -> Batch:
        import torch

        one = torch.from_numpy(matrix.copy())[None].to(batch["image"])
        return self._rotation(batch, one, self.grid, self.background)

    def _exactly(self, batch: Batch, quarters: int) -> Batch:
        from healswin.equivariance import PixelPermutation
        from healswin.grid import PixelSymmetry

        permuted = PixelPermutation(PixelSymmetry(quarters), self.grid)
        return {
            key: permuted(values) if values.shape[-1:] == self.grid.shape else values
            for key, values in batch.items()
        }


class _LabelScores:
    """Accuracy of labels of whole samples, and with 6 and 9 taken for one.

    Args:
        names: Of the labels.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self.names = list(names)
        self._confusion = np.zeros((len(names), len(names)), dtype=np.int64)

    def update(self, prediction: Tensor, target: Tensor) -> None:
        """Count a batch, (batch,) each."""
        np.add.at(self._confusion, (target.cpu().numpy(), prediction.cpu().numpy()), 1)

    def compute(self) -> dict[str, float]:
        """The scores by name."""
        total, right = self._confusion.sum(), np.trace(self._confusion)
        scores = {"accuracy": float(right / total)}
        if set(MERGED) <= set(self.names):
            one, other = (self.names.index(name) for name in MERGED)
            right += self._confusion[one, other] + self._confusion[other, one]
            scores["accuracy_6_9_merged"] = float(right / total)
        return scores


class _PixelScores:
    """`SegmentationScores` over all classes, by area where areas differ.

    Args:
        data: The set.
    """

    def __init__(self, data: PreparedSet) -> None:
        import torch

        from healswin.grid import EquiangularGrid
        from healswin.metrics import SegmentationScores

        names, grid = data.class_names, data.grid
        unlike = isinstance(grid, EquiangularGrid)
        self._areas = torch.from_numpy(grid.areas()) if unlike else None
        self._scores = SegmentationScores(
            len(names),
            names,
            data.ignore_index,
            void_index=names.index("void") if "void" in names else None,
            background_index=names.index("background") if "background" in names else None,
            weighted=unlike,
        )

    def update(self, prediction: Tensor, target: Tensor) -> None:
        """Count a batch, (batch, pixels) each."""
        self._scores.update(prediction.cpu(), target.cpu(), self._areas)

    def compute(self) -> dict[str, float]:
        """The scores over all classes by name."""
        scores = self._scores.compute()
        if scores["accuracy"].isnan():
            raise ValueError("there is no labelled pixel to score")
        return {name: float(value) for name, value in scores.items() if "iou/" not in name}


def _new_scores(task: str, data: PreparedSet) -> _LabelScores | _PixelScores:
    return _LabelScores(data.label_names) if task == "classification" else _PixelScores(data)


def _check_fit(model: ZooModel, data: PreparedSet) -> None:
    """Refuse data that the model was not made for.

    Raises:
        ValueError: If task, grid, pole, channels, dtype or classes differ.
    """
    config = model.config
    if config.task not in ("classification", "segmentation"):
        raise ValueError(
            f"{config.name} is a model of the task {config.task!r}: robustness is measured of "
            "classifications and segmentations"
        )
    needed = "label" if config.task == "classification" else "semantic"
    if needed not in data.tasks:
        raise ValueError(f"{data.root} holds {data.tasks}, {needed!r} is needed to score a model")
    ours = data.label_names if config.task == "classification" else data.class_names
    for name, theirs, found in (
        ("grid", config.grid, data.grid.to_dict()),
        ("pole", config.pole, data.pole),
        ("channels", config.in_chans, data.num_channels),
        ("image dtype", config.image_dtype, data.image_dtype),
        ("number of classes", config.num_classes, len(ours)),
        ("classes", list(config.class_names) or ours, ours),
    ):
        if theirs != found:
            raise ValueError(
                f"the {name} of {config.name}, {theirs}, differs from that of {data.root}, {found}"
            )


def _samples(data: PreparedSet, split: str, limit: int | None) -> tuple[str, list[int]]:
    """The part that is measured, and samples spread evenly over it."""
    part = "val" if split == "test" and "test" not in data.split else split
    if not data.split.get(part):
        raise ValueError(f"split={split!r}: {data.root} has {list(data.split)}")
    indices = data.split[part]
    if limit is not None and limit < len(indices):
        indices = [indices[position * len(indices) // limit] for position in range(limit)]
    return part, list(indices)


def _summary(poses: Sequence[_Pose], values: Sequence[Mapping[str, float]]) -> dict[str, Any]:
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


def as_markdown(result: Mapping[str, Any]) -> str:
    """The answer of `measure_robustness` as a page with a table, in percent."""
    data, headline = result["data"], result["headline"]
    columns = [headline, *(name for name in result["upright"] if name != headline)]
    rows = []
    for turn in result["turns"]:
        pose = f"turned about z by {turn['degrees']:g}°" if turn["degrees"] else "upright"
        rows.append((pose, [_percent(turn[name]) for name in columns]))
    spread = result["random"]
    if spread:
        count, of = f"{result['rotations']} random rotations", [spread[name] for name in columns]
        cells = [f"{_percent(s['mean'])} ± {_percent(s['std'])}" for s in of]
        rows.append((f"{count}: mean ± deviation", cells))
        cells = [f"{_percent(s['min'])} to {_percent(s['max'])}" for s in of]
        rows.append((f"{count}: least to most", cells))
        cells = ["-" if s["kept"] is None else f"{s['kept']:.3f}" for s in of]
        rows.append(("kept: mean / upright", cells))
    control = result["control"]
    if control:
        cells = [_percent(control[name]) for name in columns]
        rows.append((f"control: turned and turned back ({control['rotations']} rotations)", cells))
    heads = [_words(name) for name in columns]
    lines = [
        f"# Robustness of {result['model']} under rotation",
        "",
        f"{data['samples']} samples of the {data['split']} split of `{data['name']}` "
        f"(fingerprint {data['fingerprint'][:12]}), grid {_grid_words(result['grid'])}, rotations "
        f"of seed {result['seed']}. Scores in percent.",
        "",
        _upright_words(data["rotated"]),
        "Turned images are interpolated, classes of pixels are those of the nearest pixel; the "
        "control shows what interpolating twice costs.",
        "",
        f"| pose | {' | '.join(heads)} |",
        f"|---|{'---:|' * len(heads)}",
        *(f"| {label} | {' | '.join(cells)} |" for label, cells in rows),
    ]
    if result["most_frequent"] is not None:
        lines += [
            "",
            f"Always answering the most frequent label scores {_percent(result['most_frequent'])}: "
            "where the upright score is near it, *kept* says nothing.",
        ]
    if result["left_out"]:
        lines += ["", "Not measured:", "", *(f"- {reason}" for reason in result["left_out"])]
    return "\n".join(lines) + "\n"


def _words(name: str) -> str:
    """The name of a score in words."""
    words = name.replace("_6_9_merged", ", 6 and 9 merged")
    return words.replace("miou", "mIoU").replace("unweighted/", "unweighted ").replace("_", " ")


def _percent(score: float) -> str:
    return f"{100 * score:.2f}"


def _grid_words(grid: Mapping[str, Any]) -> str:
    if grid["grid"] == "healpix":
        faces = "" if len(grid["base_pixels"]) == 12 else f", base pixels {grid['base_pixels']}"
        return f"HEALPix nside {grid['nside']}{faces}"
    return f"{grid['grid']}, bandwidth {grid['bandwidth']}"


def _upright_words(rotated: str | None) -> str:
    words = "Upright means: as the maps are stored."
    if rotated in ("all", "test"):
        return f"{words} These were rotated at random already when the set was made."
    return words


def draw_robustness(result: Mapping[str, Any]) -> np.ndarray:
    """The answer of `measure_robustness` as a picture: score against angle, and random rotations.

    Returns:
        RGB uint8 (height, width, 3).
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    spread = result["random"]
    names = [result["headline"]]
    names += [name for name in ("accuracy_6_9_merged",) if name in result["upright"]]
    figure = Figure(figsize=(7.2, 4.4), dpi=150, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2, sharey=True, width_ratios=(3, 1))
    jitter = np.random.default_rng(0)
    # The second line is drawn through the first, where both agree.
    styles = (("#0072b2", "o-"), ("#d55e00", ".--"))
    for row, (name, (colour, style)) in enumerate(zip(names, styles, strict=False)):
        turns = [(turn["degrees"], turn[name]) for turn in result["turns"]]
        degrees, scores = np.array(sorted(turns)).T
        left.plot(degrees, 100 * scores, style, color=colour, label=_words(name), clip_on=False)
        if spread:
            values = 100 * np.array(spread[name]["values"])
            place = row + jitter.uniform(-0.2, 0.2, len(values))
            right.plot(place, values, ".", color=colour, alpha=0.4, markersize=5, clip_on=False)
            mean, deviation = 100 * spread[name]["mean"], 100 * spread[name]["std"]
            bar = {"capsize": 5, "markersize": 24, "lw": 2}
            right.errorbar(row, mean, deviation, fmt="_", color=colour, **bar)
    left.set(xlabel="turn about z in degrees", ylabel="score in percent", ylim=(0, 100))
    ticks = [turn["degrees"] for turn in result["turns"]]
    left.set_xticks(ticks, [f"{degrees:g}" for degrees in ticks], rotation=45)
    left.grid(alpha=0.3)
    right.grid(axis="y", alpha=0.3)
    right.set(xlim=(-0.6, len(names) - 0.4), xlabel="not measured", xticks=[])
    if spread:
        kept = [spread[name]["kept"] for name in names]
        labels = ["" if share is None else f"kept\n{share:.2f}" for share in kept]
        right.set_xticks(range(len(names)), labels)
        right.set_xlabel(f"{result['rotations']} random rotations")
    data = result["data"]
    figure.suptitle(f"{result['model']}: {data['samples']} samples of {data['name']}", fontsize=11)
    figure.legend(
        *left.get_legend_handles_labels(), loc="outside lower left", ncols=2, frameon=False
    )
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def write_robustness(result: Mapping[str, Any], out: Path) -> list[Path]:
    """Write robustness.json, robustness.md and robustness.png.

    Args:
        result: The answer of `measure_robustness`.
        out: Folder; it is made if it is not there.

    Returns:
        The files.
    """
    from healswin.viz import write_png

    out.mkdir(parents=True, exist_ok=True)
    texts = {
        out / "robustness.json": json.dumps(result, indent=1, allow_nan=False) + "\n",
        out / "robustness.md": as_markdown(result),
    }
    for path, text in texts.items():
        path.write_text(text, encoding="utf-8")
    return [*texts, write_png(out / "robustness.png", draw_robustness(result))]


def main(args: Sequence[str]) -> int:
    """Run the command.

    Args:
        args: Arguments after ``healswin robustness``.

    Returns:
        Exit status: 0, or 2 for input that cannot be used, with one line that says why. With
        HEALSWIN_TRACEBACK in the environment the error is raised instead.
    """
    arguments = _parser().parse_args(args)
    return status_of(lambda: _run(arguments))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="healswin robustness",
        description="Score a classification or segmentation on maps as they are stored, turned "
        "about the z axis, and under uniform random rotations. Writes DIR/robustness.json, .md and "
        ".png.",
        epilog="healswin robustness runs/mnist/checkpoints/best.ckpt data/mnist --limit 1000",
    )
    add = parser.add_argument
    add(
        "model",
        metavar="MODEL",
        help="an entry (healswin models list), a folder, a .safetensors or .ckpt file, or "
        "hf-hub:OWNER/NAME@REVISION",
    )
    add("data", metavar="DATA", help="a prepared set on the model's grid")
    add(
        "--split",
        default="test",
        choices=("train", "val", "test"),
        help="(default: test, or val where there are no tests)",
    )
    add(
        "--limit",
        type=int,
        metavar="N",
        help="samples, spread evenly over the split; all if absent",
    )
    add("--rotations", type=int, default=50, metavar="N", help="(default: %(default)s)")
    add("--seed", type=int, default=0, help="of the random rotations (default: %(default)s)")
    add("--batch-size", type=int, default=32, metavar="N", help="(default: %(default)s)")
    add("--out", type=Path, metavar="DIR", help="(default: robustness/MODEL'S NAME)")
    add("--device", default="auto", help="cpu, cuda, cuda:1, mps (default: a GPU if there is one)")
    return parser


def _run(arguments: argparse.Namespace) -> int:
    from healswin.data import PreparedSet

    if arguments.out is not None and arguments.out.exists() and not arguments.out.is_dir():
        raise ValueError(f"--out {arguments.out} is a file, a folder is needed")
    data = PreparedSet.open(arguments.data)  # before torch is loaded
    import torch

    from healswin.zoo import load_model

    device = arguments.device
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    model = load_model(arguments.model, device=device)
    _, indices = _samples(data, arguments.split, arguments.limit)
    with _progress(len(indices)) as advance:
        result = measure_robustness(
            model,
            data,
            split=arguments.split,
            limit=arguments.limit,
            rotations=arguments.rotations,
            seed=arguments.seed,
            batch_size=arguments.batch_size,
            progress=advance,
        )
    files = write_robustness(result, arguments.out or Path("robustness") / model.config.name)
    print(as_markdown(result))
    print(f"written: {', '.join(map(str, files))}")
    return 0


@contextmanager
def _progress(samples: int) -> Iterator[Callable[[int], None]]:
    """A bar on the terminal; nothing where there is none."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    console = Console(stderr=True)
    columns = ("samples", BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task("", total=samples)
        yield lambda count: bar.advance(task, count)


__all__ = [
    "ANGLES",
    "as_markdown",
    "draw_robustness",
    "main",
    "measure_robustness",
    "write_robustness",
]
