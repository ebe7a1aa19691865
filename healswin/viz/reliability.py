"""Reliability diagrams: how often predictions of like confidence are right."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import cv2
import numpy as np
from jaxtyping import UInt8

from healswin.viz.colour import INK, PAPER
from healswin.viz.layout import CAPTION, GAP, MUTED, Picture, blank, put_text, title_strip
from healswin.viz.text import draw_text, legend, text_width

_ACCURACY = (92, 141, 197)
_LESS = (226, 132, 114)  # less accurate than confident
_MORE = (144, 190, 150)
_GRID = (226, 227, 230)
_PLOT = 300
_SHARES = 80
_LEFT = 46
_BELOW = 50
_TEXT = 14.0


def reliability_diagram(
    bins: Mapping[str, Mapping[str, Sequence[float]]], title: str = ""
) -> UInt8[np.ndarray, "rows columns 3"]:
    """Accuracy against confidence, and below how many pixels have which confidence.

    A bar is the accuracy of a bin. Between it and the mean confidence of the bin lies the gap: red
    where the network is surer than it is right, green where it is less sure. On the diagonal it is
    right as often as it says.

    Args:
        bins: For each diagram its caption and, of all its equally wide bins, ``share``,
            ``confidence`` and ``accuracy``, (bins,) each; of empty bins NaN.
        title: A line above the figure.

    Raises:
        ValueError: If there is no diagram, or the three differ in length.
    """
    if not bins:
        raise ValueError("bins is empty: expected at least one caption with bins")
    for caption, values in bins.items():
        lengths = {name: len(values[name]) for name in ("share", "confidence", "accuracy")}
        if len(set(lengths.values())) > 1:
            raise ValueError(f"bins[{caption!r}] has {lengths} values; expected as many of each")
    cells = [_diagram(caption, values) for caption, values in bins.items()]
    row = np.concatenate(cells, axis=1)
    row = np.concatenate([row, blank(len(row), GAP)], axis=1)
    width = row.shape[1]
    colours = {"accuracy": _ACCURACY, "surer than right": _LESS, "less sure than right": _MORE}
    key = legend(list(colours), list(colours.values()), width - GAP, size=_TEXT)
    key = np.pad(key, ((0, 0), (GAP // 2, GAP - GAP // 2), (0, 0)), constant_values=PAPER[0])
    return np.concatenate([*([title_strip(title, width)] if title else []), row, key])


def _diagram(caption: str, values: Mapping[str, Sequence[float]]) -> Picture:
    width = GAP + _LEFT + _PLOT
    paper = blank(CAPTION + _PLOT + GAP + _SHARES + _BELOW, width)
    put_text(paper, caption, GAP + _LEFT, CAPTION / 2, _PLOT)
    left = GAP + _LEFT
    plot = paper[CAPTION : CAPTION + _PLOT, left:]
    for part in range(1, 5):
        place = part * _PLOT // 5
        plot[place], plot[:, place] = _GRID, _GRID
    edges = np.linspace(0, _PLOT, len(values["share"]) + 1).round().astype(int)
    shares = paper[CAPTION + _PLOT + GAP : CAPTION + _PLOT + GAP + _SHARES, left:]
    largest = max((share for share in values["share"] if not math.isnan(share)), default=0)
    for number, (share, sure, right) in enumerate(
        zip(values["share"], values["confidence"], values["accuracy"], strict=True)
    ):
        if math.isnan(right):
            continue
        columns = slice(edges[number] + 1, edges[number + 1])
        _bar(plot, columns, 0, right, _ACCURACY)
        _bar(plot, columns, min(sure, right), max(sure, right), _LESS if sure > right else _MORE)
        _bar(shares, columns, 0, share / largest, _ACCURACY)
    cv2.line(plot, (0, _PLOT - 1), (_PLOT - 1, 0), INK, 1, cv2.LINE_AA)
    for area in (plot, shares):
        area[[0, -1]], area[:, [0, -1]] = INK, INK
    for part in range(6):
        text = f"{part / 5:g}"
        middle = CAPTION + _PLOT * (1 - part / 5)
        if part:
            draw_text(paper, text, left - 8 - text_width(text, _TEXT), middle, _TEXT)
        place = left + _PLOT * part / 5 - text_width(text, _TEXT) / 2
        place = min(place, width - text_width(text, _TEXT))
        below = CAPTION + _PLOT + GAP + _SHARES
        draw_text(paper, text, place, below + 13, _TEXT)
    put_text(paper, "confidence", left, below + 34, _PLOT, MUTED)
    _upright(paper, "accuracy", GAP, CAPTION + _PLOT // 2)
    _upright(paper, "pixels", GAP, below - _SHARES // 2)
    text = f"{largest:.0%}"
    draw_text(paper, text, left - 8 - text_width(text, _TEXT), below - _SHARES + 6, _TEXT)
    return paper


def _bar(
    area: Picture, columns: slice, low: float, high: float, colour: tuple[int, int, int]
) -> None:
    height = len(area)
    area[round((1 - high) * height) : round((1 - low) * height), columns] = colour


def _upright(paper: Picture, text: str, left: int, middle: int) -> None:
    """Text that reads from below, in place."""
    strip = np.full((18, text_width(text, _TEXT) + 4, 3), PAPER, dtype=np.uint8)
    draw_text(strip, text, 2, 9, _TEXT, colour=MUTED)
    turned = np.rot90(strip)
    top = middle - len(turned) // 2
    paper[top : top + len(turned), left - 8 : left - 8 + turned.shape[1]] = turned
