"""Draw what was measured on spherical MNIST, and write the tables of docs/results.md.

    python docs/figures/mnist.py [RUNS/results.json ...]

Results of `benchmarks/mnist.py` that are named are added to docs/figures/mnist.json, which keeps
all that was measured. From it docs/figures/mnist.png and the table between the marks of
docs/results.md are made anew. Published points are drawn hollow; each states its source.
"""

from __future__ import annotations

import json
import runpy
import statistics
import sys
from collections.abc import Mapping
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
KEPT = HERE / "mnist.json"
PAGE = HERE.parent / "results.md"
MARKS = ("<!-- table of docs/figures/mnist.py -->", "<!-- end of the table -->")

# Images that training uses of MNIST's 60,000: the others choose the best epoch.
TRAINING_IMAGES = 55_000

# Name in a configuration -> name in a legend, colour (Okabe and Ito's palette).
MODELS = {
    "s2cnn_59k": ("S2CNN, 58,550 parameters", "#0072b2"),
    "s2cnn_155k": ("S2CNN, 154,550", "#56b4e9"),
    "cnn_58k": ("planar CNN, 58 thousand", "#d55e00"),
    "healswin_published": ("HEAL-SWIN as published, small", "#e69f00"),
    "healswin_tiny": ("HEAL-SWIN tiny", "#cc79a7"),
    "healswin_vertex": ("HEAL-SWIN vertex", "#999999"),
    "healswin_iso": ("HEAL-SWIN iso", "#009e73"),
}

# Accuracy in percent on rotated test digits by number of rotated training images: Gerken et al.
# 2022, ICML, arXiv 2202.03990, read off a figure.
PUBLISHED_BY_IMAGES = {
    "S2CNN, 150 thousand (Gerken et al. 2022)": ("#56b4e9", {10e3: 91.8, 60e3: 97.6, 240e3: 98.6}),
    "CNN, 2.5 M (Gerken et al. 2022)": ("#d55e00", {10e3: 86.3, 60e3: 91.8, 240e3: 97.0}),
}

# Accuracy in percent upright and under rotations, trained upright: Cohen et al. 2018, ICLR.
PUBLISHED_UPRIGHT = {
    "S2CNN (Cohen et al. 2018)": ("#0072b2", 96.0, 94.0),
    "planar CNN (Cohen et al. 2018)": ("#d55e00", 98.0, 11.0),
}


def of_runs(results: Mapping[str, dict], protocol: str) -> dict[str, dict[float, list[dict]]]:
    """Classification runs of a protocol: model -> part of the training images -> seeds."""
    found: dict[str, dict[float, list[dict]]] = {}
    for name, result in results.items():
        label = name.rpartition(":")[0]
        config, _, part = label.partition("@")
        model = config.removeprefix("classification/").removesuffix(f"_{protocol}")
        if model in MODELS and config == f"classification/{model}_{protocol}":
            found.setdefault(model, {}).setdefault(float(part or 1), []).append(result)
    return found


def accuracies(runs: list[dict]) -> list[float]:
    """Accuracy in percent on the test split, of each seed."""
    return [100 * run["test"]["results"]["model"]["accuracy"] for run in runs]


def draw_by_images(axes: Axes, results: Mapping[str, dict]) -> None:
    """Accuracy on rotated digits, trained on rotated ones, by number of training images."""
    for model, parts in of_runs(results, "r_r").items():
        label, colour = MODELS[model]
        images = sorted(parts)
        means = [statistics.mean(accuracies(parts[part])) for part in images]
        places = [TRAINING_IMAGES * part for part in images]
        axes.plot(places, means, "o-", color=colour, label=label)
        for place, part in zip(places, images, strict=True):
            seeds = accuracies(parts[part])
            axes.plot([place] * len(seeds), seeds, "_", color=colour, markersize=8)
    for label, (colour, points) in PUBLISHED_BY_IMAGES.items():
        axes.plot(
            *zip(*points.items(), strict=True), "s--", color=colour, mfc="none", lw=0.8, label=label
        )
    ticks = [5_000, 10_000, 20_000, 60_000, 120_000, 240_000]
    axes.set(xscale="log", xlabel="training images", ylabel="accuracy in percent")
    axes.set_title("rotated to train and to test (R/R)", fontsize=10)
    axes.set_xticks(ticks, [f"{tick:,}" for tick in ticks], rotation=30)
    axes.minorticks_off()
    axes.grid(alpha=0.3)


def draw_by_angle(left: Axes, right: Axes, results: Mapping[str, dict]) -> None:
    """Accuracy of models trained on upright digits by the angle of a turn, and at random."""
    for column, (model, parts) in enumerate(of_runs(results, "nr_nr").items()):
        label, colour = MODELS[model]
        under = [run["robustness"] for run in parts.get(1.0, []) if run["robustness"]]
        if not under:
            continue
        degrees = sorted(turn["degrees"] for turn in under[0]["turns"])
        scores = [
            statistics.mean(
                100 * turn["accuracy"]
                for run in under
                for turn in run["turns"]
                if turn["degrees"] == angle
            )
            for angle in degrees
        ]
        left.plot(degrees, scores, "o-", color=colour, label=label)
        random = [100 * value for run in under for value in run["random"]["accuracy"]["values"]]
        right.plot([column] * len(random), random, ".", color=colour, alpha=0.25, markersize=5)
        right.plot(column, statistics.mean(random), "_", color=colour, markersize=18, mew=2)
    for label, (colour, upright, turned) in PUBLISHED_UPRIGHT.items():
        left.plot(0, upright, "s", color=colour, mfc="none", label=label, clip_on=False)
        right.plot(-0.6, turned, "s", color=colour, mfc="none")
    left.set(xlabel="turn about z in degrees", ylim=(0, 100))
    left.set_xticks([0, 11.25, 22.5, 45, 90], ["0", "11.25", "22.5", "45", "90"], rotation=30)
    left.set_title("trained upright", fontsize=10)
    right.set_title("at random", fontsize=10)
    right.set_xticks([])
    right.margins(x=0.25)
    for axes in (left, right):
        axes.grid(alpha=0.3)


def draw(results: Mapping[str, dict], path: Path) -> None:
    """Both figures side by side, as a PNG file."""
    figure = Figure(figsize=(11, 4.6), dpi=130, layout="constrained")
    FigureCanvasAgg(figure)
    images, angle, random = figure.subplots(1, 3, width_ratios=(4, 4, 1.6))
    random.sharey(angle)
    draw_by_images(images, results)
    draw_by_angle(angle, random, results)
    handles: dict[str, object] = {}
    for axes in (images, angle):
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            handles.setdefault(label, handle)
    figure.legend(
        handles.values(), handles.keys(), loc="outside lower center", ncols=3, frameon=False
    )
    figure.savefig(path, format="png", metadata={"Software": None})


def with_table(page: str, table: str) -> str:
    """The page with the table between its marks.

    Raises:
        ValueError: If the page has no such marks.
    """
    start, end = MARKS
    if start not in page or end not in page:
        raise ValueError(f"{PAGE} must hold the lines {start!r} and {end!r}")
    before, after = page.split(start)[0], page.split(end)[1]
    return f"{before}{start}\n\n{table}\n\n{end}{after}"


def table_of(results: Mapping[str, dict]) -> str:
    """The table that ``benchmarks/mnist.py --table`` prints."""
    return runpy.run_path(str(ROOT / "benchmarks" / "mnist.py"))["table"](results)


def main(files: list[str]) -> None:
    """Add results, and make table and figures."""
    results = json.loads(KEPT.read_text()) if KEPT.is_file() else {}
    for file in files:
        results.update(json.loads(Path(file).read_text()))
    results = dict(sorted(results.items()))
    KEPT.write_text(json.dumps(results, indent=1) + "\n")
    PAGE.write_text(with_table(PAGE.read_text(), table_of(results)))
    draw(results, HERE / "mnist.png")


if __name__ == "__main__":
    main(sys.argv[1:])
