"""Headers and ends of PNG and JPEG files."""

import cv2
import numpy as np
import pytest
from data_prep_layouts import picture, write_image
from hypothesis import given
from hypothesis import strategies as st

from data_prep.readers.images import read_image_header
from data_prep.readers.jpeg import decode_jpeg
from data_prep.readers.png import decode_png

WAYS = {
    "a.png": [],
    "a.jpg": [],
    "progressive.jpeg": [cv2.IMWRITE_JPEG_PROGRESSIVE, 1],
    "restarts.jpg": [cv2.IMWRITE_JPEG_RST_INTERVAL, 4],
}


@pytest.fixture(scope="module", params=WAYS)
def file(request, tmp_path_factory):
    path = tmp_path_factory.mktemp("images") / request.param
    cv2.imwrite(str(path), picture(1, 37, 23), WAYS[request.param])
    return path


def test_size_and_kind(file):
    header = read_image_header(file)
    assert (header.width, header.height, header.bits, header.colour) == (37, 23, 8, "RGB")
    header.check(file, (37, 23), ("RGB",))
    with pytest.raises(ValueError, match=r"is 37 x 23 pixels, its calibration is for 64 x 48"):
        header.check(file, (64, 48), ("RGB",))
    with pytest.raises(ValueError, match=r"is 8-bit RGB, 16-bit grey is needed"):
        header.check(file, (37, 23), ("grey",), bits=16)


@given(share=st.floats(0, 1, exclude_max=True))
def test_whatever_is_missing_at_the_end_is_noticed(file, share):
    data = file.read_bytes()
    cut = file.with_name("cut" + file.suffix)
    cut.write_bytes(data[: int(share * len(data))])
    with pytest.raises(ValueError, match=r"cut\.\w+ is (no (PNG|JPEG) file|truncated: the end)"):
        read_image_header(cut)


def test_something_may_follow_the_end(file):
    longer = file.with_name("longer" + file.suffix)
    longer.write_bytes(file.read_bytes() + b"maker's notes")
    assert read_image_header(longer) == read_image_header(file)


def test_a_preview_inside_a_jpeg_is_not_its_end(tmp_path):
    """Cameras put a small JPEG before the frame header; its end marker is not the file's."""
    whole = cv2.imencode(".jpg", picture(1))[1].tobytes()
    preview = cv2.imencode(".jpg", picture(2, 16, 12))[1].tobytes()
    segment = b"\xff\xe1" + (len(preview) + 2).to_bytes(2, "big") + preview
    path = tmp_path / "a.jpg"
    path.write_bytes(whole[:2] + segment + whole[2:])
    assert (read_image_header(path).width, read_image_header(path).height) == (64, 48)
    path.write_bytes((whole[:2] + segment + whole[2:])[:-300])
    with pytest.raises(ValueError, match=r"a\.jpg is truncated"):
        read_image_header(path)


def test_orientation_tags_are_not_obeyed(tmp_path):
    """A tag that asks for half a turn: the pixels stay where the calibration has them."""
    plain = cv2.imencode(".jpg", picture(1))[1].tobytes()
    tag = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x03\0\0\0\0\0\0\0"
    turned = plain[:2] + b"\xff\xe1" + (len(tag) + 2).to_bytes(2, "big") + tag + plain[2:]
    flipped = cv2.imdecode(np.frombuffer(turned, np.uint8), cv2.IMREAD_COLOR_RGB)
    assert (flipped != decode_jpeg(turned, "a.jpg")).any()
    np.testing.assert_array_equal(decode_jpeg(turned, "a.jpg"), decode_jpeg(plain, "a.jpg"))


@pytest.mark.parametrize("name", ["a.png", "a.jpg"])
def test_grey_images_are_told_from_others(tmp_path, name):
    write_image(tmp_path / name, picture(1)[..., 0])
    header = read_image_header(tmp_path / name)
    with pytest.raises(ValueError, match=rf"{name} is 8-bit grey, 8-bit RGB is needed"):
        header.check(tmp_path / name, (64, 48), ("RGB",))


def test_a_palette_is_told_from_grey(tmp_path):
    """A label image in palette colours would decode to colours, not to ids."""
    grey = cv2.imencode(".png", picture(1)[..., 0])[1].tobytes()
    path = tmp_path / "a.png"
    path.write_bytes(grey[:25] + b"\x03" + grey[26:])
    with pytest.raises(ValueError, match=r"is 8-bit palette, 8-bit grey is needed"):
        read_image_header(path).check(path, (64, 48), ("grey",))


def test_names_that_lie(tmp_path):
    (tmp_path / "a.jpg").write_bytes(cv2.imencode(".png", picture(1))[1].tobytes())
    (tmp_path / "a.png").write_bytes(cv2.imencode(".jpg", picture(1))[1].tobytes())
    with pytest.raises(ValueError, match=r"a\.jpg is no JPEG file"):
        read_image_header(tmp_path / "a.jpg")
    with pytest.raises(ValueError, match=r"a\.png is no PNG file"):
        read_image_header(tmp_path / "a.png")


def test_nonsense_is_not_decoded():
    with pytest.raises(ValueError, match=r"a\.jpg is damaged"):
        decode_jpeg(b"\xff\xd8 nonsense", "a.jpg")
    with pytest.raises(ValueError, match=r"a\.png is truncated or damaged"):
        decode_png(b"nonsense", "a.png")
