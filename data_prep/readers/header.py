"""What the header of an image file says."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class ImageHeader:
    """Size and kind of an image.

    Args:
        width: In pixels.
        height: In pixels.
        bits: Bits a channel.
        colour: "grey", "RGB", "RGB with alpha", ...
    """

    width: int
    height: int
    bits: int
    colour: str

    def check(
        self,
        path: Path,
        size: tuple[int, int],
        colours: tuple[str, ...],
        bits: int = 8,
        reference: str = "its calibration is for",
    ) -> None:
        """Check that the image is what is needed.

        Args:
            path: Its file, for the message.
            size: (width, height) that it must have.
            colours: Kinds of colour that it may have.
            bits: Bits a channel that it must have.
            reference: What has that size, for the message.

        Raises:
            ValueError: If it is of another size or kind.
        """
        check_size(path, (self.width, self.height), size, reference)
        if self.bits != bits or self.colour not in colours:
            wanted = " or ".join(colours)
            raise ValueError(
                f"{path} is {self.bits}-bit {self.colour}, {bits}-bit {wanted} is needed"
            )


def check_size(path: Path, size: tuple[int, int], wanted: tuple[int, int], reference: str) -> None:
    """Check (width, height) of an image or depth file.

    Raises:
        ValueError: If they differ.
    """
    if size != wanted:
        raise ValueError(
            f"{path} is {size[0]} x {size[1]} pixels, {reference} {wanted[0]} x {wanted[1]}"
        )
