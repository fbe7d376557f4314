"""A bucket as zarr store: conditional writes, and errors that a person can read."""

from __future__ import annotations

import os
import re
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from zarr.abc.store import SuffixByteRequest
from zarr.storage import ObjectStore

from napari_confseg.extras import needed_for
from napari_confseg.store.errors import Problem, StoreError, needs_extra
from napari_confseg.store.files import span_of, too_large

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from zarr.abc.store import ByteRequest, Store


def open_bucket(url: str, *, read_only: bool) -> Store:
    """Return the store at `url`, ``s3://bucket/prefix``; nothing is asked of the server yet."""
    url = without_secrets(url)
    with needed_for("a cohort in a bucket", needs_extra(url)):
        from obstore.store import S3Store
    # Endpoint and keys come from the usual AWS_* environment variables. The client's own patience
    # (ten tries, three minutes) would hide for that long that a bucket is gone.
    client: dict[str, Any] = {"connect_timeout": "2s", "timeout": "30s"}
    if os.environ.get("AWS_ENDPOINT_URL", "").startswith("http://"):
        client["allow_http"] = True
    backoff = {
        "init_backoff": timedelta(milliseconds=50),
        "max_backoff": timedelta(seconds=1),
        "base": 2,
    }
    retry = {"max_retries": 2, "retry_timeout": timedelta(seconds=5), "backoff": backoff}
    options: dict[str, Any] = {"client_options": client, "retry_config": retry}
    with plain_errors(url):
        return BucketStore(S3Store.from_url(url, **options), read_only=read_only)


def without_secrets(url: str) -> str:
    """Return `url` without the name and password that may stand before its host."""
    return re.sub(r"(?<=://)[^/@\s]*@", "", url)


@contextmanager
def plain_errors(place: str) -> Iterator[None]:
    """Turn what the client of a bucket raises into one sentence; "nothing there" passes.

    Its own texts are a page long, for programmers, and may hold the address with a password.

    Raises
    ------
    StoreError
        With code ``bucket-missing``, ``bucket-refused``, ``bucket-away`` or ``bucket``.
    """
    try:
        yield
    except FileNotFoundError as error:
        if "NoSuchBucket" in str(error):
            raise StoreError(_problem(place, str(error))) from None
        raise
    except Exception as error:
        if not type(error).__module__.startswith("obstore"):
            raise
        raise StoreError(_problem(place, f"{type(error).__name__} {error}")) from None


_REFUSED = re.compile(
    r"PermissionDenied|Unauthenticated|403 Forbidden|401 Unauthorized|AccessDenied"
    r"|InvalidAccessKeyId|SignatureDoesNotMatch|ExpiredToken|InvalidToken"
)
_NO_KEYS = re.compile(r"169\.254\.|metadata\.google|credential", re.IGNORECASE)
_AWAY = re.compile(r"HTTP error|timed? ?out|connection|connect|dns", re.IGNORECASE)


def _problem(place: str, text: str) -> Problem:
    """Return what the client's `text` means."""
    head = text.partition("Debug source")[0]
    if "NoSuchBucket" in head:
        return Problem(
            "bucket-missing", place, "There is no such bucket", hint="Check its name and region."
        )
    if _NO_KEYS.search(head):
        return Problem(
            "bucket-refused",
            place,
            "No access keys for this bucket were found",
            hint="Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.",
        )
    if _REFUSED.search(head):
        return Problem(
            "bucket-refused",
            place,
            "The server refused access to this bucket",
            hint="Check the access keys, and what they allow.",
        )
    status = re.search(r"status code: (\d{3})", head)
    if status is None and _AWAY.search(head):
        return Problem(
            "bucket-away",
            place,
            f"The server{_endpoint()} does not answer",
            hint="Check the network and AWS_ENDPOINT_URL, and try again.",
        )
    named = re.search(r"<Code>(\w{1,60})</Code>", head)
    found = [f"status {status[1]}"] if status else []
    found += [named[1]] if named else []
    said = f" ({', '.join(found)})" if found else ""
    return Problem("bucket", place, f"The server failed to do what was asked{said}")


def _endpoint() -> str:
    host = urlsplit(without_secrets(os.environ.get("AWS_ENDPOINT_URL", ""))).netloc
    return f" {host}" if host else ""


def place_of(store: ObjectStore[Any]) -> str:
    """Return what errors call the bucket."""
    config = getattr(store.store, "config", {})
    bucket, prefix = config.get("bucket"), getattr(store.store, "prefix", None)
    return f"s3://{bucket}/{prefix or ''}".rstrip("/") if bucket else "bucket"


class BucketStore(ObjectStore[Any]):
    """zarr's ``ObjectStore``, whose errors are sentences."""

    async def get(self, key: str, prototype: Any, byte_range: ByteRequest | None = None) -> Any:  # noqa: D102
        with plain_errors(place_of(self)):
            return await super().get(key, prototype, byte_range)

    async def set(self, key: str, value: Any) -> None:  # noqa: D102
        with plain_errors(place_of(self)):
            await super().set(key, value)

    async def set_if_not_exists(self, key: str, value: Any) -> None:  # noqa: D102
        with plain_errors(place_of(self)):
            await super().set_if_not_exists(key, value)

    async def delete(self, key: str) -> None:  # noqa: D102
        with plain_errors(place_of(self)):
            await super().delete(key)

    async def delete_dir(self, prefix: str) -> None:  # noqa: D102
        with plain_errors(place_of(self)):
            await super().delete_dir(prefix)

    async def exists(self, key: str) -> bool:  # noqa: D102
        with plain_errors(place_of(self)):
            return await super().exists(key)


# -- raw objects, synchronously: the client lets go of the interpreter lock, so that requests from
# several threads are under way side by side.


def get_object(
    store: ObjectStore[Any],
    key: str,
    *,
    limit: int | None = None,
    part: ByteRequest | None = None,
) -> bytes | None:
    """Return the bytes at `key`, or None; see :meth:`KeyValueStore.get`."""
    import obstore

    with plain_errors(place_of(store)):
        try:
            if isinstance(part, SuffixByteRequest):
                options: Any = {"range": {"suffix": part.suffix}}
            elif part is not None:
                options = {"range": span_of(part, 2**63 - 1)}
            else:
                options = None
            found = obstore.get(store.store, key, options=options)
            # The size comes before the content, which is not asked for if it is too large.
            if part is None and limit is not None and found.meta["size"] > limit:
                raise too_large(key, limit, found.meta["size"])
            return bytes(found.bytes())
        except FileNotFoundError as error:
            if "NoSuchBucket" in str(error):
                raise
            return None


def put_object(store: ObjectStore[Any], key: str, data: bytes) -> None:
    """Write `data` at `key`."""
    import obstore

    with plain_errors(place_of(store)):
        obstore.put(store.store, key, data)


def delete_object(store: ObjectStore[Any], key: str) -> None:
    """Remove `key` if it is there."""
    import obstore

    with plain_errors(place_of(store)):
        try:
            obstore.delete(store.store, key)
        except FileNotFoundError as error:
            if "NoSuchBucket" in str(error):
                raise


def create_object(store: ObjectStore[Any], key: str, data: bytes) -> bool:
    """Write `data` at `key` if nothing is there; return whether that was so.

    A request whose answer was lost is sent again by the client, and then finds its own bytes.
    """
    import obstore
    from obstore.exceptions import AlreadyExistsError, PreconditionError

    with plain_errors(place_of(store)):
        try:
            obstore.put(store.store, key, data, mode="create")
        except (AlreadyExistsError, PreconditionError):
            return _holds(store, key, data)
    return True


def _holds(store: ObjectStore[Any], key: str, data: bytes) -> bool:
    """Whether exactly `data` is at `key`."""
    import obstore

    try:
        found = obstore.get(store.store, key)
        return found.meta["size"] == len(data) and bytes(found.bytes()) == data
    except FileNotFoundError:
        return False


def swap_object(store: ObjectStore[Any], key: str, old: bytes | None, new: bytes) -> bool:
    """Write `new` at `key` if `old` is there; see :meth:`KeyValueStore.swap`."""
    import obstore
    from obstore.exceptions import AlreadyExistsError, PreconditionError

    if old is None:
        return create_object(store, key, new)
    with plain_errors(place_of(store)):
        try:
            response = obstore.get(store.store, key)
        except FileNotFoundError as error:
            if "NoSuchBucket" in str(error):
                raise
            return False
        if response.meta["size"] != len(old) or bytes(response.bytes()) != old:
            return False
        try:
            mode: Any = {"e_tag": response.meta["e_tag"]}
            obstore.put(store.store, key, new, mode=mode)
        except (AlreadyExistsError, PreconditionError):
            # As above: its own bytes, if the first answer was lost.
            return new != old and _holds(store, key, new)
        except FileNotFoundError:  # removed meanwhile
            return False
    return True


def modified_object(store: ObjectStore[Any], key: str) -> datetime | None:
    """Return when `key` was last written, by the server's clock; None if it is not there."""
    import obstore

    with plain_errors(place_of(store)):
        try:
            found: datetime = obstore.head(store.store, key)["last_modified"]
        except FileNotFoundError:
            return None
    return found


def names_in_bucket(store: ObjectStore[Any], prefix: str) -> list[str]:
    """Return what is one level under `prefix`, objects and prefixes alike."""
    import obstore

    with plain_errors(place_of(store)):
        found = obstore.list_with_delimiter(store.store, prefix or None)
    paths = [*found["common_prefixes"], *(meta["path"] for meta in found["objects"])]
    return [path.removeprefix(prefix).strip("/") for path in paths]


def objects_under(store: ObjectStore[Any], prefix: str) -> list[str]:
    """Return the keys anywhere under `prefix`."""
    import obstore

    with plain_errors(place_of(store)):
        return [
            meta["path"] for batch in obstore.list(store.store, prefix or None) for meta in batch
        ]


def signatures_under(store: ObjectStore[Any], prefix: str) -> list[tuple[str, str]]:
    """Return the keys anywhere under `prefix`, each with what changes when it is written."""
    import obstore

    with plain_errors(place_of(store)):
        return [
            (meta["path"], f"{meta['size']} {meta['e_tag']} {meta['version']}")
            for batch in obstore.list(store.store, prefix)
            for meta in batch
        ]
