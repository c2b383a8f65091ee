"""Whole proteomes: from a FASTA file of any size to an HDF5 file with one array per protein.

The file is laid out first, with a place of the right size for every protein and nothing in it. Then the numbers are put into
their places, task by task, and a file beside it notes which tasks are done. So it is valid HDF5 at every moment; a run that was
killed goes on with the tasks that are left; and since tasks do not depend on each other, machines of a cluster can share them.
The array of a protein is found by its id, as in UniProt's files of embeddings: ``h5py.File("out.h5")["P62593"][:]``.
"""
import hashlib
import json
import os
import shutil
import threading
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from itertools import islice
from pathlib import Path

import h5py
import numpy as np
import torch
from tqdm.auto import tqdm

from plmcourse import __version__, embeddings, placement, scoring
from plmcourse.models import load
from plmcourse.sequences import AMBIGUOUS, RESIDUES, clean, fasta_records

WINDOW = 4096  # records in memory at a time, and sorted by length together
TOKENS_PER_TASK = 16_384  # a second of a CPU's time with 8M: what is lost when a run is killed, and what a cluster hands out
RETRIES = 3  # of a task on a cluster


@dataclass(frozen=True)
class Job:
    """What to compute for each protein: ``kind`` is one of ``KINDS``, the rest is for :func:`plmcourse.load` and :func:`embed`."""

    kind: str
    model: str
    layer: int
    dtype: str

    def model_facts(self):
        """What the layout depends on, and what tells these weights from others."""
        plm = _loaded(self.model, self.dtype)
        depth = plm.config.num_hidden_layers
        if not -depth - 1 <= self.layer <= depth:
            raise ValueError(f"layer {self.layer} does not exist: this model has hidden states 0 to {depth} (or -1 for the last)")
        return {"source": plm.source, "dim": plm.config.hidden_size, "max_residues": plm.max_residues,
                "tokens_per_batch": plm.tokens_per_batch, "weights": _fingerprint(plm.model)}

    def compute(self, sequences):
        """One array for each sequence."""
        plm = _loaded(self.model, self.dtype)
        with torch.autocast("cpu", torch.bfloat16, enabled=self.dtype == "bfloat16"):
            return [np.asarray(array, dtype="<f4") for array in KINDS[self.kind].compute(plm, sequences, self.layer)]


@dataclass(frozen=True)
class Kind:
    """One way to describe a protein: how it is computed, the array's shape, what it costs in tokens, and the letters it allows."""

    compute: callable
    shape: callable
    batches: callable
    alphabet: str


def _by_length(lengths, tokens_per_batch):
    return embeddings.batches([length + 2 for length in lengths], tokens_per_batch)


def _one_by_one(lengths, _):
    return [[place] for place in range(len(lengths))]  # a scan makes its own batches, of masked copies


KINDS = {
    "residues": Kind(lambda plm, sequences, layer: embeddings.embed(plm, sequences, layer), lambda length, dim: (length, dim), _by_length,
                     RESIDUES + AMBIGUOUS),
    "means": Kind(lambda plm, sequences, layer: [states.mean(0) for states in embeddings.embed(plm, sequences, layer)],
                  lambda length, dim: (dim,), _by_length, RESIDUES + AMBIGUOUS),
    "mutations": Kind(lambda plm, sequences, layer: [scoring.masked_marginals(plm, sequence) for sequence in sequences],
                      lambda length, dim: (length, 20), _one_by_one, RESIDUES),
}
_one_at_a_time = threading.Lock()


def _loaded(model, dtype):
    with _one_at_a_time:  # two threads of a worker would load it twice
        return _load(model, dtype)


@lru_cache(maxsize=1)
def _load(model, dtype):
    # on a CPU autocast takes bfloat16 for the matrix products alone: as fast as weights in bfloat16, and several times as precise
    on_cpu = placement.devices()[0] == "cpu"
    return load(model, dtype=torch.float32 if on_cpu else getattr(torch, dtype))


def _fingerprint(model):
    """Of all small tensors (biases, normalisations): enough to tell trained weights apart, and quick for billions of numbers."""
    whole = hashlib.sha256()
    for name, tensor in model.state_dict().items():
        if tensor.numel() <= 50_000:
            whole.update(name.encode() + tensor.float().cpu().numpy().tobytes())
    return whole.hexdigest()[:16]


# ------------------------------------------------------------------------------------------------ what is in the file

@dataclass
class Survey:
    """What a FASTA file holds. Equal sequences are one protein under several ids.

    Attributes
    ----------
    lengths : list of int
        Of the proteins.
    keys : list of (str, int)
        Name in the HDF5 file, and number of the protein.
    place : list of int
        For each record the number of the protein that it brings, or -1: nothing new, or bad.
    bad : list of str
        A sentence for each record that is left out.
    digest : str
        Of all ids and sequences.
    """

    lengths: list = field(default_factory=list)
    keys: list = field(default_factory=list)
    place: list = field(default_factory=list)
    bad: list = field(default_factory=list)
    digest: str = ""


def survey(fasta, alphabet, most):
    """Go through a FASTA file once: ids, lengths, duplicates, and records that cannot be used (of more than ``most`` residues, say)."""
    found, numbers, seen, whole = Survey(), {}, set(), hashlib.sha256()
    for line, name, sequence in fasta_records(fasta):
        whole.update(f">{name}\n{sequence}\n".encode())
        found.place.append(-1)
        key = name.replace("/", "_")  # HDF5 would make a folder of it
        try:
            sequence = clean(sequence.upper(), name, alphabet)
            if len(sequence) > most:
                raise ValueError(f"{name} has {len(sequence):,} residues; the model was trained on at most {most:,}")
            if key in seen or key in (".", ".."):
                raise ValueError(f"id {name!r} " + ("is no name in HDF5" if key in (".", "..") else "stands there twice"))
        except ValueError as error:
            found.bad.append(f"line {line}: {error}")
            continue
        seen.add(key)
        digest = hashlib.blake2b(sequence.encode(), digest_size=16).digest()
        if digest not in numbers:
            numbers[digest] = found.place[-1] = len(found.lengths)
            found.lengths.append(len(sequence))
        found.keys.append((key, numbers[digest]))
    found.digest = whole.hexdigest()[:16]
    if not found.keys:
        raise ValueError(f"{fasta} has no protein to work on" + (f"; {found.bad[0]}" if found.bad else ""))
    return found


@dataclass(frozen=True)
class Task:
    """Some batches of proteins, by their numbers and as sequences."""

    number: int
    proteins: list
    sequences: list


def tasks(fasta, found, kind, tokens_per_batch):
    """Cut the work into tasks of about as many tokens each, always in the same way: generator of Task."""
    new = ((number, sequence.upper()) for number, (_, _, sequence) in zip(found.place, fasta_records(fasta)) if number >= 0)
    count = 0
    while window := list(islice(new, WINDOW)):
        proteins, sequences, cost = [], [], 0
        for rows in kind.batches([len(sequence) for _, sequence in window], tokens_per_batch):
            longest = max(len(window[row][1]) for row in rows) + 2
            cost += longest * (len(rows) if kind.batches is _by_length else longest)
            proteins += [window[row][0] for row in rows]
            sequences += [window[row][1] for row in rows]
            if cost >= TOKENS_PER_TASK:
                yield Task(count, proteins, sequences)
                count, proteins, sequences, cost = count + 1, [], [], 0
        if sequences:
            yield Task(count, proteins, sequences)
            count += 1


# ------------------------------------------------------------------------------------------------ the file with results

class Results:
    """An HDF5 file that is being filled: ``NAME.unfinished``, and in ``NAME.progress`` a byte for each task, 1 when it is done."""

    def __init__(self, output, settings, found, shape):
        self.output = Path(output)
        self.unfinished, self.progress = (self.output.with_name(self.output.name + end) for end in (".unfinished", ".progress"))
        self.settings, self.found, self.shape = json.dumps(settings, sort_keys=True), found, shape

    def is_complete(self):
        """Whether an earlier run has finished this very file; another file in its place is a ValueError."""
        if not (self.output.exists() and self._is_ours(self.output)):
            return False
        self.progress.unlink(missing_ok=True)  # that run may have been killed just before it did so
        return True

    def _is_ours(self, path):
        with h5py.File(path, "r") as file:
            there = file.attrs.get("plmcourse")
        if there != self.settings:
            raise ValueError(f"{path} was made from other proteins or with other settings ({there}): move it away, or choose another output")
        return True

    def __enter__(self):
        if not (self.unfinished.exists() and self._is_ours(self.unfinished)):
            self._lay_out()
        with h5py.File(self.unfinished, "r") as file:
            first = dict((number, key) for key, number in reversed(self.found.keys))
            self.offsets = [file[first[number]].id.get_offset() for number in range(len(self.found.lengths))]
        self.progress.touch()
        self.done = self.progress.read_bytes()
        self.numbers, self.marks = open(self.unfinished, "r+b"), open(self.progress, "r+b")
        return self

    def __exit__(self, kind, *_):
        self.numbers.close()
        self.marks.close()
        if kind is None:
            os.replace(self.unfinished, self.output)
            self.progress.unlink()

    def _lay_out(self):
        """Make the file with all its arrays, empty; under another name until it is whole."""
        need = sum(4 * int(np.prod(self.shape(length))) for length in self.found.lengths)
        free = shutil.disk_usage(self.output.absolute().parent).free
        if need > free:
            raise ValueError(f"{self.output} will take {need / 1e9:.2f} GB of disk, and {free / 1e9:.2f} GB are free")
        self.progress.unlink(missing_ok=True)
        new = self.output.with_name(self.output.name + ".new")
        with h5py.File(new, "w", libver="latest") as file:
            file.attrs["plmcourse"] = self.settings
            plan = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
            plan.set_layout(h5py.h5d.CONTIGUOUS)
            plan.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)  # so that each array has its place in the file now
            plan.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
            plan.set_obj_track_times(False)  # the same work makes the same file
            first = {}
            for key, number in self.found.keys:
                if number in first:
                    file.id.links.create_hard(key.encode(), file.id, first[number])
                else:
                    first[number] = key.encode()
                    space = h5py.h5s.create_simple(self.shape(self.found.lengths[number]))
                    h5py.h5d.create(file.id, first[number], h5py.h5t.IEEE_F32LE, space, plan)
        os.replace(new, self.unfinished)

    def is_done(self, task):
        return task.number < len(self.done) and self.done[task.number] == 1

    def write(self, task, arrays):
        """Put a task's arrays into their places; only when they are on the disk is the task marked as done."""
        for number, array in zip(task.proteins, arrays, strict=True):
            if array.shape != self.shape(self.found.lengths[number]):
                raise ValueError(f"an array of shape {array.shape} came back for a protein of {self.found.lengths[number]} residues")
            self.numbers.seek(self.offsets[number])
            self.numbers.write(array.tobytes())
        _to_disk(self.numbers)
        self.marks.seek(task.number)
        self.marks.write(b"\1")
        _to_disk(self.marks)


def _to_disk(file):
    file.flush()
    os.fsync(file.fileno())


# ------------------------------------------------------------------------------------------------------------ the runs

@dataclass(frozen=True)
class Report:
    """What was done: ``ids`` in the file, different ``proteins`` among them, and a sentence for each ``bad`` record."""

    ids: int
    proteins: int
    bad: tuple


def embed_fasta(fasta, output, model=None, layer=-1, pooled=False, dtype="float32", client=None):
    """Embed all proteins of a FASTA file into an HDF5 file.

    Parameters
    ----------
    fasta, output : path
        ``fasta`` may be gzipped and of any size. Lower case is read as upper case.
    model : str, optional
        As for :func:`plmcourse.load`.
    layer : int
        As for :func:`plmcourse.embed`.
    pooled : bool
        The mean over residues, shape [dim], instead of one vector per residue, shape [L, dim].
    dtype : str
        Precision of the computation, "float32" or "bfloat16"; the file holds float32 in any case.
    client : distributed.Client, optional
        A Dask cluster to share the work. Each worker process loads the model once.

    Returns
    -------
    Report
        Bad records are left out and named there.

    Raises
    ------
    ValueError
        If there is no good record, too little disk, or ``output`` is there already and was made from something else.
    """
    return _run(fasta, output, Job("means" if pooled else "residues", _name(model), layer, dtype), client)


def scan_fasta(fasta, output, model=None, dtype="float32", client=None):
    """Score all single mutants of all proteins, see :func:`plmcourse.masked_marginals`: arrays of shape [L, 20]. Otherwise as :func:`embed_fasta`."""
    return _run(fasta, output, Job("mutations", _name(model), -1, dtype), client)


def _name(model):
    return str(model or os.environ.get("PLMCOURSE_MODEL", "8M"))


def _run(fasta, output, job, client):
    kind = KINDS[job.kind]
    facts = client.submit(job.model_facts, pure=False).result() if client else job.model_facts()
    found = survey(fasta, kind.alphabet, facts["max_residues"])
    settings = {"version": __version__, "fasta": found.digest, **asdict(job), **facts}
    results = Results(output, settings, found, lambda length: kind.shape(length, facts["dim"]))
    report = Report(len(found.keys), len(found.lengths), tuple(found.bad))
    if results.is_complete():
        return report
    with results, tqdm(total=sum(found.lengths), unit="residue", unit_scale=True, desc=Path(output).name) as bar:
        def left():
            for task in tasks(fasta, found, kind, facts["tokens_per_batch"]):
                if results.is_done(task):
                    bar.update(sum(found.lengths[number] for number in task.proteins))
                else:
                    yield task

        computed = _on_cluster(job, left(), client, facts) if client else ((task, job.compute(task.sequences)) for task in left())
        for task, arrays in computed:
            results.write(task, arrays)
            bar.update(sum(found.lengths[number] for number in task.proteins))
    return report


def _on_cluster(job, waiting, client, facts):
    """Let the workers of a Dask cluster compute the tasks: generator of (task, arrays), in the order in which they are ready.

    Dask gives the tasks of a worker that was lost to others.
    """
    from distributed import as_completed

    ready, sent = as_completed(), {}

    def send(task):
        future = client.submit(_checked, job, task.sequences, facts["weights"], retries=RETRIES, pure=False)
        sent[future] = task
        ready.add(future)

    for task in islice(waiting, 2 * sum(client.nthreads().values())):  # two for each thread: none of them waits for us
        send(task)
    for future in ready:
        yield sent.pop(future), future.result()
        if task := next(waiting, None):
            send(task)


def _checked(job, sequences, weights):
    """Computed on a worker, with the very weights that the file is about."""
    facts = job.model_facts()
    if facts["weights"] != weights:
        raise ValueError(f"this worker has other weights: {facts['source']}")
    return job.compute(sequences)
