"""Read ProMod3's ``structure_db.dat`` (Debian package promod3-data) with NumPy alone.

Rewritten for the course from a small reader made while its data were planned. The layout was worked out from the file
of version 3.2.1: 73 bytes of header, the table of contents, then one array per property over all chains.
"""

import mmap
import struct
from pathlib import Path

import numpy as np

HEADER_BYTES = 73  # promod3-data 3.2.1


class StructureDB:
    """Chains of the database, by index or by PDB code and chain letter.

    Examples
    --------
    >>> db = StructureDB("structure_db.dat")           # doctest: +SKIP
    >>> db[db.index["2CE2_A"]]["sequence"][:10]        # doctest: +SKIP
    'MTEYKLVVVG'
    """

    def __init__(self, path: str | Path):
        with open(path, "rb") as handle:
            self._bytes = mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ)
        self._at = HEADER_BYTES
        _, count = self._unpack("<iQ")
        self.chains = []  # (id, offset, length, number of the first residue, origin)
        for _ in range(count):
            name = f"{self._text()}_{self._text()}"
            offset, length, start, *origin = self._unpack("<IHHfff")
            self.chains.append((name, offset, length, start, np.array(origin)))
        self.index = {chain[0]: i for i, chain in enumerate(self.chains)}
        self._letters = self._array("u1")
        self._xyz = self._array("<u2", (4, 3))  # hundredths of an ångström from the chain's origin
        self._phi_psi = self._array("<i2", (2,))  # thousandths of a radian
        self._sasa = self._array("<u2")
        self._depth = self._array("<u2")
        self._ss = self._array("u1")
        self._profile = self._array("<i2", (20,))  # ten-thousandths

    def _unpack(self, form):
        values = struct.unpack_from(form, self._bytes, self._at)
        self._at += struct.calcsize(form)
        return values

    def _text(self):
        (length,) = self._unpack("<I")
        self._at += length
        return self._bytes[self._at - length : self._at].decode()

    def _array(self, dtype, shape=()):
        (count,) = self._unpack("<Q")
        width = int(np.prod(shape, dtype=int))
        values = np.frombuffer(self._bytes, dtype, count * width, self._at).reshape((count, *shape))
        self._at += values.nbytes
        return values

    def __len__(self):
        return len(self.chains)

    def sequence(self, i: int) -> str:
        """Return the letters of chain ``i`` without decoding the rest."""
        _, offset, length, *_ = self.chains[i]
        return bytes(self._letters[offset : offset + length]).decode()

    def __getitem__(self, i: int) -> dict:
        """Return chain ``i`` as a dict.

        id, start, sequence, ss (8-state DSSP), xyz [L, 4, 3] in Å (N, CA, C, O), sasa in Å², phi_psi [L, 2] in radians,
        profile [L, 20] with the amino acids in alphabetical order.
        """
        name, offset, length, start, origin = self.chains[i]
        part = slice(offset, offset + length)
        return {
            "id": name,
            "start": start,
            "sequence": self.sequence(i),
            "ss": bytes(self._ss[part]).decode(),
            "xyz": self._xyz[part] * 0.01 + origin,
            "sasa": self._sasa[part].astype(np.float64),
            "phi_psi": self._phi_psi[part] / 1000,
            "profile": self._profile[part] / 1e4,
        }
