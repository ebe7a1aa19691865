"""Values of command line options in the forms in which they are typed."""

from __future__ import annotations

import argparse
import re

# Pixels at the left, top, right and bottom side.
_SIDES = re.compile(r"\d+(,\d+){3}")


def names(text: str) -> tuple[str, ...]:
    """Words between commas."""
    return tuple(name.strip() for name in text.split(",") if name.strip())


def base_pixels(text: str) -> tuple[int, ...]:
    """Numbers of base pixels, e.g. "0-7" or "0,1,4"."""
    pixels: list[int] = []
    for part in text.split(","):
        match = re.fullmatch(r"\s*(\d+)(?:-(\d+))?\s*", part)
        if match is None:
            raise argparse.ArgumentTypeError(f"{text!r} is not like 0-7 or 0,1,4")
        first, last = int(match[1]), int(match[2] or match[1])
        if last > 11:
            raise argparse.ArgumentTypeError(f"{text!r}: base pixels are 0 to 11")
        pixels.extend(range(first, last + 1))
    return tuple(pixels)


def crop(text: str) -> tuple[int, ...] | str:
    """Pixels at the left, top, right and bottom side, or "green"."""
    if text == "green":
        return text
    if _SIDES.fullmatch(text) is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not like 0,3,0,3 (left, top, right, bottom)")
    return tuple(map(int, text.split(",")))


def size(text: str) -> tuple[int, int]:
    """Two sides in pixels, e.g. "640x484", in the order in which they are typed."""
    match = re.fullmatch(r"(\d+)x(\d+)", text)
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not like 640x484")
    return int(match[1]), int(match[2])
