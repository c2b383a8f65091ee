"""Sequences, FASTA and mutations: what is accepted, and the sentence for what is not."""
import gzip

import pytest

import plmcourse as pc
from plmcourse import sequences


def test_the_alphabet_is_esm2s():
    assert len(sequences.TOKENS) == 33
    assert (sequences.CLS, sequences.PAD, sequences.EOS, sequences.MASK) == (0, 1, 2, 32)
    assert sequences.RESIDUES == "LAGVSERTIDPKQNFYMHWC"


@pytest.mark.parametrize("text, sentence", [
    ("MKTAYIAKQRQISFVKJ", "residue 'J' at position 17 of 'sp|P0' is not one of the 20 standard amino acids"),
    ("MK*", "residue '*' at position 3 of 'sp|P0'"), ("M-K", "residue '-' at position 2"), ("M.K", "residue '.' at position 2"),
    ("M1K", "residue '1' at position 2"), ("MK ", "residue ' ' at position 3"), ("", "sp|P0 is empty"), ("Mé", "residue 'é' at position 2")])
def test_bad_sequences_are_named(text, sentence):
    with pytest.raises(ValueError) as error:
        sequences.clean(text, "sp|P0")
    assert sentence in str(error.value)


def test_lower_case_is_accepted_with_a_note():
    with pytest.warns(UserWarning, match="sequence 1 has lower-case letters"):
        assert sequences.clean("mKt", "sequence 1") == "MKT"


def test_something_else_than_a_string_is_named():
    with pytest.raises(TypeError, match="sequence 3 is a int"):
        sequences.clean(12, "sequence 3")


def test_fasta_round_trip(tmp_path):
    file = tmp_path / "two.fasta.gz"
    with gzip.open(file, "wt") as handle:
        handle.write(">a first protein\nMKT\nAY\n\n>b\nGG\n")
    assert pc.read_fasta(file) == {"a": "MKTAY", "b": "GG"}


@pytest.mark.parametrize("text, sentence", [
    (">a\nMK\n>a\nGG\n", "id 'a' in line 3 of .* stands there twice"), ("MKT\n>a\nGG\n", "line 1 of .* is a sequence without a header"),
    (">a\n>b\nGG\n", "a is empty"), (">a\nMKJ\n", "residue 'J' at position 3 of 'a'")])
def test_bad_fasta_is_named(tmp_path, text, sentence):
    file = tmp_path / "bad.fasta"
    file.write_text(text)
    with pytest.raises(ValueError, match=sentence):
        pc.read_fasta(file)


def test_mutations():
    assert pc.parse_mutation("M69L") == ("M", 69, "L")
    assert pc.apply_mutations("MKTAY", "K27R:Y30F", first=26) == "MRTAF"


@pytest.mark.parametrize("text", ["", "M69", "69L", "m69l", "M069L", "M0L", "J69L", "M69*", "M69L ", "M6.9L", "M٣L", "M69LL", None])
def test_malformed_mutations_are_refused(text):
    with pytest.raises(ValueError, match="is not a mutation"):
        pc.parse_mutation(text)


@pytest.mark.parametrize("mutation, first, sentence", [
    ("M69L", 68, "M69L: position 69 is K, not M"), ("K99L", 1, "K99L: position 99 lies outside the sequence, which runs from 1 to 5"),
    ("M25L", 26, "position 25 lies outside"), ("K2R:K2A", 1, "K2R:K2A: position 2 is mutated twice")])
def test_mutations_that_do_not_fit_are_named(mutation, first, sentence):
    with pytest.raises(ValueError, match=sentence):
        pc.apply_mutations("MKTAY", mutation, first)
