"""What was measured, as a page, curves and maps."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import UInt8

from healswin.viz.colour import EMPTY, ColourScale

if TYPE_CHECKING:
    from healswin.data import PreparedSet
    from healswin.uncertainty.measure import Maps

_BALL = 300

_PARTS = {
    "entropy": "predictive entropy",
    "mutual_information": "mutual information",
    "deviation": "deviation",
    "disagreement": "of which disagreement",
    "noise": "of which noise",
}


_IN_LEGENDS = {**_PARTS, "disagreement": "disagreement", "noise": "noise"}


def as_markdown(result: Mapping[str, Any]) -> str:
    """The answer of `measure_uncertainty` as a page with tables."""
    data = result["data"]
    names = ", ".join(result["models"])
    what = f"{result['members']} members: {names}"
    if result["draws"]:
        what += f", dropout drawn {result['draws']} times from seed {result['seed']}"
    lines = [
        "# Uncertainty",
        "",
        f"{what}. {data['samples']} samples of the {data['split']} split of `{data['name']}` "
        f"(fingerprint {data['fingerprint'][:12]}).",
        "",
        "*single*: mean over the members, each by itself; *together*: their mean prediction.",
        "",
        "| score | single | together |",
        "|---|---:|---:|",
    ]
    for name, value in result["together"].items():
        lines.append(f"| {_words(name)} | {result['single'][name]:.4f} | {value:.4f} |")
    calibration = result["calibration"]
    for key, words in (
        ("ece", "expected calibration error"),
        ("overconfidence", "overconfidence"),
        ("error", "calibration error of intervals"),
    ):
        if key in calibration["together"]:
            alone = calibration.get("single", {}).get(key)
            cell = "-" if alone is None else f"{alone:.4f}"
            lines.append(f"| {words} | {cell} | {calibration['together'][key]:.4f} |")
    unit = "m" if result["task"] == "depth" else "nats"
    lines += [
        "",
        "Uncertainty and what it is worth: *left* is the mean error of the surest half, beside the "
        "error of all; an uncertainty that knows nothing of the errors leaves them as they are.",
        "",
        f"| part | mean ({unit}) | error of all | left |",
        "|---|---:|---:|---:|",
    ]
    for name, mean in result["uncertainty"].items():
        error = result["sparsification"][name]["error"]
        half = error[len(error) // 2 - 1]
        lines.append(f"| {_PARTS[name]} | {mean:.4f} | {error[-1]:.4f} | {half:.4f} |")
    return "\n".join(lines) + "\n"


def draw_curves(result: Mapping[str, Any]) -> UInt8[np.ndarray, "height width 3"]:
    """Sparsification and, of depth, the coverage of the intervals, as a picture."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    depth = result["task"] == "depth"
    covered = depth and bool(result["calibration"]["together"])
    figure = Figure(figsize=(9.0 if covered else 5.2, 4.2), dpi=150, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    axes = figure.subplots(1, 2 if covered else 1, squeeze=False)[0]
    styles = zip(result["sparsification"].items(), ("#0072b2", "#d55e00", "#009e73"), strict=False)
    for (name, curve), colour in styles:
        left_out = 100 * (1 - np.array(curve["kept"]))
        # The whole is drawn wide: where a part is nearly all of it, both are seen.
        width = 4.0 if name == "deviation" else 1.5
        label = f"by {_IN_LEGENDS[name]}"
        axes[0].plot(left_out, curve["error"], color=colour, label=label, lw=width, alpha=0.7)
    all_of_them = curve["error"][-1]
    axes[0].axhline(all_of_them, color="#777777", lw=0.8, ls="--", label="by nothing")
    axes[0].set(xlabel="most unsure left out, in percent", ylim=(0, None), xlim=(0, 100))
    axes[0].set_ylabel("mean error in metres" if depth else "share of wrong predictions")
    axes[0].legend(frameon=False)
    if covered:
        curve = result["calibration"]["together"]
        axes[1].plot([0, 100], [0, 100], color="#777777", lw=0.8, ls="--")
        stated, inside = (100 * np.array([0, *curve[name]]) for name in ("stated", "covered"))
        axes[1].plot(stated, inside, color="#0072b2")
        axes[1].set(xlabel="interval states percent", ylabel="it covers percent")
        axes[1].set(xlim=(0, 100), ylim=(0, 100), aspect="equal")
    for plot in axes:
        plot.grid(alpha=0.3)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def draw_maps(
    data: PreparedSet, index: int, maps: Maps, task: str
) -> UInt8[np.ndarray, "height width 3"]:
    """A sample on the sphere: image, truth, prediction, its errors, and where it is how unsure.

    Args:
        data: The set.
        index: The sample.
        maps: What the members say of it.
        task: "segmentation" or "depth".
    """
    from healswin.tasks.evaluation import as_picture
    from healswin.viz import colourise, depth_scale, error_map
    from healswin.viz.gallery import gallery

    valid = data.valid(data.sample_camera[index])
    image = as_picture(data.image(index))
    if task == "depth":
        truth = data.depth(index)
        error = np.where(np.isfinite(truth), np.abs(maps.prediction - truth), np.nan)
        scale = depth_scale(truth)
        shown = (np.where(valid, depth, np.nan) for depth in (truth, maps.prediction))
        colours = [_coloured(scale, depth) for depth in shown]
        limit, unit = _top(error), "m"
        colours.append(_coloured(ColourScale(0.0, limit), error))
        words = f"0 to {limit:.2g} m"
        range_ = f"{scale.low:.2g} to {scale.high:.2g} m"
    else:
        truth = data.semantic(index)
        colours = [
            colourise(np.where(valid, classes, data.ignore_index), data.class_colours)
            for classes in (truth, maps.prediction)
        ]
        wrong = error_map(None, truth[None], maps.prediction[None], data.ignore_index)[0]
        colours.append(wrong)
        unit, words, range_ = "nats", "red where it is wrong", ""
    names = (("image", ""), ("truth", range_), ("prediction", range_), ("error", words))
    cells = list(zip(names, (image, *colours), strict=True))
    for name, values in maps.parts.items():
        shown = np.where(valid, values, np.nan).astype(np.float64)
        top = _top(shown)
        picture = _coloured(ColourScale(0.0, top), shown)
        cells.append(((_PARTS[name], f"0 to {top:.2g} {unit}"), picture))
    pictures = [(lines, _picture(data, index, values)) for lines, values in cells]
    return gallery(pictures, data.sample_names[index], columns=3, size=_BALL)


def write_uncertainty(
    result: Mapping[str, Any], maps: Mapping[int, Maps], data: PreparedSet, out: Path
) -> list[Path]:
    """Write uncertainty.json, .md, .png and maps/NAME.png.

    Args:
        result: The first answer of `measure_uncertainty`.
        maps: Its second answer.
        data: The set.
        out: Folder; it is made if it is not there.

    Returns:
        The files.
    """
    from healswin.viz import write_png

    out.mkdir(parents=True, exist_ok=True)
    (out / "uncertainty.json").write_text(json.dumps(result, indent=1, allow_nan=False) + "\n")
    (out / "uncertainty.md").write_text(as_markdown(result), encoding="utf-8")
    files = [out / "uncertainty.json", out / "uncertainty.md"]
    files.append(write_png(out / "uncertainty.png", draw_curves(result)))
    for index, one in maps.items():
        picture = draw_maps(data, index, one, result["task"])
        files.append(write_png(out / "maps" / f"{data.sample_names[index]}.png", picture))
    return files


def _picture(
    data: PreparedSet, index: int, values: UInt8[np.ndarray, "pixels 3"]
) -> UInt8[np.ndarray, "height width 3"]:
    """Colours of a sample's pixels: as a ball, or as the flat image that they are."""
    from healswin.data.views import view_of
    from healswin.grid import ImageGrid
    from healswin.viz import orthographic

    grid = data.grid
    if isinstance(grid, ImageGrid):
        return values.reshape(*grid.shape, 3)
    centre, up = view_of(data, index)
    return orthographic(values, grid, _BALL, centre, up, supersample=2)


def _coloured(scale: ColourScale, values: np.ndarray) -> UInt8[np.ndarray, "pixels 3"]:
    """Colours of a scale; light grey where nothing is known, which no value is."""
    picture = scale(values)
    picture[np.isnan(values)] = EMPTY
    return picture


def _top(values: np.ndarray) -> float:
    """Where a scale from 0 ends: what nearly all values are below."""
    known = values[np.isfinite(values)]
    return max(float(np.percentile(known, 98)) if known.size else 0.0, 1e-6)


def _words(name: str) -> str:
    return name.replace("_6_9_merged", ", 6 and 9 merged").replace("miou", "mIoU").replace("_", " ")
