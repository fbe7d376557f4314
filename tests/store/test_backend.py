"""Bytes by key, in every kind of store: bounded reading, exclusive making, one identity."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import threading
import zipfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext, suppress
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from zarr.storage import LocalStore, MemoryStore

from napari_confseg.store import Cohort, StoreError
from napari_confseg.store.backend import KeyValueStore, open_store
from napari_confseg.store.bucket import without_secrets
from napari_confseg.store.durable import (
    _claim_in_place,
    _rename_exclusively,
    put_in_place,
)
from napari_confseg.store.files import regular_or_absent
from napari_confseg.store.record import sweep_partials

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture
def folder(tmp_path: Path) -> KeyValueStore:
    return KeyValueStore(open_store(tmp_path / "store", read_only=False, create=True))


@pytest.fixture(params=["folder", "plain folder", "memory", "bucket"])
def keys(request: pytest.FixtureRequest, tmp_path: Path) -> KeyValueStore:
    if request.param == "bucket":
        store = open_store(request.getfixturevalue("s3"), read_only=False)
    elif request.param == "memory":
        store = MemoryStore()
    elif request.param == "plain folder":
        store = LocalStore(tmp_path / "plain")
    else:
        store = open_store(tmp_path / "store", read_only=False, create=True)
    return KeyValueStore(store)


def code_of(error: pytest.ExceptionInfo[StoreError]) -> str:
    [problem] = error.value.problems
    return problem.code


# -- what a crash leaves


def test_the_probe_of_a_lease_is_swept_everywhere(keys: KeyValueStore) -> None:
    keys.set("clip/raters/r/record/ab.probe.partial", b"")
    keys.set("clip/raters/r/record/000001.lease", b"{}")
    keys.set("clip/raters/s/record/ab.probe.partial", b"")
    sweep_partials(keys, "clip/raters/r")
    assert keys.children("clip/raters/r/record") == ["000001.lease"]
    assert keys.children("clip/raters/s/record") == ["ab.probe.partial"]


# -- reading


def test_what_is_larger_than_the_limit_is_not_read(keys: KeyValueStore) -> None:
    keys.set("a/b", b"x" * 100)
    assert keys.get("a/b") == keys.get("a/b", limit=100) == b"x" * 100
    with pytest.raises(StoreError) as error:
        keys.get("a/b", limit=99)
    assert code_of(error) == "file-size"
    assert keys.get("a/c", limit=1) is keys.get("a", limit=1) is None
    assert keys.get_range("a/b", 98, 105) == keys.get_end("a/b", 2) == b"xx"
    assert keys.get_end("a/b", 1000) == b"x" * 100


def test_a_sparse_file_of_terabytes_is_refused_at_once(folder: KeyValueStore) -> None:
    folder.set("zarr.json", b"{}")
    os.truncate(Path(folder.store.root) / "zarr.json", 2**42)  # type: ignore[attr-defined]
    with pytest.raises(StoreError) as error:
        folder.get("zarr.json", limit=2**20)
    assert code_of(error) == "file-size"
    assert folder.get_range("zarr.json", 0, 2) == b"{}"


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such files")
@pytest.mark.parametrize("kind", ["pipe", "socket", "link to a device"])
def test_only_regular_files_are_opened(
    folder: KeyValueStore, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.set("a/b", b"x")
    path = Path(folder.store.root) / "a/c"  # type: ignore[attr-defined]
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as s:
            monkeypatch.chdir(path.parent)  # the path of a socket is short
            s.bind("c")
    else:
        path.symlink_to("/dev/zero")
    for read in (
        lambda: folder.get("a/c"),
        lambda: folder.get("a/c", limit=10),
        lambda: folder.get_end("a/c", 1),
        lambda: folder.store.get_sync("a/c"),  # type: ignore[attr-defined]
    ):
        with pytest.raises(StoreError) as error:
            read()
        assert code_of(error) == ("outside" if kind == "link to a device" else "file-kind")


def packed(path: Path, method: int, data: bytes, claimed: int | None = None) -> KeyValueStore:
    """A zip of one file, which may claim to be of another size."""
    with zipfile.ZipFile(path, "w", method) as z:
        z.writestr("zarr.json", data)
    if claimed is not None:
        raw = bytearray(path.read_bytes())
        size = len(data).to_bytes(4, "little")
        while (at := raw.find(size)) >= 0:
            raw[at : at + 4] = claimed.to_bytes(4, "little")
        path.write_bytes(raw)
    return KeyValueStore(open_store(path, read_only=True))


def test_a_zip_unpacks_no_more_than_it_was_asked_for(tmp_path: Path) -> None:
    zeros = bytes(40 * 2**20)
    large = packed(tmp_path / "large.zip", zipfile.ZIP_DEFLATED, zeros)
    with pytest.raises(StoreError) as error:
        large.get("zarr.json", limit=2**20)
    assert code_of(error) == "file-size"
    assert large.get_range("zarr.json", 5, 8) == large.get_end("zarr.json", 3) == bytes(3)
    liar = packed(tmp_path / "liar.zip", zipfile.ZIP_DEFLATED, zeros, claimed=10)
    with suppress(StoreError):
        assert len(liar.get("zarr.json", limit=100) or b"") <= 10
    huge = packed(tmp_path / "huge.zip", zipfile.ZIP_DEFLATED, zeros, claimed=2**31)
    with pytest.raises(StoreError) as error:
        huge.get("zarr.json")
    assert code_of(error) == "file-size"
    other = packed(tmp_path / "other.zip", zipfile.ZIP_BZIP2, zeros)
    with pytest.raises(StoreError) as error:
        other.get("zarr.json")
    assert code_of(error) == "zip-method"


def test_a_damaged_zip_is_a_problem(tmp_path: Path) -> None:
    whole = tmp_path / "whole.zip"
    packed(whole, zipfile.ZIP_DEFLATED, os.urandom(1000))
    cut = tmp_path / "cut.zip"
    cut.write_bytes(whole.read_bytes()[:500])
    with pytest.raises(StoreError) as error:
        open_store(cut, read_only=True)
    assert code_of(error) == "zip-damaged"
    flipped = bytearray(whole.read_bytes())
    flipped[100] ^= 1
    cut.write_bytes(flipped)
    with pytest.raises(StoreError) as error:
        KeyValueStore(open_store(cut, read_only=True)).get("zarr.json")
    assert code_of(error) == "zip-damaged"


def test_folders_nested_deeper_than_calls_are_listed(folder: KeyValueStore) -> None:
    root = Path(folder.store.root)  # type: ignore[attr-defined]
    made = [os.fspath(root)]
    for _ in range(1200):
        made.append(f"{made[-1]}/a")
        os.mkdir(made[-1])
    try:
        Path(made[-1], "file").touch()
        assert folder.under("") == ["/".join("a" * 1200) + "/file"]
    finally:
        Path(made[-1], "file").unlink()
        for path in made[:0:-1]:  # what removes test folders calls itself as deep as that
            os.rmdir(path)


# -- making


def test_of_many_who_make_a_key_one_succeeds(keys: KeyValueStore) -> None:
    for n in range(10):
        key = f"claims/{n}.json"
        together = threading.Barrier(4)

        def claim(who: int, key: str = key, together: threading.Barrier = together) -> bool:
            together.wait()
            return keys.create(key, b"%d" % who * 1000)

        if isinstance(keys.store, (MemoryStore, LocalStore)) and not hasattr(keys.store, "create"):
            made = [keys.create(key, b"0" * 1000), keys.create(key, b"1" * 1000)]
        else:
            with ThreadPoolExecutor(4) as pool:
                made = list(pool.map(claim, range(4)))
        assert sum(made) == 1
        assert keys.get(key) == b"%d" % made.index(True) * 1000
        # An answer that got lost: who asks again with the same bytes has made it.
        if not isinstance(keys.store, MemoryStore) and type(keys.store) is not LocalStore:
            assert keys.create(key, b"%d" % made.index(True) * 1000)
            assert not keys.create(key, b"x")
    assert keys.under("claims/") == sorted(f"claims/{n}.json" for n in range(10))


def test_where_links_are_not_supported(tmp_path: Path) -> None:
    partial, path = os.fspath(tmp_path / "x.partial"), os.fspath(tmp_path / "x")
    for number, way in enumerate((_rename_exclusively, _claim_in_place, put_in_place)):
        for there in (False, True):
            Path(partial).write_bytes(b"%d" % number)
            with pytest.raises(FileExistsError) if there else nullcontext():
                if way is put_in_place:
                    put_in_place(partial, path, exclusive=True)
                elif way(partial, path, None) is False:
                    pytest.skip("this system can't rename without replacing")
            assert Path(path).read_bytes() == b"%d" % number
        os.unlink(path)


def test_when_a_key_was_written(keys: KeyValueStore) -> None:
    assert keys.modified("a") is None
    keys.set("a", b"x")
    found = keys.modified("a")
    if isinstance(keys.store, MemoryStore):
        assert found is None
        return
    assert found is not None
    assert abs(datetime.now(UTC) - found) < timedelta(minutes=1)


# -- one identity


def test_a_root_that_has_gone_is_never_made_anew(folder: KeyValueStore) -> None:
    root = Path(folder.store.root)  # type: ignore[attr-defined]
    folder.set("zarr.json", b"{}")
    away = root.with_name("away")
    root.rename(away)
    bulk = folder.bulk()
    for write in (
        lambda: folder.set("zarr.json", b"{}"),
        lambda: folder.set("a/b/c", b"x"),
        lambda: folder.create("a/b/c", b"x"),
        lambda: folder.delete("zarr.json"),
        lambda: bulk.__enter__(),
        lambda: KeyValueStore(folder.store.with_read_only(False)).set("a", b"x"),
    ):
        with pytest.raises(FileNotFoundError, match="away"):
            write()
    assert not root.exists()
    shutil.copytree(away, root)  # nothing says that this is the same
    with pytest.raises(StoreError) as error:
        folder.set("a/b/c", b"x")
    assert code_of(error) == "replaced"
    shutil.rmtree(root)
    away.rename(root)
    folder.set("a/b/c", b"x")


def test_a_cohort_is_known_by_its_number(cohort: Cohort, tmp_path: Path) -> None:
    keys, root = KeyValueStore(cohort.store), Path(cohort.location)
    shutil.copytree(root, tmp_path / "copy")
    shutil.rmtree(root)
    (tmp_path / "copy").rename(root)  # as a share that is mounted again: other device and inodes
    keys.set("clip-1/new", b"x")
    shutil.rmtree(root)
    Cohort.create(root, name="toy")
    with pytest.raises(StoreError) as error:
        keys.set("clip-1/new", b"x")
    assert code_of(error) == "replaced"
    assert not (root / "clip-1").exists()


def test_no_phantom_when_the_folder_moves_while_it_is_written(tmp_path: Path) -> None:
    """200 rounds of a rename against a writer; what was acknowledged lies in the real one."""
    root, away = tmp_path / "store", tmp_path / "away"
    keys = KeyValueStore(Cohort.create(root, name="moving").store)
    number = root.stat().st_ino
    done: list[str] = []
    stop = threading.Event()

    def write() -> None:
        while not stop.is_set():
            key = f"clip-{len(done) % 7}/{len(done)}"
            with suppress(FileNotFoundError):
                if len(done) % 3:
                    keys.set(key, b"x")
                else:
                    with keys.bulk() as put:
                        put(key, b"x")
                done.append(key)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        rounds = 0
        while rounds < 200 or (not done and rounds < 100_000):
            rounds += 1
            root.rename(away)
            assert not root.exists() or root.stat().st_ino != number
            phantom = root.exists()
            away.rename(root)
            assert not phantom
    finally:
        stop.set()
        writer.join()
    assert done
    assert root.stat().st_ino == number
    assert [key for key in done if not (root / key).is_file()] == []
    assert sorted(p.name for p in tmp_path.iterdir()) == ["store"]


# -- links


def test_lock_files_are_no_links(tmp_path: Path) -> None:
    target = tmp_path / "precious"
    target.mkdir()
    (target / "lock").write_text("precious")
    root = tmp_path / "cohort"
    (root / "raters").mkdir(parents=True)
    assert regular_or_absent(root / "raters/a/lock", below=root) == root / "raters/a/lock"
    (root / "raters/lock").touch()
    regular_or_absent(root / "raters/lock", below=root)
    (root / "link").symlink_to(target / "lock")
    (root / "linked").symlink_to(target)
    (root / "gone").symlink_to(tmp_path / "nothing")
    for key, code in {
        "link": "outside",
        "linked/lock": "outside",
        "gone": "outside",
        "gone/lock": "outside",
        "raters": "file-kind",
    }.items():
        with pytest.raises(StoreError) as error:
            regular_or_absent(root / key, below=root)
        assert code_of(error) == code
    keys = KeyValueStore(open_store(root, read_only=False))
    for key in ("link", "linked/lock", "raters"):
        with pytest.raises(StoreError):
            keys.lock_file(key)
    assert keys.lock_file("clip/raters/a/lock") == root / "clip/raters/a/lock"
    assert (root / "clip/raters/a").is_dir()
    assert (target / "lock").read_text() == "precious"
    assert sorted(os.listdir(target)) == ["lock"]
    (tmp_path / "short").symlink_to(root)  # above the root, links are the person's own
    regular_or_absent(tmp_path / "short/raters/lock", below=tmp_path / "short")


# -- buckets


class _Refusing(BaseHTTPRequestHandler):
    """Answers whatever is asked with one status, as a server that knows no key of ours."""

    status, code = 403, "SignatureDoesNotMatch"

    def __getattr__(self, name: str) -> Callable[[], None]:
        if name.startswith("do_"):
            return self._answer
        raise AttributeError(name)

    def _answer(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = f"<Error><Code>{self.code}</Code><Message>secretpw</Message></Error>".encode()
        self.send_response(self.status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Keep quiet."""


@pytest.fixture
def refusing(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    server = HTTPServer(("127.0.0.1", 0), _Refusing)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    _at(monkeypatch, server.server_port)
    yield
    server.shutdown()
    server.server_close()


def _at(monkeypatch: pytest.MonkeyPatch, port: int) -> None:
    for name, value in {
        "AWS_ENDPOINT_URL": f"http://user:secretpw@127.0.0.1:{port}",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "secretpw",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)


def _refusals(url: str) -> set[str]:
    """The codes of all that can go wrong at `url`; each in a sentence without a secret."""
    keys = KeyValueStore(open_store(url, read_only=False))
    codes = set()
    for act in (
        lambda: keys.get("a"),
        lambda: keys.get_end("a", 5),
        lambda: keys.set("a", b"x"),
        lambda: keys.create("a", b"x"),
        lambda: keys.swap("a", None, b"x"),
        lambda: keys.swap("a", b"y", b"x"),
        lambda: keys.delete("a"),
        lambda: keys.children(""),
        lambda: keys.under("a/"),
        lambda: keys.delete_tree("a"),
        lambda: Cohort.open(url),
        lambda: Cohort.create(url, name="new"),
    ):
        with pytest.raises(StoreError) as error:
            act()
        codes.add(code_of(error))
        text = str(error.value)
        assert "secretpw" not in text
        assert "Debug" not in text
        assert "\n" not in text
        assert error.value.__suppress_context__
    return codes


def test_a_bucket_that_is_missing(s3: str) -> None:
    assert _refusals("s3://user:secretpw@no-such-bucket/some/cohort.zarr") == {"bucket-missing"}


def test_a_server_that_is_down(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    _at(monkeypatch, port)
    assert _refusals("s3://bucket/cohort.zarr") == {"bucket-away"}


def test_keys_that_are_wrong(refusing: None) -> None:
    assert _refusals("s3://bucket/cohort.zarr") == {"bucket-refused"}


def test_a_server_that_fails(refusing: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_Refusing, "status", 507)
    monkeypatch.setattr(_Refusing, "code", "Odd")
    assert _refusals("s3://bucket/cohort.zarr") == {"bucket"}


def test_a_command_tells_of_a_bucket_in_one_line(refusing: None) -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "napari_confseg", "status", "s3://user:secretpw@bucket/cohort"],
        capture_output=True,
        text=True,
    )
    assert ran.returncode
    assert "refused access" in ran.stderr
    assert "secretpw" not in ran.stdout + ran.stderr
    assert "Traceback" not in ran.stderr


def test_secrets_leave_an_address() -> None:
    assert without_secrets("s3://u:p@b/x") == "s3://b/x"
    assert without_secrets("http://u:p@h:1/x?y=@") == "http://h:1/x?y=@"
    assert without_secrets("s3://bucket/a@b") == "s3://bucket/a@b"
