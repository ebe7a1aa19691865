import io

import cv2
import numpy as np
import pytest
from data_prep_layouts import metres, write_image, write_npy

from data_prep.readers.depth import check_depth, decode_depth

REFERENCE = "its calibration is for"


def npy(values):
    buffer = io.BytesIO()
    np.save(buffer, values)
    return buffer.getvalue()


def test_metres_and_millimetres_agree():
    depth = metres(1)
    millimetres = np.rint(1000 * np.where(np.isinf(depth), 0, depth)).astype(np.uint16)
    from_png = decode_depth(cv2.imencode(".png", millimetres)[1].tobytes(), "a.png")
    from_npy = decode_depth(npy(depth), "a.npy")
    assert from_png.dtype == from_npy.dtype == np.float32
    known = np.isfinite(from_npy)
    np.testing.assert_allclose(from_png[known], from_npy[known], atol=0.501e-3)
    assert np.isnan(from_png[~known]).all()


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_zero_is_unknown_and_infinity_no_return(dtype):
    depth = decode_depth(npy(np.array([[0, np.inf, 2.5]], dtype)), "a.npy")
    np.testing.assert_array_equal(depth, np.array([[np.nan, np.inf, 2.5]], np.float32))


@pytest.mark.parametrize(
    ("value", "match"),
    [
        (-2, r"a\.npy holds the negative depth -2.*write 0 where the depth is not known"),
        (-np.inf, r"a\.npy holds the negative depth -inf"),
        (np.nan, r"a\.npy holds NaN as depth: write 0 where .* and inf where nothing is met"),
    ],
)
def test_what_is_no_distance_is_refused(value, match):
    depth = np.array([[1, value, np.nan if value < 0 else 3]], np.float32)
    with pytest.raises(ValueError, match=match):
        decode_depth(npy(depth), "a.npy")


def test_files_that_fit(tmp_path):
    write_npy(tmp_path / "a.npy", metres(1))
    write_image(tmp_path / "a.png", np.ones((48, 64), np.uint16))
    check_depth(tmp_path / "a.npy", (64, 48), REFERENCE)
    check_depth(tmp_path / "a.png", (64, 48), REFERENCE)
    for name in ("a.npy", "a.png"):
        with pytest.raises(ValueError, match=rf"{name} is 64 x 48 pixels, {REFERENCE} 60 x 40"):
            check_depth(tmp_path / name, (60, 40), REFERENCE)


@pytest.mark.parametrize(
    ("values", "match"),
    [
        (np.ones((48, 64), np.int32), r"holds int32 of shape \(48, 64\), floating point"),
        (np.ones((48, 64, 1), np.float32), r"of shape \(48, 64, 1\)"),
        (np.array([{}]), "is no whole .npy file"),
    ],
)
def test_arrays_of_another_kind(tmp_path, values, match):
    np.save(tmp_path / "a.npy", values, allow_pickle=True)
    with pytest.raises(ValueError, match=match):
        check_depth(tmp_path / "a.npy", (64, 48), REFERENCE)


def test_a_depth_image_of_eight_bits(tmp_path):
    write_image(tmp_path / "a.png", np.ones((48, 64), np.uint8))
    with pytest.raises(ValueError, match=r"is 8-bit grey, 16-bit grey is needed"):
        check_depth(tmp_path / "a.png", (64, 48), REFERENCE)


@pytest.mark.parametrize("keep", [0.0, 0.5, 0.99])
def test_truncated_arrays(tmp_path, keep):
    data = npy(metres(1))
    data = data[: int(keep * len(data))]
    (tmp_path / "a.npy").write_bytes(data)
    with pytest.raises(ValueError, match=r"a\.npy is no whole \.npy file"):
        check_depth(tmp_path / "a.npy", (64, 48), REFERENCE)
    with pytest.raises(ValueError, match=r"a\.npy is no whole \.npy file"):
        decode_depth(data, "a.npy")
    with pytest.raises(ValueError, match=r"b\.npy is missing"):
        check_depth(tmp_path / "b.npy", (64, 48), REFERENCE)
