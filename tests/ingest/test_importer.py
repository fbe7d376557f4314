"""Sources become clips: whole or not at all, whatever happens; nothing tells who the patient is."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from napari_confseg.__main__ import main
from napari_confseg.ingest import ImportOptions, import_sources
from napari_confseg.ingest.decoded import IngestError, Source
from napari_confseg.ingest.pseudonyms import Pseudonyms
from napari_confseg.ingest.sector import CROP_WAITS, MASK_WAITS, MASKED, crop_box, mask_clip
from napari_confseg.ingest.sources import passed_over_in_words
from napari_confseg.ingest.worker import Decoder
from napari_confseg.store import Cohort, StoreError
from napari_confseg.store.validate import validate
from tests.ingest.conftest import traces
from tests.ingest.films import REAL, SHIPPED, film, independent, moving
from tests.ingest.screens import NAME, SCREENS, hard_screen
from tests.ingest.test_images import write
from tests.ingest.test_video import mutate

KINDS = {
    "Cov_convex_volpecelli_sonographic_v3.mov": "curved",
    "Cov_recommendations_lightbeam_mov6.mov": "curved",
    "Cov_recommendations_likebutterfly_mov5.mov": "curved",
    "Reg_Image_181432_crop.mp4": "linear",
    "Reg_Image_182106_crop.mp4": "curved",
    "Reg_pat3Image_134711.mpeg": "curved",
    "Reg_pat4Image_135904.mpeg": "curved",
    "Reg_recommendations_alines_mov1.mov": "curved",
    "lung-convex.mpeg": "curved",
    "lung-linear.mp4": "linear",
}


def test_real_clips_become_clips_of_a_sound_cohort(empty):
    report = import_sources(REAL, empty, ImportOptions(patient="p1"))
    assert report.refused == []
    assert len(report.imported) == len(REAL)
    for path, name in zip(REAL, report.imported, strict=True):
        clip = empty.clip(name)
        pixels, times = independent(path)
        np.testing.assert_array_equal(clip.frames[:], pixels)
        np.testing.assert_allclose(clip.meta.frame_times, times, atol=1e-6)
        assert clip.meta.sector.kind == KINDS[path.name]
        y0, x0, y1, x1 = crop_box(clip.meta.sector, clip.shape[1:])
        spread = pixels[::4].std(axis=0)
        assert spread[y0:y1, x0:x1].sum() > 0.995 * spread.sum()  # what moves is in the sector
        assert clip.meta.provenance.crop is None
    assert validate(empty.location) == []


def test_crop_to_the_sector(empty):
    report = import_sources([SHIPPED[1]], empty, ImportOptions(crop="sector"))
    clip = empty.clip(report.imported[0])
    pixels, _ = independent(SHIPPED[1])
    y0, x0, y1, x1 = clip.meta.provenance.crop
    assert (y0, x0, y1, x1) == (2, 0, 242, 204)
    np.testing.assert_array_equal(clip.frames[:], pixels[:, y0:y1, x0:x1])
    polygon = np.array(clip.meta.sector.polygon)
    assert polygon.min() >= 0
    assert (polygon.max(axis=0) <= clip.shape[1:]).all()


def test_a_doubtful_sector_waits_for_a_person(empty, tmp_path):
    """The fault: it was cropped and masked for good without a word."""
    frames = list(hard_screen("two regions", 2000).frames())
    path = film(tmp_path / "two.avi", frames, codec="ffv1", pix_fmt="gray")
    report = import_sources([path], empty, ImportOptions(crop="sector", mask=True))
    assert report.refused == []
    (name,) = report.imported
    clip = empty.clip(name)
    np.testing.assert_array_equal(clip.frames[:], np.stack(frames))
    assert clip.meta.provenance.crop is None
    assert {CROP_WAITS, MASK_WAITS} <= set(clip.meta.tags)
    assert report.waiting[name].startswith(
        "not cropped nor masked, for its sector was doubtful (trust 0."
    )
    with pytest.raises(IngestError, match="is not confirmed"):
        mask_clip(empty, name)
    clip.update_meta(sector=clip.meta.sector.model_copy(update={"confirmed": True}))
    mask_clip(empty, name)
    tags = empty.clip(name).meta.tags
    assert MASKED in tags
    assert not {CROP_WAITS, MASK_WAITS} & set(tags)
    assert (empty.clip(name).frames[:] != np.stack(frames)).any()


def test_burned_in_name_is_outside_the_crop(empty, tmp_path):
    screen = SCREENS["phased"]
    frames = list(screen.frames(10))
    path = film(tmp_path / "screen.avi", frames, codec="ffv1", pix_fmt="gray")
    report = import_sources([path], empty, ImportOptions(crop="sector"))
    clip = empty.clip(report.imported[0])
    y0, x0, _, _ = clip.meta.provenance.crop
    assert y0 > 10  # below the line that says NAME
    np.testing.assert_array_equal(
        clip.frames[3], frames[3][y0:, x0:][: clip.shape[1], : clip.shape[2]]
    )
    assert NAME not in str(clip.meta)


def test_the_same_content_is_refused_twice(empty, tmp_path):
    copy = tmp_path / "copy.mp4"
    copy.write_bytes(SHIPPED[1].read_bytes())
    report = import_sources([SHIPPED[1], copy], empty)
    again = import_sources([copy], empty, ImportOptions(crop="sector"))
    name = report.imported[0]
    for refused in (report.refused, again.refused):
        assert refused == [(str(copy), f"the cohort has it already, as {name}")]
    assert empty.clips() == [name]


def test_one_import_at_a_time(empty):
    problems, second = [], Cohort.open(empty.location)

    def meanwhile(done, total, what):
        if done == 3:
            with pytest.raises(StoreError) as caught:
                import_sources([SHIPPED[0]], second)
            problems.extend(caught.value.problems)

    report = import_sources([SHIPPED[0]], empty, progress=meanwhile)
    assert [p.code for p in problems] == ["held"]
    assert empty.clips() == report.imported
    assert validate(empty.location) == []
    (refused,) = import_sources([SHIPPED[0]], second).refused  # its lock is free, its file is in
    assert "has it already" in refused[1]


def test_two_programs_importing_one_file_make_one_clip(empty):
    script = f"""
        import sys
        from napari_confseg.ingest import import_sources
        from napari_confseg.store import Cohort, StoreError
        cohort = Cohort.open({empty.location!r})
        print(flush=True)
        sys.stdin.readline()  # both begin at once
        try:
            print(import_sources([{str(SHIPPED[0])!r}], cohort).imported)
        except StoreError as error:
            print(error.problems[0].code)
    """
    both = [
        subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(script)],
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        for _ in range(2)
    ]
    for one in both:
        one.stdout.readline()
    said = []
    for one in both:
        one.stdin.write("\n")
        one.stdin.flush()
    for one in both:
        said.append(one.communicate(timeout=60)[0].strip())
    (clip,) = empty.clips()
    said.remove(str([clip]))
    assert said in (["held"], ["[]"])  # refused while it ran, or found the file in
    np.testing.assert_array_equal(empty.clip(clip).frames[:], independent(SHIPPED[0])[0])
    assert validate(empty.location) == []


def test_names_tell_nothing_unless_asked(empty, tmp_path):
    folder = tmp_path / "Muster Erika"
    folder.mkdir()
    path = film(folder / "Mustér_Erika 1964.mp4", moving(4))
    report = import_sources([folder], empty)
    assert report.imported[0].startswith("clip-")
    stored = [p for p in (tmp_path / "study.zarr").rglob("*") if p.is_file()]
    for secret in ("muster", "erika", "1964"):
        assert not any(secret in str(p.relative_to(tmp_path)).lower() for p in stored)
        assert not any(secret.encode() in p.read_bytes().lower() for p in stored)

    other = Cohort.create(tmp_path / "named.zarr", name="named")
    assert import_sources([path], other, ImportOptions(name_from_file=True)).imported == [
        "muster_erika-1964"
    ]
    path.write_bytes(film(tmp_path / "x.mp4", moving(5)).read_bytes())
    second = import_sources([path], other, ImportOptions(name_from_file=True)).imported[0]
    assert second.startswith("muster_erika-1964-")


def test_patients(empty, tmp_path):
    for folder, files in (("a", ("1.mp4", "2.mp4")), ("b", ("3.mp4",))):
        (tmp_path / folder).mkdir()
        for name in files:
            film(tmp_path / folder / name, moving(3 + int(name[0])))
    by_folder = import_sources([tmp_path / "a", tmp_path / "b"], empty)
    first, second, third = (by_folder.patients[name] for name in by_folder.imported)
    assert first == second != third

    other = Cohort.create(tmp_path / "o.zarr", name="o")
    by_file = import_sources([tmp_path / "a"], other, ImportOptions(patient_per="file"))
    assert len(set(by_file.patients.values())) == 2
    assert not set(by_file.patients.values()) & set(by_folder.patients.values())

    told = import_sources([tmp_path / "b"], other, ImportOptions(patient="anna"))
    assert other.clip(told.imported[0]).meta.patient == "anna"


def test_codes_of_patients_need_the_key(tmp_path):
    one, two = (Pseudonyms("0" * 32, tmp_path / f"{n}.key") for n in (1, 2))
    again = Pseudonyms("0" * 32, tmp_path / "1.key")
    assert one.code("folder", "/x") == again.code("folder", "/x") != two.code("folder", "/x")
    assert one.code("folder", "/x") != one.code("file", "/x")
    assert oct((tmp_path / "1.key").stat().st_mode & 0o777) == "0o600"


def test_image_folders(empty, tmp_path):
    frames = moving(30)
    write(tmp_path / "shots", frames, ".png")
    report = import_sources([tmp_path / "shots"], empty)
    clip = empty.clip(report.imported[0])
    np.testing.assert_array_equal(clip.frames[:], frames)
    assert clip.meta.frame_times[:3] == (0, 0.04, 0.08)
    assert clip.meta.tags == ("frame-rate-assumed",)

    other = Cohort.create(empty.location.replace("study", "other"), name="other")
    clip = other.clip(
        import_sources([tmp_path / "shots"], other, ImportOptions(fps=10)).imported[0]
    )
    assert clip.meta.frame_times[:3] == (0, 0.1, 0.2)
    assert clip.meta.tags == ()


def test_progress_counts_frames(empty):
    calls = []
    import_sources(
        [SHIPPED[1]], empty, ImportOptions(crop="sector"), progress=lambda *a: calls.append(a)
    )
    looking = [c for c in calls if c[2].endswith("looking")]
    writing = [c for c in calls if not c[2].endswith("looking")]
    for phase in (looking, writing):
        assert [c[:2] for c in phase] == [(i + 1, 137) for i in range(137)]
    assert writing[0][2] == "1 of 1: lung-linear.mp4"


def test_cancelling_leaves_no_half_clip(empty):
    frames = []
    report = import_sources(
        [SHIPPED[1], SHIPPED[0]],
        empty,
        progress=lambda *a: frames.append(a),
        cancelled=lambda: len(frames) > 137 + 60,
    )
    assert report.cancelled
    assert report.imported == empty.clips()
    assert len(report.imported) == 1
    assert traces(empty) == []


def test_bad_files_keep_nobody_out_and_leave_nothing(empty, tmp_path):
    """Sixty damaged files among whole ones, in one call."""
    rng = np.random.default_rng(5)
    whole = [film(tmp_path / f"whole{s}", moving(40)).read_bytes() for s in (".mp4", ".mpeg")]
    bad = tmp_path / "bad"
    bad.mkdir()
    for i in range(60):
        changes = [
            (str(rng.choice(["set", "cut", "insert"])), rng.random(), rng.bytes(4))
            for _ in range(3)
        ]
        (bad / f"{i}.mp4").write_bytes(mutate(whole[i % 2], changes))
    report = import_sources([tmp_path / "whole.mp4", bad, tmp_path / "whole.mpeg"], empty)
    assert len(report.imported) + len(report.refused) == 62
    assert len(report.refused) >= 30
    assert all(reason and "\n" not in reason for _, reason in report.refused)
    assert empty.clips() == sorted(report.imported)
    assert traces(empty) == []
    assert validate(empty.location) == []


def test_nothing_there_and_nothing_inside(empty, tmp_path):
    (tmp_path / "hollow").mkdir()
    report = import_sources([tmp_path / "hollow", tmp_path / "gone.mp4"], empty)
    assert [reason for _, reason in report.refused] == [
        "there is no video, DICOM or image in this folder",
        "there is no such file or folder",
    ]


def test_every_file_of_a_folder_is_imported_or_named(empty, tmp_path):
    """Nothing is left out in silence: neither the odd ends of names nor what is broken."""
    root = tmp_path / "in"
    (root / ".hidden").mkdir(parents=True)
    (root / "study.zarr").mkdir()
    (root / "study.zarr" / "zarr.json").write_text("{}")
    (root / "elsewhere").symlink_to(tmp_path)
    (root / "gone.mp4").symlink_to(tmp_path / "gone")
    os.mkfifo(root / "pipe.mp4")
    for i, name in enumerate(("a.mts", "b.vob", "c.ogv", "d.3gp", "e.webm", "f.divx", "g.MOV")):
        codec = {".vob": "mpeg2video", ".ogv": "libvpx", ".webm": "libvpx"}.get(name[1:], "mpeg4")
        made = name if Path(name).suffix not in (".divx", ".MOV") else "x.avi"
        whole = film(tmp_path / made, moving(5 + i), codec="libx264" if i == 0 else codec)
        (root / name).write_bytes(whole.read_bytes())
    (root / "IMG0001").write_bytes(film(tmp_path / "n.mp4", moving(12)).read_bytes())
    (root / "tape.dat").write_bytes(film(tmp_path / "t.mpeg", moving(13)).read_bytes())
    (root / "shot").write_bytes(write(tmp_path, moving(1), ".png")[0].read_bytes())
    for name, data in {
        "zero.dcm": b"",
        "zero.mp4": b"",
        "zero": b"",
        "cut100.dcm": bytes(100),
        "old.mxf": b"x",
        "photo.heic": b"x",
        "more.zip": b"PK",
        "README.txt": b"read me",
        "table.csv": b"",
        "second.csv": b"1",
        "labels.nii.gz": b"1",
        "notes": b"no picture",
        "DICOMDIR": b"index",
        ".DS_Store": b"1",
    }.items():
        (root / name).write_bytes(data)
    report = import_sources([root], empty)
    assert sorted(empty.clip(n).shape[0] for n in report.imported) == [
        5,
        6,
        7,
        8,
        9,
        10,
        11,
        12,
        13,
    ]
    words = {
        "gone.mp4": "leads nowhere",
        "pipe.mp4": "no regular file",
        "shot": "PNG image by its content",
        "zero.dcm": "empty",
        "zero.mp4": "empty",
        "zero": "empty",
        "cut100.dcm": "only the beginning",
        "old.mxf": "export as MP4",
        "photo.heic": "save them as PNG",
        "more.zip": "an archive",
    }
    refused = {Path(p).name: reason for p, reason in report.refused}
    assert refused.keys() == words.keys()
    assert [n for n, reason in refused.items() if words[n] not in reason] == []
    assert {Path(p).name: kind for p, kind in report.passed_over} == {
        ".hidden": "hidden",
        ".DS_Store": "hidden",
        "study.zarr": "folder of zarr data",
        "elsewhere": "link to a folder",
        "README.txt": ".txt",
        "table.csv": ".csv",
        "second.csv": ".csv",
        "labels.nii.gz": ".gz",
        "notes": "without extension",
        "DICOMDIR": "DICOMDIR",
    }
    in_words = passed_over_in_words(report.passed_over)
    assert "2 .csv" in in_words
    assert "2 hidden" in in_words


def test_the_command_tells_what_it_passed_over(tmp_path, capsys):
    film(tmp_path / "in.mp4", moving(3))
    (tmp_path / "README.txt").write_text("read me")
    to = str(tmp_path / "c.zarr")
    assert main(["import", str(tmp_path), "--cohort", to, "--create"]) == 0
    assert "Passed over, as no pictures: 1 .txt" in capsys.readouterr().out
    assert main(["import", str(tmp_path), "--cohort", to, "--json"]) == 1  # it has the clip
    told = json.loads(capsys.readouterr().out)
    assert {"source": str(tmp_path / "README.txt"), "kind": ".txt"} in told["passed_over"]
    assert "has it already" in told["refused"][0]["reason"]


def test_a_disk_that_fills_up_is_named(empty, monkeypatch):
    from napari_confseg.store.clip_writer import ClipWriter

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(ClipWriter, "append", full)
    report = import_sources([SHIPPED[1]], empty)
    assert "no space left on device" in report.refused[0][1]
    assert traces(empty) == []


# -- the decoder process


def test_a_killed_decoder_costs_one_file(empty):
    """SIGKILL in the middle of the first clip; the second is imported by a new process."""
    killed = []

    def kill_once(done, total, what):
        if done == 40 and not killed:
            killed.append(os.getpid())
            for pid in children():
                os.kill(pid, signal.SIGKILL)

    # The pipe holds about a frame: the process cannot be done with 217 of them.
    report = import_sources([SHIPPED[0], SHIPPED[1]], empty, progress=kill_once)
    assert report.refused[0][1].startswith("decoding it crashed the decoder")
    assert len(report.imported) == 1
    assert traces(empty) == []


def children():
    listing = subprocess.run(
        ["ps", "-o", "pid=,args=", "--ppid", str(os.getpid())],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    return [int(line.split()[0]) for line in listing.splitlines() if "ingest.decoder" in line]


def test_a_hanging_decoder_is_ended(tmp_path):
    os.mkfifo(tmp_path / "silent.mp4")  # opening it waits for a writer that never comes
    with Decoder(patience=1.5) as decoder:
        begun = time.monotonic()
        with pytest.raises(IngestError, match=r"hung: nothing came for 1\.5 seconds"):
            list(decoder.read(Source("video", (str(tmp_path / "silent.mp4"),))))
        assert time.monotonic() - begun < 30
        decoder._patience = 60  # the next source gets a new process, which takes its time
        assert len(list(decoder.read(Source("video", (str(SHIPPED[1]),))))) == 138


@pytest.mark.skipif(sys.platform != "linux", reason="memory in use is read from /proc")
def test_a_decoder_that_takes_too_much_memory_is_ended(tmp_path):
    """A megabyte of PNG that takes 200 to decode; the next source gets a new process."""
    Image.fromarray(np.zeros((14_000, 14_000), np.uint8)).save(tmp_path / "bomb.png")
    with Decoder(memory=180 * 2**20) as decoder:
        with pytest.raises(IngestError, match=r"more than 0\.18 GB of memory"):
            list(decoder.read(Source("images", (str(tmp_path / "bomb.png"),))))
        assert len(list(decoder.read(Source("video", (str(SHIPPED[1]),))))) == 138


def test_kill_9_in_the_middle_leaves_a_cohort_that_opens_and_imports_anew(empty, tmp_path):
    script = f"""
        import os, signal
        from napari_confseg.ingest import import_sources
        from napari_confseg.store import Cohort
        def stop(done, total, what):
            if done == 150:
                os.kill(os.getpid(), signal.SIGKILL)
        import_sources([{str(SHIPPED[0])!r}], Cohort.open({empty.location!r}), progress=stop)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert empty.clips() == []
    assert len(traces(empty)) == 1  # frames without metadata: no clip
    report = import_sources([SHIPPED[0]], empty)
    assert traces(empty) == []
    np.testing.assert_array_equal(
        empty.clip(report.imported[0]).frames[:], independent(SHIPPED[0])[0]
    )
    assert validate(empty.location) == []


def test_thousands_of_frames_never_sit_in_memory(tmp_path, state_dir):
    """74 MB of frames; the peak of either process may not differ from that for 200 frames."""
    peaks = {}
    for n in (200, 6_000):
        path = looped(tmp_path / f"{n}.avi", n)
        script = f"""
            import resource
            from napari_confseg.ingest import import_sources
            from napari_confseg.store import Cohort
            cohort = Cohort.create({str(tmp_path / f"{n}.zarr")!r}, name="c")
            report = import_sources([{str(path)!r}], cohort)
            assert cohort.clip(report.imported[0]).shape == ({n}, 96, 128), report
            for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN):
                print(resource.getrusage(who).ru_maxrss)
        """
        out = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(script)],
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        peaks[n] = [int(kilobytes) / 1024 for kilobytes in out.split()]
    for few, many in zip(peaks[200], peaks[6_000], strict=True):
        assert many < few + 40, peaks


def looped(path, n):
    """Write a video of `n` frames, 96 x 128, quickly: 50 frames encoded once, repeated."""
    import av

    source = film(path.with_name(f"loop-{n}.avi"), moving(50, (96, 128)))
    with av.open(str(source)) as loop, av.open(str(path), "w") as out:
        packets = [p for p in loop.demux(video=0) if p.dts is not None]
        stream = out.add_stream_from_template(loop.streams.video[0])
        data = [bytes(p) for p in packets]
        for i in range(n):
            packet = av.Packet(data[i % 50])
            packet.stream, packet.time_base = stream, packets[0].time_base
            packet.pts = packet.dts = i
            packet.is_keyframe = packets[i % 50].is_keyframe
            out.mux(packet)
    return path


@pytest.mark.parametrize(
    ("broken", "sentence"),
    [
        (
            "raise ImportError('libavcodec.so: no such file')",
            r"it cannot be decoded \(ImportError: libavcodec\.so: no such file\)",
        ),
        (
            "import os; os.write(2, b'first\\nno more memory\\n\\n'); os._exit(7)",
            r"its decoder ended with exit code 7: no more memory",
        ),
        (
            "import os; os.write(2, b'assertion failed\\n'); os.abort()",
            (
                r"decoding it crashed the decoder \(Aborted\): assertion failed; "
                "the file may be damaged"
            ),
        ),
        (
            # Threads and allocators of a library may reserve far more than there is.
            "from mmap import *; m = mmap(-1, 2**37, MAP_PRIVATE, PROT_READ); import nothing_such",
            r"it cannot be decoded \(ModuleNotFoundError: No module named 'nothing_such'\)",
        ),
    ],
)
def test_what_the_decoder_printed_is_in_the_sentence(tmp_path, monkeypatch, broken, sentence):
    """A library that fails in the decoder's process is no damaged file."""
    (tmp_path / "av").mkdir()
    (tmp_path / "av" / "__init__.py").write_text(broken)
    path = os.pathsep.join(filter(None, [str(tmp_path), os.environ.get("PYTHONPATH")]))
    monkeypatch.setenv("PYTHONPATH", path)
    with Decoder() as decoder, pytest.raises(IngestError, match=f"^{sentence}$"):
        list(decoder.read(Source("video", (str(SHIPPED[1]),))))
