"""Prepared data sets: their format, reading, writing, and the data module that trains from them.

* `healswin.data.store` says what a prepared set is and reads it;
* `healswin.data.writer` builds one so that it can be killed at any moment;
* `healswin.data.sources` goes back to the images, labels and depth a set was made from;
* `healswin.data.depth_files` says what the depth files of a data set hold;
* `healswin.data.transforms` turns stored values into a network's input and back;
* `healswin.data.depth` turns metres into what a network learns of them and back;
* `healswin.data.augment` changes training samples at random, `healswin.data.batch_augment` whole
  batches on their device;
* `healswin.data.preparing` makes a set that is not there yet;
* `healswin.data.prepared` is the LightningDataModule;
* `healswin.data.predictions` writes and reads what a model predicted;
* `healswin.data.ply` writes and reads point clouds.

Nothing here knows a task or a model. torch and lightning are imported only when the data module
is asked for, because conversion workers import this package too.
"""

from importlib import import_module

_HOMES = {
    "DepthScale": "healswin.data.depth",
    "PreparedDataModule": "healswin.data.prepared",
    "PreparedDataset": "healswin.data.prepared",
    "PreparedSet": "healswin.data.store",
    "PreparedSetWriter": "healswin.data.writer",
}

__all__ = [
    "DepthScale",
    "PreparedDataModule",
    "PreparedDataset",
    "PreparedSet",
    "PreparedSetWriter",
]


def __getattr__(name: str) -> object:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'healswin.data' has no attribute {name!r}; it has {__all__}")


def __dir__() -> list[str]:
    return __all__
