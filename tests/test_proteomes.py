"""FASTA files of any size into HDF5: what is in the file, what is left out, and what a crash, a full disk or a lost worker changes (nothing)."""
import errno
import gzip
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import h5py
import numpy as np
import pytest

import plmcourse as pc
from plmcourse import cli, datasets, proteomes

LETTERS = "ACDEFGHIKLMNPQRSTVWY"


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """A folder with the weights of a tiny model, and the model."""
    folder = tmp_path_factory.mktemp("tiny")
    plm = pc.untrained(layers=2, dim=16, heads=2)
    plm.model.save_pretrained(folder)
    shutil.copy(datasets.path("course-8M").parent / "vocab.txt", folder)
    return folder, pc.load(str(folder))


def random_fasta(path, count, seed=0, longest=120):
    """Random proteins, a fifth of them twice under different ids; returns {id: sequence}."""
    draw = random.Random(seed)
    found = {}
    for number in range(count):
        again = found and draw.random() < 0.2
        found[f"p{number}"] = draw.choice([*found.values()]) if again else "".join(draw.choices(LETTERS, k=draw.randint(1, longest)))
    path.write_text("".join(f">{name} a protein\n{sequence}\n" for name, sequence in found.items()))
    return found


def read(path):
    with h5py.File(path) as file:
        return {name: file[name][:] for name in file}


@pytest.mark.parametrize("pooled", [False, True])
def test_file_holds_what_embed_returns(tiny, tmp_path, pooled):
    folder, plm = tiny
    proteins = random_fasta(tmp_path / "a.fasta", 60)
    report = proteomes.embed_fasta(tmp_path / "a.fasta", tmp_path / "a.h5", model=str(folder), layer=1, pooled=pooled)
    found = read(tmp_path / "a.h5")
    assert (report.ids, report.proteins, report.bad) == (60, len(set(proteins.values())), ())
    assert found.keys() == proteins.keys()
    for name, sequence in proteins.items():
        [expected] = pc.embed(plm, [sequence], layer=1)
        expected = expected.mean(0) if pooled else expected
        assert found[name].dtype == np.float32 and np.abs(found[name] - expected.numpy()).max() < 1e-5
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.fasta", "a.h5"]


def test_scan_holds_masked_marginals(tiny, tmp_path):
    folder, plm = tiny
    proteins = random_fasta(tmp_path / "a.fasta", 8, longest=40)
    proteomes.scan_fasta(tmp_path / "a.fasta", tmp_path / "a.h5", model=str(folder))
    for name, found in read(tmp_path / "a.h5").items():
        assert np.abs(found - pc.masked_marginals(plm, proteins[name]).numpy()).max() < 1e-5


def test_order_and_batching_change_nothing(tiny, tmp_path):
    folder, plm = tiny
    proteins = random_fasta(tmp_path / "a.fasta", 50)
    turned = dict(reversed(proteins.items()))
    (tmp_path / "b.fasta").write_text("".join(f">{name}\n{sequence}\n" for name, sequence in turned.items()))
    for letter in "ab":
        proteomes.embed_fasta(tmp_path / f"{letter}.fasta", tmp_path / f"{letter}.h5", model=str(folder))
    first, second = read(tmp_path / "a.h5"), read(tmp_path / "b.h5")
    other = dict(zip(proteins, pc.embed(plm, [*proteins.values()], tokens_per_batch=300)))
    for name in proteins:
        assert np.abs(first[name] - second[name]).max() < 1e-5
        assert np.abs(first[name] - other[name].numpy()).max() < 1e-5


def test_equal_sequences_are_stored_once(tiny, tmp_path):
    folder, _ = tiny
    (tmp_path / "a.fasta").write_text(">one\nMKT\n>two\nMKTA\n>three\nmkt\n")
    report = proteomes.embed_fasta(tmp_path / "a.fasta", tmp_path / "a.h5", model=str(folder))
    with h5py.File(tmp_path / "a.h5") as file:
        assert file["one"] == file["three"] and file["one"] != file["two"]
    assert (report.ids, report.proteins) == (3, 2)


def test_bad_records_are_listed_and_the_others_kept(tiny, tmp_path, capsys):
    folder, _ = tiny
    records = {"good": "MKT", "with J": "MKJ", "empty": "", "long": "A" * 1023, "sp|P1/2": "MKTA", "sp|P1_2": "MKV", "X": "MXT"}
    with gzip.open(tmp_path / "a.fasta.gz", "wt") as file:
        file.writelines(f">{name}\n{sequence}\n" for name, sequence in records.items())
    command = [str(tmp_path / "a.fasta.gz"), "-o", str(tmp_path / "a.h5"), "--model", str(folder)]
    assert cli.main(["embed", *command]) == 2
    said = capsys.readouterr().err
    for part in ("line 3: residue 'J' at position 3 of 'with'", "line 5: empty is empty", "line 7: long has 1,023 residues",
                 "line 11: id 'sp|P1_2' stands there twice"):
        assert f"left out: {part}" in said
    assert set(read(tmp_path / "a.h5")) == {"good", "sp|P1_2", "X"}
    command[2] = str(tmp_path / "b.h5")
    assert cli.main(["scan", *command]) == 2
    assert "residue 'X' at position 2 of 'X' is not one of the 20 standard amino acids\n" in capsys.readouterr().err
    assert set(read(tmp_path / "b.h5")) == {"good", "sp|P1_2"}


def test_no_good_record_makes_no_file(tiny, tmp_path, capsys):
    (tmp_path / "a.fasta").write_text(">a\nM1\n")
    assert cli.main(["embed", str(tmp_path / "a.fasta"), "-o", str(tmp_path / "a.h5"), "--model", str(tiny[0])]) == 1
    assert "has no protein to work on; line 1: residue '1' at position 2 of 'a'" in capsys.readouterr().err
    assert not (tmp_path / "a.h5").exists()


def test_what_is_there_is_kept(tiny, tmp_path):
    folder, _ = tiny
    random_fasta(tmp_path / "a.fasta", 5)
    proteomes.embed_fasta(tmp_path / "a.fasta", tmp_path / "a.h5", model=str(folder))
    before = (tmp_path / "a.h5").stat()
    proteomes.embed_fasta(tmp_path / "a.fasta", tmp_path / "a.h5", model=str(folder))
    assert (tmp_path / "a.h5").stat().st_mtime_ns == before.st_mtime_ns, "nothing is done twice"
    with pytest.raises(ValueError, match="a.h5 was made from other proteins or with other settings .*: move it away"):
        proteomes.embed_fasta(tmp_path / "a.fasta", tmp_path / "a.h5", model=str(folder), layer=0)


def test_too_little_disk_is_said_before_the_work(tiny, tmp_path, monkeypatch):
    random_fasta(tmp_path / "a.fasta", 5)
    monkeypatch.setattr(proteomes.shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(100, 90, 10))
    with pytest.raises(ValueError, match="a.h5 will take 0.00 GB of disk, and 0.00 GB are free"):
        proteomes.embed_fasta(tmp_path / "a.fasta", tmp_path / "a.h5", model=str(tiny[0]))
    assert [path.name for path in tmp_path.iterdir()] == ["a.fasta"]


def test_a_disk_that_fills_up_leaves_a_valid_file(tiny, tmp_path, monkeypatch):
    folder, _ = tiny
    random_fasta(tmp_path / "a.fasta", 2000)
    proteomes.embed_fasta(tmp_path / "a.fasta", tmp_path / "whole.h5", model=str(folder))
    whole, to_disk, calls = read(tmp_path / "whole.h5"), proteomes._to_disk, []

    def full(file):
        calls.append(file)
        if len(calls) > 4:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        to_disk(file)

    monkeypatch.setattr(proteomes, "_to_disk", full)
    with pytest.raises(OSError, match="No space left"):
        proteomes.embed_fasta(tmp_path / "a.fasta", tmp_path / "a.h5", model=str(folder))
    half = read(tmp_path / "a.h5.unfinished")
    done = [name for name in whole if np.array_equal(whole[name], half[name])]
    assert 0 < len(done) < len(whole) == len(half)
    monkeypatch.setattr(proteomes, "_to_disk", to_disk)
    proteomes.embed_fasta(tmp_path / "a.fasta", tmp_path / "a.h5", model=str(folder))
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "whole.h5").read_bytes()


def start(fasta, output, folder):
    command = [sys.executable, "-m", "plmcourse.cli", "embed", str(fasta), "-o", str(output), "--model", str(folder)]
    paths = os.pathsep.join([str(Path(pc.__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    return subprocess.Popen(command, env=os.environ | {"PYTHONPATH": paths}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def wait_for(condition, seconds=120):
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.01)


def test_killed_and_resumed_gives_the_same_bytes(tiny, tmp_path):
    folder, _ = tiny
    random_fasta(tmp_path / "a.fasta", 4000)
    assert start(tmp_path / "a.fasta", tmp_path / "whole.h5", folder).wait() == 0
    progress, output, draw = tmp_path / "a.h5.progress", tmp_path / "a.h5", random.Random(0)
    kills = 0
    for _ in range(4):
        process = start(tmp_path / "a.fasta", output, folder)
        before = progress.read_bytes() if progress.exists() else b""
        wait_for(lambda: process.poll() is not None or progress.exists() and progress.read_bytes() != before)
        time.sleep(draw.uniform(0, 0.1))
        process.send_signal(signal.SIGKILL)
        kills += process.wait() == -signal.SIGKILL
    assert kills
    assert start(tmp_path / "a.fasta", output, folder).wait() == 0
    assert output.read_bytes() == (tmp_path / "whole.h5").read_bytes()


class TestCluster:
    def test_a_killed_worker_loses_nothing(self, tiny, tmp_path):
        """Two worker processes, one of which is killed half way; then the same from the command line."""
        distributed = pytest.importorskip("distributed")
        folder, _ = tiny
        random_fasta(tmp_path / "a.fasta", 4000)
        proteomes.embed_fasta(tmp_path / "a.fasta", tmp_path / "alone.h5", model=str(folder))
        killed = []
        with distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster, distributed.Client(cluster) as client:
            write = proteomes.Results.write

            def write_and_kill(results, task, arrays):
                assert not results.is_done(task)
                write(results, task, arrays)
                if not killed:
                    killed.append(next(iter(client.run(os.getpid).values())))
                    os.kill(killed[0], signal.SIGKILL)

            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(proteomes.Results, "write", write_and_kill)
                proteomes.embed_fasta(tmp_path / "a.fasta", tmp_path / "shared.h5", model=str(folder), client=client)
            assert killed
            command = ["scan", str(tmp_path / "few.fasta"), "-o", str(tmp_path / "scan.h5"), "--model", str(folder), "--dask", cluster.scheduler_address]
            few = random_fasta(tmp_path / "few.fasta", 3, longest=30)
            assert cli.main(command) == 0
        alone, shared = read(tmp_path / "alone.h5"), read(tmp_path / "shared.h5")
        assert alone.keys() == shared.keys() and max(np.abs(alone[name] - shared[name]).max() for name in alone) < 1e-5
        assert read(tmp_path / "scan.h5").keys() == few.keys()
