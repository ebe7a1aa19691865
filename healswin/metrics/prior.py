"""The baseline that sees no image: at every pixel, that pixel's most frequent training class.

A camera that is fixed to a vehicle sees the sky at the top and its own bonnet at the bottom of
every frame. A prediction that knows only this already scores well above zero; what a model gains
over it is what the model has learned from the images.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, UInt8


@dataclass(frozen=True, eq=False)
class PixelPrior:
    """Each pixel's most frequent class.

    Attributes:
        prediction: uint8, the shape of one label array: the class predicted at each pixel.
        most_frequent: The most frequent class of all pixels together (by area, if areas are given),
            predicted where a pixel was never labelled.
    """

    prediction: UInt8[np.ndarray, "*any"]
    most_frequent: int

    @classmethod
    def from_labels(
        cls,
        labels: Iterable[np.ndarray],
        num_classes: int,
        ignore_index: int = 255,
        areas: Float[np.ndarray, "*any"] | None = None,
    ) -> PixelPrior:
        """Count the classes at every pixel over the training labels.

        Of classes that are equally frequent the lowest is taken. Memory is 4 bytes for every
        pixel and class; the samples are read one after the other.

        Args:
            labels: Integer arrays of class ids, all of one shape: (pixels,) on a grid,
                (height, width) in an image. A prepared set holds uint8.
            num_classes: Number of classes; ids are 0..num_classes-1.
            ignore_index: Id of pixels that do not count.
            areas: Of the pixels, of the shape of one label array: what each counts for
                ``most_frequent``. All alike by default.

        Returns:
            The prior, whose prediction has the shape of one label array.

        Raises:
            ValueError: If there is no labelled pixel at all, if the shapes differ, or if a label
                is neither a class nor ``ignore_index``.
        """
        if not 1 <= num_classes <= 256:
            raise ValueError(f"num_classes={num_classes} must be in 1..256: labels are uint8")
        counts: np.ndarray | None = None
        shape: tuple[int, ...] = ()
        for sample, array in enumerate(labels):
            flat = np.asarray(array).ravel()
            if counts is None:
                shape = np.shape(array)
                counts = np.zeros((flat.size, num_classes), dtype=np.int32)
            elif np.shape(array) != shape:
                raise ValueError(
                    f"labels[{sample}] has shape {np.shape(array)}; the ones before have {shape}"
                )
            counted = np.flatnonzero(flat != ignore_index)
            classes = flat[counted].astype(np.int64)
            if classes.size and (classes.min() < 0 or classes.max() >= num_classes):
                wrong = classes[(classes < 0) | (classes >= num_classes)][0]
                raise ValueError(
                    f"labels[{sample}] holds class {wrong}; expected 0..{num_classes - 1} or "
                    f"ignore_index={ignore_index}"
                )
            # A pixel occurs once in a sample, so that no increment is lost.
            counts[counted, classes] += 1
        if counts is None or not counts.any():
            raise ValueError("labels holds no labelled pixel: there is no most frequent class")
        weights = np.ones(len(counts)) if areas is None else np.asarray(areas).ravel()
        if len(weights) != len(counts):
            raise ValueError(f"areas has {len(weights)} values; the labels have {len(counts)}")
        most_frequent = int((weights @ counts).argmax())
        prediction = counts.argmax(axis=1)
        prediction[~counts.any(axis=1)] = most_frequent
        return cls(prediction.astype(np.uint8).reshape(shape), most_frequent)
