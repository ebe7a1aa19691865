import itertools

import numpy as np
import pytest

from data_prep.classes import SYNWOODSCAPE_CLASSES, ClassList


@pytest.mark.parametrize("name", SYNWOODSCAPE_CLASSES)
def test_ids_become_the_class_of_their_name(name):
    classes = SYNWOODSCAPE_CLASSES[name]
    original = SYNWOODSCAPE_CLASSES["all"].names
    assert len(classes.class_of_id) == 25
    for id_, class_ in enumerate(classes.class_of_id):
        if class_:
            assert classes.names[class_] == original[id_]


@pytest.mark.parametrize("name", SYNWOODSCAPE_CLASSES)
def test_colours_can_be_told_apart(name):
    colours = np.array(SYNWOODSCAPE_CLASSES[name].colours)
    assert ((colours >= 0) & (colours <= 255)).all()
    nearest = min(np.linalg.norm(a - b) for a, b in itertools.combinations(colours, 2))
    assert nearest > (20 if name == "all" else 40)


def test_classes_of_every_id():
    ids = np.arange(25, dtype=np.uint8).reshape(5, 5)
    classes = SYNWOODSCAPE_CLASSES["large-ad"]
    expected = np.array(classes.class_of_id).reshape(5, 5)
    np.testing.assert_array_equal(classes.classes_of(ids, "a.png"), expected)


def test_unknown_ids_are_named():
    ids = np.array([[0, 24], [200, 25]], dtype=np.uint8)
    with pytest.raises(ValueError, match=r"^a.png holds the unknown class ids 25, 200; the ids"):
        SYNWOODSCAPE_CLASSES["large"].classes_of(ids, "a.png")


@pytest.mark.parametrize(
    ("colours", "class_of_id", "weights", "match"),
    [
        (((0, 0, 0),), (0, 1), None, "as many colours"),
        (((0, 0, 0), (1, 1, 1)), (0, 1), (1.0,), "as many colours and weights"),
        (((0, 0, 0), (1, 1, 1)), (0, 0), None, "must reach every class 0..1"),
        (((0, 0, 0), (1, 1, 1)), (0, 2), None, "must reach every class 0..1"),
    ],
)
def test_lists_that_do_not_fit(colours, class_of_id, weights, match):
    with pytest.raises(ValueError, match=match):
        ClassList(("a", "b"), colours, class_of_id, weights)
