"""Protein sequences and mutations: the alphabet, validation, FASTA. No PyTorch here."""
import re
import warnings

# The vocabulary of ESM-2, in id order (fair-esm, ``esm/data.py``). The alphabet is written down here and nowhere else.
TOKENS = ("<cls> <pad> <eos> <unk> L A G V S E R T I D P K Q N F Y M H W C X B U Z O . - <null_1> <mask>").split()
TOKEN_ID = {token: number for number, token in enumerate(TOKENS)}
CLS, PAD, EOS, MASK = (TOKEN_ID[token] for token in ("<cls>", "<pad>", "<eos>", "<mask>"))
IGNORE = -100  # the label of a token that is not to be guessed; PyTorch's cross_entropy skips it by default
RESIDUES = "".join(TOKENS[4:24])  # the 20 standard amino acids, ids 4 to 23
AMBIGUOUS = "".join(TOKENS[24:29])  # X (any), B (N or D), U (selenocysteine), Z (Q or E), O (pyrrolysine), ids 24 to 28

_MUTATION = re.compile(f"([{RESIDUES}])([1-9][0-9]*)([{RESIDUES}])")


def clean(sequence, name="the sequence", alphabet=RESIDUES + AMBIGUOUS):
    """Check a sequence letter by letter and return it in upper case.

    Both ESM tokenizers fail quietly here: transformers turns ``"mkt"`` into a single ``<unk>``, fair-esm raises a bare
    ``KeyError`` for ``J``. So every sequence goes through this function before it meets a tokenizer.

    Parameters
    ----------
    sequence : str
    name : str
        How error messages call the sequence.
    alphabet : str
        Letters that are allowed.

    Returns
    -------
    str

    Raises
    ------
    ValueError
        If the sequence is empty or holds a letter outside the alphabet; the letter and its position (from 1) are named.
    TypeError
        If the sequence is not a string.
    """
    if not isinstance(sequence, str):
        raise TypeError(f"{name} is a {type(sequence).__name__}, not a string of amino acids")
    if not sequence:
        raise ValueError(f"{name} is empty")
    upper = sequence.upper()
    for position, letter in enumerate(upper, start=1):
        if letter not in alphabet:
            raise ValueError(f"residue {sequence[position - 1]!r} at position {position} of {name!r} is not one of the 20 "
                             "standard amino acids" + (" (nor X, B, U, Z or O)" if "X" in alphabet else ""))
    if upper != sequence:
        warnings.warn(f"{name} has lower-case letters; they are read as upper case", stacklevel=3)
    return upper


def read_fasta(path, alphabet=RESIDUES + AMBIGUOUS):
    """Read a FASTA file (``.gz`` too) into a dictionary from id to sequence.

    The id is the header up to the first space. Unlike most readers this one refuses duplicate ids: a dictionary would keep
    the last of them and lose the others without a word.

    Parameters
    ----------
    path : str or Path
    alphabet : str
        Letters that are allowed; an alignment needs ``"-"`` as well.

    Raises
    ------
    ValueError
        If a record has no header, an empty sequence, an id that came before, or a letter that is no amino acid.
    """
    found = {}
    for line, name, sequence in fasta_records(path):
        if name in found:
            raise ValueError(f"id {name!r} in line {line} of {path} stands there twice")
        found[name] = clean(sequence, name, alphabet)
    return found


def fasta_records(path):
    """Read a FASTA file of any size record by record, as they stand there: (line of the header, id, sequence).

    A record without an id is called "record N". A ValueError says where a sequence has no header.
    """
    import gzip

    with (gzip.open if str(path).endswith(".gz") else open)(path, "rt", encoding="utf-8") as lines:
        count, start, name, parts = 0, None, None, []
        for number, line in enumerate(lines, start=1):
            line = line.strip()
            if line.startswith(">"):
                if start:
                    yield start, name, "".join(parts)
                count, start, parts = count + 1, number, []
                name = line[1:].split(maxsplit=1)[0] if line[1:].strip() else f"record {count}"
            elif line and start is None:
                raise ValueError(f"line {number} of {path} is a sequence without a header: FASTA records begin with '>'")
            elif line:
                parts.append(line)
        if start:
            yield start, name, "".join(parts)


def parse_mutation(text):
    """Split a mutation such as ``"M69L"`` into ``("M", 69, "L")``: wild type, position, mutant.

    Raises
    ------
    ValueError
        For anything but one standard amino acid (capital letter), a number from 1 without leading zeros, and another letter.
    """
    found = _MUTATION.fullmatch(text) if isinstance(text, str) else None
    if found is None:
        raise ValueError(f"{text!r} is not a mutation: write the wild-type residue, its position and the mutant, as in 'M69L'")
    wild, position, mutant = found.groups()
    return wild, int(position), mutant


def locate(sequence, mutation, first=1):
    """Index (from 0) and mutant residue of a mutation such as "M69L", after checking that its wild type is really there.

    ``first`` is the number that the literature gives the first residue of the sequence.

    Raises
    ------
    ValueError
        If the position lies outside the sequence, or another residue stands there.
    """
    wild, position, mutant = parse_mutation(mutation)
    index = position - first
    if not 0 <= index < len(sequence):
        raise ValueError(f"{mutation}: position {position} lies outside the sequence, which runs from {first} to "
                         f"{first + len(sequence) - 1}")
    if sequence[index].upper() != wild:
        raise ValueError(f"{mutation}: position {position} is {sequence[index].upper()}, not {wild}")
    return index, mutant


def apply_mutations(sequence, mutations, first=1):
    """The sequence with one or more substitutions, written ``"M69L"`` or ``"M69L:K73R"``.

    Raises
    ------
    ValueError
        As :func:`locate`; also when one position is mutated twice.
    """
    letters = list(sequence.upper())
    seen = set()
    for mutation in mutations.split(":"):
        index, mutant = locate(sequence, mutation, first)
        if index in seen:
            raise ValueError(f"{mutations}: position {index + first} is mutated twice")
        seen.add(index)
        letters[index] = mutant
    return "".join(letters)
