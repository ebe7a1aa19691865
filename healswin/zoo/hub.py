"""Models on the Hugging Face hub: "hf-hub:owner/name" or "hf-hub:owner/name@revision"."""

from __future__ import annotations

import re
from pathlib import Path

from huggingface_hub import hf_hub_download
from huggingface_hub.utils import (
    EntryNotFoundError,
    HFValidationError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from healswin.zoo.download import DownloadError, cache_folder, offline
from healswin.zoo.files import CONFIG, WEIGHTS

PREFIX = "hf-hub:"

_ADDRESS = re.compile(r"hf-hub:([\w.-]+/[\w.-]+)(?:@([\w./-]+))?")


def hub_folder(address: str, endpoint: str | None = None) -> Path:
    """The folder of a model on the hub, downloaded into the cache if need be.

    A branch such as "main" may move: it is asked for each time, and the file of the weights is of
    the same commit as the configuration. Without network what the cache holds is used.

    Args:
        address: "hf-hub:owner/name", with "@" and a branch, tag or commit if it is not "main".
        endpoint: Address of another hub than HF_ENDPOINT names.

    Raises:
        ValueError: If the address is none, or there is no such repository, revision or file.
        DownloadError: If the hub cannot be reached and the cache holds nothing.
    """
    match = _ADDRESS.fullmatch(address)
    if match is None:
        raise ValueError(
            f"{address!r} must be hf-hub:owner/name or hf-hub:owner/name@revision, e.g. "
            "hf-hub:someone/healswin-street@v1.0"
        )
    repository, revision = match.groups()
    config = _file(address, repository, CONFIG, revision, endpoint)
    # The folder of a snapshot is named after its commit.
    weights = _file(address, repository, WEIGHTS, config.parent.name, endpoint)
    return weights.parent


def _file(
    address: str, repository: str, file: str, revision: str | None, endpoint: str | None
) -> Path:
    try:
        return Path(
            hf_hub_download(
                repository,
                file,
                revision=revision,
                endpoint=endpoint,
                cache_dir=cache_folder() / "hub",
                local_files_only=offline(),
            )
        )
    except HFValidationError as error:
        raise ValueError(f"{address}: {error}") from None
    except RepositoryNotFoundError:
        raise ValueError(
            f"{address}: there is no repository {repository}, or it is private and `hf auth "
            "login` was not called"
        ) from None
    except RevisionNotFoundError:
        raise ValueError(f"{address}: {repository} has no revision {revision!r}") from None
    except LocalEntryNotFoundError as error:
        why = "HEALSWIN_OFFLINE is set" if offline() else "the hub cannot be reached"
        raise DownloadError(f"{address}: {file} is not in the cache and {why}") from error
    except EntryNotFoundError:
        raise ValueError(f"{address}: {repository} holds no {file}, it is no healswin model") from (
            None
        )
    except OSError as error:
        raise DownloadError(f"{address}: {file} cannot be downloaded: {error}") from error
