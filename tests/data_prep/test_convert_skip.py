"""Frames that are wrong are left out and reported with --on-error skip."""

import cv2
import numpy as np
import pytest
from synwoodscape_folder import tree_bytes, write_synwoodscape

from data_prep.cli import main
from data_prep.conversion import Conversion
from data_prep.convert import convert
from healswin.data import PreparedSet

TASKS = ("semantic", "depth")


@pytest.fixture
def source(tmp_path):
    return write_synwoodscape(tmp_path / "source", scenes=8, cameras=("FV",))


def spoil(source):
    """Five frames with one mistake each, of all kinds; their names."""
    labels = source / "semantic_annotations/gtLabels"
    (labels / "00001_FV.png").unlink()
    image = source / "rgb_images/00003_FV.png"
    image.write_bytes(image.read_bytes()[:500])
    damaged = bytearray((source / "rgb_images/00004_FV.png").read_bytes())
    damaged[len(damaged) // 2] ^= 0xFF
    (source / "rgb_images/00004_FV.png").write_bytes(damaged)
    cv2.imwrite(str(labels / "00006_FV.png"), np.full((48, 64), 77, dtype=np.uint8))
    depth = np.full((48, 64), np.nan, dtype=np.float32)
    np.save(source / "depth_maps/raw_data/00007_FV.npy", depth)
    return ["00001_FV", "00003_FV", "00004_FV", "00006_FV", "00007_FV"]


def skipping(source, out, **arguments):
    conversion = Conversion(source, nside=8, tasks=TASKS)
    return convert(conversion, out, on_error="skip", progress=False, **arguments)


@pytest.mark.parametrize("workers", [1, 2])
def test_the_rest_is_what_it_would_be_alone(source, tmp_path, workers):
    alone = write_synwoodscape(tmp_path / "alone", scenes=8, cameras=("FV",))
    wrong = spoil(source)
    for name in wrong:
        for file in alone.rglob(f"{name}.*"):
            file.unlink()
    text = skipping(source, tmp_path / "set", workers=workers)
    skipping(alone, tmp_path / "reference")
    made, reference = (PreparedSet.open(tmp_path / name) for name in ("set", "reference"))
    assert made.sample_names == reference.sample_names == ["00002_FV", "00005_FV", "00008_FV"]
    assert made.split == reference.split
    for index in range(3):
        np.testing.assert_array_equal(made.image(index), reference.image(index))
        np.testing.assert_array_equal(made.depth(index), reference.depth(index))
    assert made.image_mean == reference.image_mean
    report = {entry["name"]: entry["reason"] for entry in made.attributes["skipped"]}
    assert list(report) == wrong
    for name, reason in report.items():
        assert f"{name}." in reason
        assert f"{name}: {reason}" in text
    assert "5 frames were skipped" in text


def test_a_resumed_conversion_keeps_what_it_left_out(source, tmp_path, monkeypatch):
    spoil(source)
    skipping(source, tmp_path / "undisturbed")
    record, count = "healswin.data.writer.PreparedSetWriter.record", []
    from healswin.data.writer import PreparedSetWriter

    whole = PreparedSetWriter.record

    def stop_at_the_second(self, index, facts):
        count.append(index)
        if len(count) == 2:
            raise KeyboardInterrupt
        whole(self, index, facts)

    monkeypatch.setattr(record, stop_at_the_second)
    with pytest.raises(KeyboardInterrupt):
        skipping(source, tmp_path / "set")
    monkeypatch.undo()
    # Mended meanwhile: it would give the set another sample, whose row is not there.
    other = write_synwoodscape(tmp_path / "other", scenes=8, cameras=("FV",))
    for part in ("rgb_images", "semantic_annotations/gtLabels"):
        good = (other / part / "00001_FV.png").read_bytes()
        (source / part / "00001_FV.png").write_bytes(good)
    text = skipping(source, tmp_path / "set")
    assert "2 of them converted now" in text
    assert tree_bytes(tmp_path / "set") == tree_bytes(tmp_path / "undisturbed")
    assert "6 frames" not in skipping(source, tmp_path / "set", overwrite=True)
    assert len(PreparedSet.open(tmp_path / "set")) == 4


def test_nothing_left_is_an_error(source, tmp_path):
    for file in (source / "calibration").iterdir():
        file.unlink()
    with pytest.raises(ValueError, match=r"no frame of .*can be converted: .*00001_FV"):
        skipping(source, tmp_path / "set")
    assert not (tmp_path / "set.partial").exists()


def test_the_command_reports_and_inspect_lists(source, tmp_path, capsys):
    spoil(source)
    out = str(tmp_path / "set")
    command = ["convert", str(source), out, "--nside", "4", "--tasks", "semantic,depth"]
    assert main(command) == 2
    assert "00001_FV" in capsys.readouterr().err
    assert main([*command, "--on-error", "skip"]) == 0
    assert "5 frames were skipped" in capsys.readouterr().out
    assert main(["inspect", out]) == 0
    assert "00006_FV" in capsys.readouterr().out
