"""Read the protein sequences of a BLAST database, format version 4 (.pin, .psq, .phr), without BLAST.

Rewritten for the course from a small reader made while its data were planned. The layout is that of NCBI's
``formatdb``: big-endian offsets in ``.pin``, one byte per residue and a zero between two entries in ``.psq``, ASN.1
headers in ``.phr``.
"""

import re
import struct
from collections.abc import Iterator
from pathlib import Path

ALPHABET = "-ABCDEFGHIKLMNPQRSTVWXYZU*OJ"
LETTERS = bytes(ord(ALPHABET[i]) if i < len(ALPHABET) else ord("?") for i in range(256))
# a visible string of ASN.1 (tag 1a, its length in one to three bytes) that begins with the accession: "P12345|GO:..."
ACCESSION = re.compile(rb"\x1a(?:\x81.|\x82..|.)([A-Z0-9]{4,12})\|", re.S)


def read_blastdb(prefix: str | Path) -> Iterator[tuple[str | None, str]]:
    """Yield the accession (or None) and the sequence of each entry.

    Parameters
    ----------
    prefix : str or Path
        Path of the database without ``.pin``, ``.psq`` or ``.phr``.
    """
    index, residues, headers = (Path(f"{prefix}{suffix}").read_bytes() for suffix in (".pin", ".psq", ".phr"))
    at = 8
    for _ in range(2):  # title and date, each after its length
        (length,) = struct.unpack_from(">I", index, at)
        at += 4 + length
    (count,) = struct.unpack_from(">I", index, at)
    at += 4 + 8 + 4  # the count itself, the number of residues, the longest entry
    header_at = struct.unpack_from(f">{count + 1}I", index, at)
    residue_at = struct.unpack_from(f">{count + 1}I", index, at + 4 * (count + 1))
    for i in range(count):
        found = ACCESSION.search(headers[header_at[i] : header_at[i + 1]])
        sequence = residues[residue_at[i] : residue_at[i + 1] - 1].translate(LETTERS).decode()
        yield (found.group(1).decode() if found else None), sequence
