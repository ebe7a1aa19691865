"""The painted walls of houses: windows, brick and plaster, shops and doors."""

from __future__ import annotations

import numpy as np

from data_prep.street.points import GLASS_GLOSS, Points, Shade, put, rgb
from data_prep.street.texture import cloudy, coverage, detail, grain, repeated, scramble, wrap


def facade(at: Points) -> Shade:
    """Values: half x, half y, height, storey, bay, window width and height, style, ground, lit.

    Window sizes are shares of the bay and the storey; styles and grounds as in `buildings.py`.
    """
    x, y, z = at.place
    half_x, half_y, height, storey, bay, win_w, win_h, style, ground, lit = at.values[:10]
    size = at.footprint
    gable = np.abs(at.normal[0]) > 0.5
    along = np.where(gable, y, x)
    half = np.where(gable, half_y, half_x)
    bays = np.maximum(np.round(2 * half / bay), 1)
    wide = 2 * half / bays
    seed = at.seed + gable * 7 + (at.normal[0] + at.normal[1] > 0) * 13
    column = np.floor((along + half) / wide)
    row = np.floor(np.maximum(z, 0) / storey)
    a = wrap(along + half, wide) - wide / 2
    b = wrap(np.maximum(z, 0), storey) - storey * 0.54
    fits = (row + 1) * storey <= height + 0.4
    brick, panels, curtain = style == 1, style == 2, style == 3
    # Side walls of rows of houses are mostly blank.
    blank = gable & (scramble(column, column * 0, seed) < 0.6) & ~curtain

    wall = at.colour * (0.80 + 0.4 * (cloudy(along + seed, z, 6.0)))
    streak = cloudy(along * 4 + seed, z * 0.25, 3.0)
    wall *= 1 - 0.35 * np.clip((streak - 0.55) * 3, 0, 1) * ~curtain
    wall *= 1 + detail(size, 0.05) * 0.18 * (grain(along, z, 0.05) - 0.5)
    course = np.floor(z / 0.075)
    shifted = along + np.where(wrap(course, 2) > 0, np.float32(0.11), 0)
    mortar = np.maximum(
        repeated(z, 0.075, 0.006, size),
        repeated(shifted, 0.22, 0.006, size),
    ) * detail(size, 0.12)
    tint = (scramble(course, np.floor(shifted / 0.22), seed) - 0.5) * detail(size, 0.15)
    wall = np.where(brick, wall * (1 + 0.5 * tint) * (1 - mortar) + 0.30 * mortar, wall)
    seams = np.maximum(repeated(along + half, wide, 0.02, size), repeated(z, storey, 0.02, size))
    wall *= 1 - 0.55 * seams * panels
    ledge = repeated(z, storey, 0.07, size) * (style == 0) * (scramble(seed, seed, seed) < 0.5)
    wall *= 1 + 0.25 * ledge

    half_w, half_h = wide * win_w / 2, storey * win_h / 2
    upper = fits & ~blank & ((row > 0) | (ground == 0))
    frame_w = np.where(curtain, np.float32(0.03), np.float32(0.07))
    outer = coverage(a, half_w + frame_w, size) * coverage(b, half_h + frame_w, size) * upper
    pane = coverage(a, half_w, size) * coverage(b, half_h, size) * upper
    bars = np.maximum(
        coverage(a, np.float32(0.025), size), coverage(b - half_h * 0.35, np.float32(0.02), size)
    )
    pane *= 1 - 0.8 * bars * ~curtain
    sill = coverage(b + half_h + 0.11, np.float32(0.05), size) * coverage(a, half_w + 0.12, size)
    dark_frame = scramble(seed, seed * 3, seed) < 0.4
    trim = np.where(dark_frame, np.float32(0.06), np.float32(0.62))
    colour = wall * (1 - outer) + trim * outer
    colour = colour * (1 - 0.8 * sill * upper * ~curtain) + 0.33 * sill * upper * ~curtain
    chance = scramble(column, row, seed)
    curtains = 0.03 + 0.30 * (chance > 0.55) * (np.abs(a) > half_w * (2.1 * chance - 1.0))
    inner = curtains * (0.75 + 0.5 * cloudy(along * 2 + seed, z * 2, 1.0))
    inner *= np.where(b > half_h * 0.8, np.float32(0.5), np.float32(1))  # shade under the lintel
    glass_tone = np.where(curtain, np.float32(0.03), inner)
    colour = colour * (1 - pane) + rgb(0.95, 1.0, 1.05) * glass_tone * pane
    gloss = at.gloss * (1 - pane) + np.where(curtain, np.float32(0.18), np.float32(0.08)) * pane
    glow = pane * (chance < lit) * (0.55 + 0.8 * wrap(chance * 53, 1))

    low = (row == 0) & (ground > 0)
    index = np.flatnonzero(low)
    if index.size:
        sub = (along[index], z[index], a[index], wide[index], storey[index], column[index])
        _ground_floor(sub, at, index, seed[index], blank[index], colour, gloss, glow)
    base = coverage(z, np.float32(0.45), size) * ~curtain
    colour *= 1 - 0.35 * base
    top = (z > height - 0.3) & ~curtain
    colour *= 1 + 0.15 * top
    light = rgb(1.0, 0.72, 0.38) * glow
    return colour, gloss, light


def _ground_floor(
    coordinates: tuple[np.ndarray, ...],
    at: Points,
    index: np.ndarray,
    seed: np.ndarray,
    blank: np.ndarray,
    colour: np.ndarray,
    gloss: np.ndarray,
    glow: np.ndarray,
) -> None:
    """Shops, or doors between windows, on the lowest storey; writes into colour, gloss, glow."""
    along, z, a, wide, storey, column = coordinates
    second = at.second[:, index]
    shop = (at.values[8][index] == 1) & ~blank
    chance = scramble(column, column + 5, seed)
    paint = colour[:, index]
    shine, lamp = gloss[index], glow[index]

    sign_band = shop & (z > storey - 0.75) & (z < storey - 0.05)
    letters = sign_band & (np.abs(z - storey + 0.40) < 0.17)
    letters &= (scramble(np.floor(along / 0.11), np.floor(z / 0.08), seed) < 0.62) & (
        scramble(np.floor(along / 0.33), seed * 0, seed) < 0.8
    )
    front = shop & (z <= storey - 0.75) & (z > 0.5) & (np.abs(a) < wide / 2 - 0.09)
    doorway = shop & (chance < 0.3) & (np.abs(a) < 0.55) & (z < 2.25)
    shelf, place = np.floor(z / 0.55), np.floor(along / 0.42)
    ware = scramble(place, shelf, seed + 3)
    goods = 0.03 + 0.10 * cloudy(along * 1.5 + seed, z * 1.5, 1.3)
    goods += (
        0.30
        * ware
        * (ware > 0.35)
        * (wrap(z, 0.55) < 0.12 + 0.4 * ware)
        * (wrap(along, 0.42) < 0.36)
    )
    put(paint, shop, second)
    put(paint, letters, rgb(0.75, 0.74, 0.68))
    hue = np.stack([0.85 + 0.3 * ware, 1.1 - 0.25 * ware, 0.7 + 0.4 * wrap(7 * ware, 1)])
    wares = hue * goods + 0.2 * goods * second
    put(paint, front, wares)
    put(paint, doorway, 0.35 * wares)
    shine[front | doorway] = GLASS_GLOSS
    lamp[shop] = 0
    lamp += 0.25 * (front & (chance > 0.35)) * (goods + 0.2)

    house = ~shop & ~blank
    door = house & (chance < 0.4) & (np.abs(a) < 0.5) & (z < 2.2)
    panel = door & (np.abs(np.abs(a) - 0.22) < 0.15) & (wrap(z, 1.0) > 0.2) & (z < 2.0)
    window = house & (chance >= 0.4) & (np.abs(a) < 0.30 * wide) & (z > 0.95) & (z < 2.2)
    border = house & (chance >= 0.4) & (np.abs(a) < 0.30 * wide + 0.08) & (z > 0.87) & (z < 2.28)
    put(paint, border, rgb(0.55, 0.54, 0.52))
    put(paint, window, rgb(0.05, 0.055, 0.06) * (0.6 + cloudy(along + seed, z, 0.9)))
    put(paint, door, 0.6 * second)
    put(paint, panel, 0.42 * second)
    shine[window] = GLASS_GLOSS
    colour[:, index], gloss[index], glow[index] = paint, shine, lamp
