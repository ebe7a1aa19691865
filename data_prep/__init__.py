"""Making prepared data sets: readers of source data, generated scenes, and the conversion.

The command is ``healswin-prep`` (`data_prep.cli`). This package may import healswin, never the
other way round, and nothing in it imports torch.
"""
