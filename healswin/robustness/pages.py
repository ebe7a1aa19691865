"""What was measured, as a page and as a picture."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np


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
