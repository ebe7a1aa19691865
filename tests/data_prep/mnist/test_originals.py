"""Where pictures come from: folders in several layouts, scikit-learn, downloads."""

import gzip
import hashlib
import shutil
import sys
import types

import numpy as np
import pytest
from idx_folder import idx_bytes, tiny_pictures, write_idx_folder

from data_prep.mnist.originals import FASHION_NAMES, cache_folder, find_originals


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("layout", ["", "raw", "MNIST/raw"])
def test_layouts(tmp_path, layout, compressed):
    write_idx_folder(tmp_path / "source" / layout, compressed=compressed)
    originals = find_originals(str(tmp_path / "source"))
    assert {name: len(part) for name, part in originals.parts.items()} == {"train": 24, "test": 10}
    images, labels = tiny_pictures(24, 1)
    np.testing.assert_array_equal(originals.parts["train"].images, images)
    np.testing.assert_array_equal(originals.parts["train"].labels, labels)
    assert originals.side == 8
    assert originals.label_names == tuple("0123456789")
    for file in originals.files:
        data = (tmp_path / "source" / file["path"]).read_bytes()
        assert file["size"] == len(data)
        assert file["sha256"] == hashlib.sha256(data).hexdigest()
    assert len(originals.files) == 4


def test_names_with_a_dot(tmp_path):
    root = write_idx_folder(tmp_path / "source", compressed=False)
    for path in list(root.iterdir()):
        path.rename(path.with_name(path.name.replace("-idx", ".idx")))
    assert len(find_originals(str(root)).parts["test"]) == 10


def test_clothes_are_known_by_the_name_of_their_folder(tmp_path):
    write_idx_folder(tmp_path / "FashionMNIST/raw")
    assert find_originals(str(tmp_path / "FashionMNIST")).label_names == FASHION_NAMES
    assert find_originals(str(tmp_path)).label_names == FASHION_NAMES


def test_more_than_ten_labels(tmp_path):
    root = write_idx_folder(tmp_path / "letters", compressed=False)
    labels = np.arange(24, dtype=np.uint8)
    (root / "train-labels-idx1-ubyte").write_bytes(idx_bytes(labels))
    assert find_originals(str(root)).label_names == tuple(map(str, range(24)))


def test_two_sets_in_one_folder(tmp_path):
    write_idx_folder(tmp_path / "MNIST/raw")
    write_idx_folder(tmp_path / "FashionMNIST/raw")
    with pytest.raises(ValueError, match="pictures in MNIST/raw and FashionMNIST/raw: name"):
        find_originals(str(tmp_path))


def test_an_empty_folder_and_what_is_none(tmp_path):
    with pytest.raises(ValueError, match="holds no train-images-idx3-ubyte"):
        find_originals(str(tmp_path))
    with pytest.raises(ValueError, match="is no folder and none of the names digits, mnist"):
        find_originals(str(tmp_path / "nowhere"))


def test_a_missing_file(tmp_path):
    root = write_idx_folder(tmp_path / "source")
    (root / "t10k-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(ValueError, match="t10k-labels-idx1-ubyte is missing"):
        find_originals(str(root))


@pytest.mark.parametrize(
    ("file", "values", "message"),
    [
        ("train-labels-idx1", np.zeros(23), "holds 24 pictures, train-labels.* 23 labels"),
        ("train-images-idx3", np.zeros((24, 8, 9)), r"pictures of \(24, 8, 9\): squares"),
        ("train-images-idx3", np.zeros((24, 0, 0)), r"pictures of \(24, 0, 0\): squares"),
        ("t10k-images-idx3", np.zeros((10, 9, 9)), "different sides"),
        ("train-labels-idx1", np.full(24, 254), "holds the label 254, at most 253"),
    ],
)
def test_files_that_contradict_each_other(tmp_path, file, values, message):
    root = write_idx_folder(tmp_path / "source")
    (root / f"{file}-ubyte.gz").write_bytes(gzip.compress(idx_bytes(values)))
    with pytest.raises(ValueError, match=message):
        find_originals(str(root))


def test_no_pictures_at_all(tmp_path):
    with pytest.raises(ValueError, match=r"pictures of \(0, 8, 8\)"):
        find_originals(str(write_idx_folder(tmp_path / "source", train=0)))


def test_the_digits_of_scikit_learn():
    originals = find_originals("digits")
    assert {name: len(part) for name, part in originals.parts.items()} == {
        "train": 1500,
        "test": 297,
    }
    for part in originals.parts.values():
        assert part.images.shape[1:] == (28, 28)
        assert part.images.max() == 255
        # All ten in about equal shares.
        assert np.bincount(part.labels, minlength=10).min() > 0.08 * len(part)


def test_the_digits_of_scikit_learn_are_scaled_bilinearly():
    from sklearn.datasets import load_digits

    places = (np.arange(28) + 0.5) * 8 / 28 - 0.5

    def scaled(values):
        return np.apply_along_axis(lambda line: np.interp(places, np.arange(8), line), 1, values)

    images = find_originals("digits").parts["train"].images
    for number in (0, 7, 1234):
        expected = scaled(scaled(load_digits().images[number]).T).T * 255 / 16
        assert np.abs(images[number] - expected).max() < 0.51


@pytest.fixture
def torchvision(monkeypatch, tmp_path):
    """A stand-in whose downloads are made here; the calls are noted."""
    calls = []

    def download(name):
        def dataset(root, download):
            calls.append((name, root, download))
            write_idx_folder(root / name / "raw")

        return dataset

    module = types.ModuleType("torchvision")
    module.datasets = types.SimpleNamespace(
        MNIST=download("MNIST"), FashionMNIST=download("FashionMNIST")
    )
    monkeypatch.setitem(sys.modules, "torchvision", module)
    monkeypatch.setenv("HEALSWIN_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("HEALSWIN_OFFLINE", raising=False)
    module.calls = calls
    return module


def test_downloads_go_into_the_cache_once(torchvision, tmp_path, monkeypatch):
    root = tmp_path / "cache" / "datasets"
    assert find_originals("fashion-mnist").label_names == FASHION_NAMES
    assert find_originals("mnist").label_names == tuple("0123456789")
    expected = [("FashionMNIST", root, True), ("MNIST", root, True)]
    assert torchvision.calls == expected
    monkeypatch.setenv("HEALSWIN_OFFLINE", "1")
    assert len(find_originals("mnist").parts["train"]) == 24
    assert torchvision.calls == expected
    shutil.rmtree(root)
    with pytest.raises(ValueError, match="HEALSWIN_OFFLINE forbids to download it"):
        find_originals("mnist")


def test_a_download_that_fails(torchvision, monkeypatch):
    def fail(root, download):
        raise RuntimeError("Error downloading train-images-idx3-ubyte.gz")

    monkeypatch.setattr(torchvision.datasets, "MNIST", fail)
    with pytest.raises(RuntimeError, match=r"'mnist' cannot be downloaded .*name their folder"):
        find_originals("mnist")


def test_the_cache_folder(monkeypatch, tmp_path):
    monkeypatch.delenv("HEALSWIN_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "healswin"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_folder().parts[-2:] == (".cache", "healswin")
