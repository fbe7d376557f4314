"""Fixtures of the store's tests."""

from __future__ import annotations

import shutil
import time
from typing import TYPE_CHECKING

import pytest

from tests.store.bucket import Bucket
from tests.store.defects import make_good

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bucket]:
    bucket = Bucket(tmp_path_factory.mktemp("moto"))
    yield bucket
    bucket.resume()
    bucket.close()


@pytest.fixture
def s3(server: Bucket, state_dir: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    import boto3

    for name, value in {
        "AWS_ENDPOINT_URL": server.url,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    name = f"bucket-{time.monotonic_ns()}"
    boto3.client("s3").create_bucket(Bucket=name)
    return f"s3://{name}/some/cohort.zarr"


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sound cohort, not to be changed."""
    folder = tmp_path_factory.mktemp("good")
    return make_good(folder, folder / "journal")


@pytest.fixture
def broken(good: Path, tmp_path: Path) -> Path:
    """A copy of it, to be broken."""
    return shutil.copytree(good, tmp_path / "cohort.zarr")
