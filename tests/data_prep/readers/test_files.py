import pytest
from data_prep_layouts import picture, write_image

from data_prep.readers.files import files_in, folders_in, read_bytes, source_folder


def test_files_are_sorted_and_suffixes_have_any_case(tmp_path):
    for name in ("b.PNG", "a.png", ".hidden.png", "c.txt"):
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "folder.png").mkdir()
    (tmp_path / ".git").mkdir()
    assert files_in(tmp_path, (".png",)) == ["a.png", "b.PNG"]
    assert folders_in(tmp_path) == ["folder.png"]
    assert files_in(tmp_path / "nowhere", (".png",)) == []
    assert files_in(tmp_path / "c.txt", (".png",)) == []


def test_what_cannot_be_read_is_named(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(ValueError, match=r"nothing is missing"):
        read_bytes(tmp_path / "nothing")
    with pytest.raises(ValueError, match=r"file/deeper is missing"):
        read_bytes(tmp_path / "file/deeper")
    with pytest.raises(ValueError, match=r"is a folder, a file is needed"):
        read_bytes(tmp_path)
    with pytest.raises(ValueError, match=r"nothing does not exist"):
        source_folder(tmp_path / "nothing")
    with pytest.raises(ValueError, match=r"file is a file, a folder is needed"):
        source_folder(tmp_path / "file")


def test_files_and_folders_without_permission_are_named(tmp_path, monkeypatch):
    """The administrator may read everything, so that the system's answer is put in."""

    def refuse(*arguments):
        raise PermissionError

    write_image(tmp_path / "a.png", picture(0))
    with monkeypatch.context() as patch:
        patch.setattr("pathlib.Path.read_bytes", refuse)
        with pytest.raises(ValueError, match=r"a\.png may not be read: no permission"):
            read_bytes(tmp_path / "a.png")
    with monkeypatch.context() as patch:
        patch.setattr("os.scandir", refuse)
        with pytest.raises(ValueError, match=r"may not be read: no permission"):
            files_in(tmp_path, (".png",))
    with monkeypatch.context() as patch:
        patch.setattr("os.listdir", refuse)
        with pytest.raises(ValueError, match=r"may not be read: no permission"):
            source_folder(tmp_path)
