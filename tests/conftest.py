"""Shape checks while testing, one profile for all generated examples, and small data sets."""

from pathlib import Path

import pytest
from hypothesis import settings
from jaxtyping import install_import_hook

# Every annotated function of the packages is checked against its shapes; without this hook, as
# for users, the annotations cost nothing.
install_import_hook(["healswin", "s2cnn_baselines", "data_prep"], "shape_checker.check_arrays")

settings.register_profile("reproducible", derandomize=True, deadline=None, max_examples=60)
settings.load_profile("reproducible")


@pytest.fixture(scope="session")
def street(tmp_path_factory):
    """Five generated scenes of four small pictures each, in the layout of SynWoodScape."""
    from data_prep.street import write_street

    out = tmp_path_factory.mktemp("street") / "raw"
    write_street(out, scenes=5, width=96, height=72, seed=7, workers=1, progress=False)
    return out


@pytest.fixture(scope="session")
def prepared(street):
    """A function that converts the street to a grid once and returns the set's folder."""
    from data_prep.convert import Conversion, convert

    def make(pixels, classes="large-ad"):
        """On 8 base pixels of an nside, or as flat images of a (height, width)."""
        flat = isinstance(pixels, tuple)
        grid = {"nside": pixels, "base_pixels": tuple(range(8))}
        size = "{}x{}".format(*pixels) if flat else pixels
        out = street.parent / f"prepared_{size}_{Path(classes).stem}"
        if not out.exists():
            conversion = Conversion(
                street,
                **({"grid": "image", "size": pixels} if flat else grid),
                classes=classes,
                tasks=("semantic", "depth"),
                split="train:0.6,val:0.2,test:0.2",
            )
            convert(conversion, out, progress=False)
        return out

    return make
