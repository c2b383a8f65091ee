"""Files that come out the same at every build, and the two uses of MMseqs2: clusters and relatives."""

import gzip
import io
import tempfile
import zipfile
from collections import defaultdict
from pathlib import Path

import numpy as np
import pandas as pd

from data_sets.packages import run, sha256


def gzipped(text: str) -> bytes:
    """Gzip without the name and the time, which would differ from build to build."""
    buffer = io.BytesIO()
    with gzip.GzipFile("", "wb", 9, buffer, mtime=0) as target:
        target.write(text.encode())
    return buffer.getvalue()


def csv_gz(frame: pd.DataFrame) -> bytes:
    """A table as comma-separated text, numbers with five significant digits."""
    return gzipped(frame.to_csv(index=False, lineterminator="\n", float_format="%.5g"))


def fasta_text(sequences: dict[str, str]) -> str:
    """Each sequence on one line under its name."""
    return "".join(f">{name}\n{sequence}\n" for name, sequence in sequences.items())


def npz(arrays: dict[str, np.ndarray], packing: str = "deflate") -> bytes:
    """What ``np.savez_compressed`` writes, but with a fixed time in each entry; packing "lzma" is slow and small."""
    method = {"deflate": zipfile.ZIP_DEFLATED, "lzma": zipfile.ZIP_LZMA}[packing]
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as bundle:
        for name in sorted(arrays):
            content = io.BytesIO()
            np.lib.format.write_array(content, np.ascontiguousarray(arrays[name]), allow_pickle=False)
            entry = zipfile.ZipInfo(f"{name}.npy", (1980, 1, 1, 0, 0, 0))
            entry.compress_type, entry.external_attr, entry.create_system = method, 0o644 << 16, 3
            bundle.writestr(entry, content.getvalue(), compresslevel=9)
    return buffer.getvalue()


def read_fasta(path: Path) -> dict[str, str]:
    """Names up to the first blank, and sequences."""
    found = defaultdict(list)
    for line in Path(path).read_text().splitlines():
        if line.startswith(">"):
            name = line[1:].split()[0]
        else:
            found[name].append(line.strip())
    return {name: "".join(parts) for name, parts in found.items()}


def shuffled(names) -> list:
    """The names in an order that looks random and is the same everywhere: that of their sha256."""
    return sorted(names, key=lambda name: (sha256(name.encode()), name))


def mmseqs(
    tool: str, sequences: dict[str, str], other: dict[str, str] | None, options: list, result: str
) -> list[list[str]]:
    """Run an ``easy-`` tool of MMseqs2 on one thread and return the rows of its table."""
    with tempfile.TemporaryDirectory() as folder:
        inputs = []
        for i, part in enumerate((sequences, other)):
            if part is not None:
                inputs.append(Path(folder, f"{i}.fasta"))
                inputs[-1].write_text(fasta_text(dict(sorted(part.items()))))
        run(["mmseqs", tool, *inputs, Path(folder, "out"), Path(folder, "tmp"), "--threads", "1", "-v", "1", *options])
        return [line.split("\t") for line in Path(folder, result).read_text().splitlines()]


def clusters(sequences: dict[str, str], identity: float, tool: str = "easy-cluster") -> dict[str, str]:
    """Map each name to the representative of its cluster (identity over at least 80 % of both sequences)."""
    options = ["--min-seq-id", str(identity), "-c", "0.8", "--cov-mode", "0", "--split-memory-limit", "4G"]
    return {member: first for first, member in mmseqs(tool, sequences, None, options, "out_cluster.tsv")}


def relatives(queries: dict[str, str], targets: dict[str, str], evalue: float = 1e-3) -> list[tuple[str, str]]:
    """Pairs (query, target) that a sensitive search finds below ``evalue``."""
    options = ["-e", str(evalue), "--max-seqs", "4000", "-s", "5.7", "--format-output", "query,target"]
    return sorted((q, t) for q, t in mmseqs("easy-search", queries, targets, options, "out"))


def numbered(cluster_of: dict[str, str]) -> dict[str, int]:
    """Cluster numbers from 0, in the order of the representatives' names."""
    number = {name: i for i, name in enumerate(sorted(set(cluster_of.values())))}
    return {name: number[first] for name, first in cluster_of.items()}


def joined(cluster_of: dict[str, str], pairs: list[tuple[str, str]]) -> dict[str, str]:
    """Join the clusters that a pair connects (single linkage)."""
    parent = {first: first for first in cluster_of.values()}

    def root(first):
        while parent[first] != first:
            parent[first] = parent[parent[first]]
            first = parent[first]
        return first

    for a, b in pairs:
        low, high = sorted((root(cluster_of[a]), root(cluster_of[b])))
        parent[high] = low
    return {name: root(first) for name, first in cluster_of.items()}


def families(sequences: dict[str, str]) -> dict[str, int]:
    """Family number of each sequence: 30 % clusters, joined where a search finds two sequences related (e < 1e-3)."""
    return numbered(joined(clusters(sequences, 0.3), relatives(sequences, sequences)))
