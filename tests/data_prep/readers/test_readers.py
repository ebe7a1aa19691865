"""What holds for every reader."""

import pickle

import numpy as np
import pytest
from data_prep_layouts import (
    write_folder,
    write_healpix,
    write_kitti360,
    write_panoramas,
    write_woodscape,
)
from synwoodscape_folder import write_synwoodscape

from data_prep.classes import find_class_list
from data_prep.readers import READERS
from healswin.cameras import POLES
from healswin.resample import HealpixMap

WRITERS = {
    "woodscape": write_woodscape,
    "synwoodscape": write_synwoodscape,
    "kitti360": write_kitti360,
    "folder": write_folder,
    "panorama": write_panoramas,
    "healpix": write_healpix,
}


@pytest.fixture(scope="module", params=READERS)
def reader(request, tmp_path_factory):
    root = tmp_path_factory.mktemp(request.param) / "source"
    return READERS[request.param](WRITERS[request.param](root))


def test_frames_have_different_names_in_their_order(reader):
    frames = reader.frames(reader.tasks)
    names = [frame.name for frame in frames]
    assert names == sorted(set(names))
    for frame in frames:
        assert set(frame.files) >= {"image", *reader.tasks}
        assert all((reader.root / path).is_file() for path in frame.files.values())


def test_files_are_what_the_reader_says(reader):
    frames = reader.frames(reader.tasks)
    for frame in frames:
        camera = reader.calibration(frame)
        reader.check(frame, camera)
        data = {kind: (reader.root / path).read_bytes() for kind, path in frame.files.items()}
        channels, dtype = reader.image_format(frames)
        image = reader.image(data["image"], frame.files["image"])
        shape = (
            (camera.num_pixels,)
            if isinstance(camera, HealpixMap)
            else (camera.height, camera.width)
        )
        assert (image.shape, image.dtype) == ((*shape, channels), np.dtype(dtype))
        if "semantic" in reader.tasks:
            ids = reader.semantic(data["semantic"], frame.files["semantic"])
            assert ids.shape == shape
            classes = find_class_list(reader, None)
            assert classes.classes_of(ids, "labels").max() < len(classes.names)
        if "depth" in reader.tasks:
            depth = reader.depth(data["depth"], frame.files["depth"])
            assert depth.shape == shape
            assert np.isinf(depth).any()
            assert not (depth <= 0).any()


def test_readers_travel_into_workers(reader):
    frames = reader.frames(())
    calibrations = [reader.calibration(frame) for frame in frames]
    again = pickle.loads(pickle.dumps(reader))
    assert again.frames(()) == frames
    assert [again.calibration(frame) for frame in frames] == calibrations


def test_defaults(reader):
    assert reader.default_pole in POLES
    assert reader.default_tasks() == (("semantic",) if "semantic" in reader.tasks else ())
    assert reader.default_classes in (None, *reader.classes)


@pytest.mark.parametrize("name", READERS)
def test_empty_and_missing_folders(tmp_path, name):
    with pytest.raises(ValueError, match=r"source folder .*nowhere does not exist"):
        READERS[name](tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    reader = READERS[name](tmp_path / "empty")
    assert reader.default_tasks() == ()
    with pytest.raises(ValueError, match=r"empty holds no (images|maps): .* are expected"):
        reader.frames(reader.tasks)
