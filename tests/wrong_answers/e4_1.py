"""Exercise 4.1, parse_mutation and mutation_score."""
import math
import re

import torch

from plmcourse.sequences import parse_mutation

AMINO_ACIDS = "ACDEFGHIKLMNPQRSTVWY"
IDS = {letter: number for number, letter in enumerate("LAGVSERTIDPKQNFYMHWC", start=4)}


def wrong_parse_mutation__two_digits(text):
    """Slices two digits: right for M69L, not for M1L or M182T.

    message: not a mutation: A1C
    """
    if not isinstance(text, str) or len(text) < 4 or text[0] not in AMINO_ACIDS or text[3] not in AMINO_ACIDS:
        raise ValueError(f"not a mutation: {text}")
    return text[0], int(text[1:3]), text[3]


def wrong_parse_mutation__position_is_text(text):
    """The position stays a string.

    message: the position as a number
    """
    found = re.fullmatch(f"([{AMINO_ACIDS}])([1-9][0-9]*)([{AMINO_ACIDS}])", text)
    if not found:
        raise ValueError(f"not a mutation: {text}")
    return found.groups()


def wrong_parse_mutation__counts_from_zero(text):
    """Returns 68 for M69L.

    message: without a shift
    """
    found = re.fullmatch(f"([{AMINO_ACIDS}])([1-9][0-9]*)([{AMINO_ACIDS}])", text)
    if not found:
        raise ValueError(f"not a mutation: {text}")
    return found[1], int(found[2]) - 1, found[3]


def wrong_parse_mutation__no_validation(text):
    """Takes any first and last character.

    message: 'M69' has no mutant. It returned ('M', 6, '9')
    """
    return text[0], int(text[1:-1]), text[-1]


def wrong_parse_mutation__any_capital(text):
    """J, B, X and the like pass as amino acids.

    message: begins with J, which is no standard amino acid
    """
    found = re.fullmatch("([A-Z])([1-9][0-9]*)([A-Z])", text)
    if not found:
        raise ValueError(f"not a mutation: {text}")
    return found[1], int(found[2]), found[3]


def wrong_parse_mutation__lower_case(text):
    """Takes m69l as M69L.

    message: is written in lower case
    """
    found = re.fullmatch(f"([{AMINO_ACIDS}])([1-9][0-9]*)([{AMINO_ACIDS}])", text.upper())
    if not found:
        raise ValueError(f"not a mutation: {text}")
    return found[1], int(found[2]), found[3]


def wrong_parse_mutation__lower_case_kept(text):
    """Takes m69l and returns small letters.

    message: is written in lower case
    """
    found = re.fullmatch(f"([{AMINO_ACIDS}])([1-9][0-9]*)([{AMINO_ACIDS}])", text, re.IGNORECASE)
    if not found:
        raise ValueError(f"not a mutation: {text}")
    return found[1], int(found[2]), found[3]


def wrong_parse_mutation__none_for_nonsense(text):
    """Returns None instead of raising.

    message: It returned None where a ValueError
    """
    found = re.fullmatch(f"([{AMINO_ACIDS}])([1-9][0-9]*)([{AMINO_ACIDS}])", text)
    if not found:
        return None
    return found[1], int(found[2]), found[3]


def wrong_parse_mutation__returns_the_error(text):
    """Returns a ValueError instead of raising it.

    message: write 'raise' instead of 'return'
    """
    found = re.fullmatch(f"([{AMINO_ACIDS}])([1-9][0-9]*)([{AMINO_ACIDS}])", text)
    if not found:
        return ValueError(f"not a mutation: {text}")
    return found[1], int(found[2]), found[3]


def wrong_parse_mutation__assertion(text):
    """Raises AssertionError, not ValueError.

    message: It raised AssertionError where a ValueError
    """
    found = re.fullmatch(f"([{AMINO_ACIDS}])([1-9][0-9]*)([{AMINO_ACIDS}])", text)
    assert found, f"not a mutation: {text}"
    return found[1], int(found[2]), found[3]


def wrong_parse_mutation__attribute_error(text):
    """Never looks whether the pattern matched: AttributeError.

    message: It raised AttributeError where a ValueError
    """
    found = re.fullmatch(f"([{AMINO_ACIDS}])([1-9][0-9]*)([{AMINO_ACIDS}])", text)
    return found.group(1), int(found.group(2)), found.group(3)


def wrong_parse_mutation__index_error(text):
    """The empty text gives an IndexError.

    message: '' is empty. It raised IndexError
    """
    wild, mutant = text[0], text[-1]
    if wild not in AMINO_ACIDS or mutant not in AMINO_ACIDS or not re.fullmatch("[1-9][0-9]*", text[1:-1]):
        raise ValueError(f"not a mutation: {text}")
    return wild, int(text[1:-1]), mutant


def wrong_parse_mutation__mutant_first(text):
    """Returns (mutant, position, wild type).

    message: wild type first and mutant last
    """
    found = re.fullmatch(f"([{AMINO_ACIDS}])([1-9][0-9]*)([{AMINO_ACIDS}])", text)
    if not found:
        raise ValueError(f"not a mutation: {text}")
    return found[3], int(found[2]), found[1]


def wrong_parse_mutation__trailing_text(text):
    """re.match lets anything follow: M69LK, A1C:D7N.

    message: has a letter too many
    """
    found = re.match(f"([{AMINO_ACIDS}])([1-9][0-9]*)([{AMINO_ACIDS}])", text)
    if not found:
        raise ValueError(f"not a mutation: {text}")
    return found[1], int(found[2]), found[3]


def wrong_parse_mutation__search(text):
    """re.search finds a mutation anywhere in the text: p.M69L.

    message: is two mutations
    """
    found = re.search(f"([{AMINO_ACIDS}])([1-9][0-9]*)([{AMINO_ACIDS}])$", text)
    if not found:
        raise ValueError(f"not a mutation: {text}")
    return found[1], int(found[2]), found[3]


def wrong_parse_mutation__newline(text):
    """A dollar sign in the pattern lets a line end pass: "M69L\\n".

    message: ends with a line break
    """
    found = re.match(f"^([{AMINO_ACIDS}])([1-9][0-9]*)([{AMINO_ACIDS}])$", text)
    if not found:
        raise ValueError(f"not a mutation: {text}")
    return found[1], int(found[2]), found[3]


def wrong_parse_mutation__strips(text):
    """Blanks around the mutation pass.

    message: has a blank at the end
    """
    found = re.fullmatch(f"([{AMINO_ACIDS}])([1-9][0-9]*)([{AMINO_ACIDS}])", text.strip())
    if not found:
        raise ValueError(f"not a mutation: {text}")
    return found[1], int(found[2]), found[3]


def wrong_parse_mutation__int_decides(text):
    """int() also takes "-5", "+5", " 5" and "1_000".

    message: 'M0L' has position 0
    """
    if len(text) < 3 or text[0] not in AMINO_ACIDS or text[-1] not in AMINO_ACIDS:
        raise ValueError(f"not a mutation: {text}")
    return text[0], int(text[1:-1]), text[-1]


def wrong_parse_mutation__int_and_positive(text):
    """int() also takes "+5" and "1_000".

    message: which int() takes
    """
    if len(text) < 3 or not {text[0], text[-1]} <= set(AMINO_ACIDS) or text[1] == "0" or int(text[1:-1]) < 1:
        raise ValueError(f"not a mutation: {text}")
    return text[0], int(text[1:-1]), text[-1]


def wrong_parse_mutation__position_zero(text):
    """M0L passes: residues count from 1.

    message: 'M0L' has position 0
    """
    found = re.fullmatch(f"([{AMINO_ACIDS}])(0|[1-9][0-9]*)([{AMINO_ACIDS}])", text)
    if not found:
        raise ValueError(f"not a mutation: {text}")
    return found[1], int(found[2]), found[3]


def wrong_parse_mutation__leading_zeros(text):
    """M069L passes.

    message: has a leading zero
    """
    found = re.fullmatch(f"([{AMINO_ACIDS}])([0-9]+)([{AMINO_ACIDS}])", text)
    if not found or int(found[2]) == 0:
        raise ValueError(f"not a mutation: {text}")
    return found[1], int(found[2]), found[3]


def wrong_parse_mutation__mutant_unchecked(text):
    """The mutant may be any capital letter.

    message: ends with B, which is no standard amino acid
    """
    found = re.fullmatch(f"([{AMINO_ACIDS}])([1-9][0-9]*)([A-Z])", text)
    if not found:
        raise ValueError(f"not a mutation: {text}")
    return found[1], int(found[2]), found[3]


def wrong_parse_mutation__stop_codon(text):
    """M69* passes.

    message: is a stop, not a substitution
    """
    found = re.fullmatch(f"([{AMINO_ACIDS}])([1-9][0-9]*)([{AMINO_ACIDS}*])", text)
    if not found:
        raise ValueError(f"not a mutation: {text}")
    return found[1], int(found[2]), found[3]


def wrong_parse_mutation__letter_forgotten(text):
    """Tryptophan is missing from the alphabet typed by hand.

    message: 'W1021Y'
    """
    found = re.fullmatch("([ACDEFGHIKLMNPQRSTVY])([1-9][0-9]*)([ACDEFGHIKLMNPQRSTVY])", text)
    if not found:
        raise ValueError(f"not a mutation: {text}")
    return found[1], int(found[2]), found[3]


def wrong_parse_mutation__three_digits_at_most(text):
    """Four digits are refused: T1010A of a large protein.

    message: 'W1021Y'
    """
    found = re.fullmatch(f"([{AMINO_ACIDS}])([1-9][0-9]{{0,2}})([{AMINO_ACIDS}])", text)
    if not found:
        raise ValueError(f"not a mutation: {text}")
    return found[1], int(found[2]), found[3]


def wrong_parse_mutation__prints(text):
    """Prints the parts and returns nothing.

    message: is the line with 'return' missing?
    """
    found = re.fullmatch(f"([{AMINO_ACIDS}])([1-9][0-9]*)([{AMINO_ACIDS}])", text)
    if not found:
        raise ValueError(f"not a mutation: {text}")
    print(found[1], int(found[2]), found[3])


def right_parse_mutation__pattern(text):
    found = re.fullmatch(r"([ACDEFGHIKLMNPQRSTVWY])([1-9]\d*)([ACDEFGHIKLMNPQRSTVWY])", text)
    if found is None:
        raise ValueError(f"{text} is not a mutation")
    return found.group(1), int(found.group(2)), found.group(3)


def right_parse_mutation__slices(text):
    if len(text) < 3:
        raise ValueError("too short")
    wild, number, mutant = text[0], text[1:-1], text[-1]
    if wild not in "LAGVSERTIDPKQNFYMHWC" or mutant not in "LAGVSERTIDPKQNFYMHWC":
        raise ValueError("not an amino acid")
    if not (number.isascii() and number.isdigit()) or number.startswith("0"):
        raise ValueError("not a position")
    return wild, int(number), mutant


def right_parse_mutation__round_trip(text):
    try:
        wild, position, mutant = text[0], int(text[1:-1]), text[-1]
    except IndexError:
        raise ValueError("empty") from None
    if position < 1 or f"{wild}{position}{mutant}" != text or not {wild, mutant} <= set("ACDEFGHIKLMNPQRSTVWY"):
        raise ValueError(f"{text!r} is no mutation")
    return wild, position, mutant


def right_parse_mutation__digit_by_digit(text):
    letters, digits = [], ""
    for character in text:
        if character in "0123456789" and len(letters) == 1:
            digits += character
        elif character in "ACDEFGHIKLMNPQRSTVWY":
            letters.append(character)
        else:
            raise ValueError(f"{character} does not belong into a mutation")
    if len(letters) != 2 or not digits or digits[0] == "0" or text != letters[0] + digits + letters[1]:
        raise ValueError(f"{text} is not a mutation")
    return letters[0], int(digits), letters[1]


def wrong_mutation_score__sign(plm, sequence, mutation, first=1):
    """log p(wild) - log p(mutant).

    message: The sign is turned
    """
    wild, position, mutant = parse_mutation(mutation)
    index = position - first
    if not 0 <= index < len(sequence) or sequence[index].upper() != wild:
        raise ValueError(f"{mutation} does not fit the sequence")
    tokens = plm.tokenize([sequence])
    tokens[0, index + 1] = 32
    log_probs = plm.forward(tokens).logits[0, index + 1].log_softmax(-1)
    return float(log_probs[IDS[wild]] - log_probs[IDS[mutant]])


def wrong_mutation_score__not_masked(plm, sequence, mutation, first=1):
    """The wild type stays visible.

    message: The residue stays visible in your input
    """
    wild, position, mutant = parse_mutation(mutation)
    index = position - first
    if not 0 <= index < len(sequence) or sequence[index].upper() != wild:
        raise ValueError(f"{mutation} does not fit the sequence")
    log_probs = plm.forward(plm.tokenize([sequence])).logits[0, index + 1].log_softmax(-1)
    return float(log_probs[IDS[mutant]] - log_probs[IDS[wild]])


def wrong_mutation_score__mutant_put_in(plm, sequence, mutation, first=1):
    """Writes the mutant into the sequence instead of masking.

    message: You write the mutant into the sequence
    """
    wild, position, mutant = parse_mutation(mutation)
    index = position - first
    if not 0 <= index < len(sequence) or sequence[index].upper() != wild:
        raise ValueError(f"{mutation} does not fit the sequence")
    changed = sequence[:index] + mutant + sequence[index + 1:]
    log_probs = plm.forward(plm.tokenize([changed])).logits[0, index + 1].log_softmax(-1)
    return float(log_probs[IDS[mutant]] - log_probs[IDS[wild]])


def wrong_mutation_score__forgets_bos(plm, sequence, mutation, first=1):
    """Masks and reads one token too early: <cls> comes first.

    message: You mask and read the token before the residue
    """
    wild, position, mutant = parse_mutation(mutation)
    index = position - first
    if not 0 <= index < len(sequence) or sequence[index].upper() != wild:
        raise ValueError(f"{mutation} does not fit the sequence")
    tokens = plm.tokenize([sequence])
    tokens[0, index] = 32
    log_probs = plm.forward(tokens).logits[0, index].log_softmax(-1)
    return float(log_probs[IDS[mutant]] - log_probs[IDS[wild]])


def wrong_mutation_score__reads_one_early(plm, sequence, mutation, first=1):
    """Masks the right token, but reads the one before.

    message: You mask the right token, but read the one before
    """
    wild, position, mutant = parse_mutation(mutation)
    index = position - first
    if not 0 <= index < len(sequence) or sequence[index].upper() != wild:
        raise ValueError(f"{mutation} does not fit the sequence")
    tokens = plm.tokenize([sequence])
    tokens[0, index + 1] = 32
    log_probs = plm.forward(tokens).logits[0, index].log_softmax(-1)
    return float(log_probs[IDS[mutant]] - log_probs[IDS[wild]])


def wrong_mutation_score__ignores_first(plm, sequence, mutation, first=1):
    """Counts from 1 whatever `first` says.

    message: first=26)
    """
    wild, position, mutant = parse_mutation(mutation)
    index = position - 1
    if not 0 <= index < len(sequence) or sequence[index].upper() != wild:
        raise ValueError(f"{mutation} does not fit the sequence")
    tokens = plm.tokenize([sequence])
    tokens[0, index + 1] = 32
    log_probs = plm.forward(tokens).logits[0, index + 1].log_softmax(-1)
    return float(log_probs[IDS[mutant]] - log_probs[IDS[wild]])


def wrong_mutation_score__adds_first(plm, sequence, mutation, first=1):
    """Index is position - first - 1: right nowhere, but it wraps around quietly.

    message: 'K2A', first=1)
    """
    wild, position, mutant = parse_mutation(mutation)
    index = position - first - 1
    if sequence[index].upper() != wild:
        raise ValueError(f"{mutation} does not fit the sequence")
    tokens = plm.tokenize([sequence])
    tokens[0, index + 1] = 32
    log_probs = plm.forward(tokens).logits[0, index + 1].log_softmax(-1)
    return float(log_probs[IDS[mutant]] - log_probs[IDS[wild]])


def wrong_mutation_score__wild_type_unchecked(plm, sequence, mutation, first=1):
    """Never looks whether the wild type stands there.

    message: position 2 is K, not A
    """
    wild, position, mutant = parse_mutation(mutation)
    index = position - first
    if not 0 <= index < len(sequence):
        raise ValueError(f"{mutation} lies outside the sequence")
    tokens = plm.tokenize([sequence])
    tokens[0, index + 1] = 32
    log_probs = plm.forward(tokens).logits[0, index + 1].log_softmax(-1)
    return float(log_probs[IDS[mutant]] - log_probs[IDS[wild]])


def wrong_mutation_score__real_wild_type_taken(plm, sequence, mutation, first=1):
    """Ignores the wild type of the mutation's name and takes the sequence's.

    message: position 2 is K, not A
    """
    _, position, mutant = parse_mutation(mutation)
    index = position - first
    if not 0 <= index < len(sequence):
        raise ValueError(f"{mutation} lies outside the sequence")
    tokens = plm.tokenize([sequence])
    wild = int(tokens[0, index + 1])
    tokens[0, index + 1] = 32
    log_probs = plm.forward(tokens).logits[0, index + 1].log_softmax(-1)
    return float(log_probs[IDS[mutant]] - log_probs[wild])


def wrong_mutation_score__negative_index(plm, sequence, mutation, first=1):
    """A position before the first residue wraps around to the end of the sequence.

    message: index -1 would be the last one
    """
    wild, position, mutant = parse_mutation(mutation)
    index = position - first
    if index >= len(sequence) or sequence[index].upper() != wild:
        raise ValueError(f"{mutation} does not fit the sequence")
    tokens = plm.tokenize([sequence])
    tokens[0, 1:-1][index] = 32
    log_probs = plm.forward(tokens).logits[0, 1:-1][index].log_softmax(-1)
    return float(log_probs[IDS[mutant]] - log_probs[IDS[wild]])


def wrong_mutation_score__index_error(plm, sequence, mutation, first=1):
    """A position behind the end gives an IndexError, not a ValueError.

    message: the sequence has 10 residues. Scoring it anyway gives a number about another protein. It raised IndexError
    """
    wild, position, mutant = parse_mutation(mutation)
    index = position - first
    if index < 0 or sequence[index].upper() != wild:
        raise ValueError(f"{mutation} does not fit the sequence")
    tokens = plm.tokenize([sequence])
    tokens[0, index + 1] = 32
    log_probs = plm.forward(tokens).logits[0, index + 1].log_softmax(-1)
    return float(log_probs[IDS[mutant]] - log_probs[IDS[wild]])


def wrong_mutation_score__last_residue_outside(plm, sequence, mutation, first=1):
    """Refuses the last residue: off by one in the range check.

    message: 'R10G', first=1)
    """
    wild, position, mutant = parse_mutation(mutation)
    index = position - first
    if not 0 <= index < len(sequence) - 1 or sequence[index].upper() != wild:
        raise ValueError(f"{mutation} does not fit the sequence")
    tokens = plm.tokenize([sequence])
    tokens[0, index + 1] = 32
    log_probs = plm.forward(tokens).logits[0, index + 1].log_softmax(-1)
    return float(log_probs[IDS[mutant]] - log_probs[IDS[wild]])


def wrong_mutation_score__first_residue_outside(plm, sequence, mutation, first=1):
    """Refuses the first residue: `if index <= 0`.

    message: 'M1L', first=1)
    """
    wild, position, mutant = parse_mutation(mutation)
    index = position - first
    if index <= 0 or index >= len(sequence) or sequence[index].upper() != wild:
        raise ValueError(f"{mutation} does not fit the sequence")
    tokens = plm.tokenize([sequence])
    tokens[0, index + 1] = 32
    log_probs = plm.forward(tokens).logits[0, index + 1].log_softmax(-1)
    return float(log_probs[IDS[mutant]] - log_probs[IDS[wild]])


def wrong_mutation_score__probabilities(plm, sequence, mutation, first=1):
    """Difference of probabilities, no logarithm.

    message: This is a difference of probabilities
    """
    wild, position, mutant = parse_mutation(mutation)
    index = position - first
    if not 0 <= index < len(sequence) or sequence[index].upper() != wild:
        raise ValueError(f"{mutation} does not fit the sequence")
    tokens = plm.tokenize([sequence])
    tokens[0, index + 1] = 32
    probs = plm.forward(tokens).logits[0, index + 1].softmax(-1)
    return float(probs[IDS[mutant]] - probs[IDS[wild]])


def wrong_mutation_score__ratio(plm, sequence, mutation, first=1):
    """p(mutant) / p(wild), no logarithm.

    message: This is the ratio of the probabilities
    """
    wild, position, mutant = parse_mutation(mutation)
    index = position - first
    if not 0 <= index < len(sequence) or sequence[index].upper() != wild:
        raise ValueError(f"{mutation} does not fit the sequence")
    tokens = plm.tokenize([sequence])
    tokens[0, index + 1] = 32
    probs = plm.forward(tokens).logits[0, index + 1].softmax(-1)
    return float(probs[IDS[mutant]] / probs[IDS[wild]])


def wrong_mutation_score__ratio_of_logs(plm, sequence, mutation, first=1):
    """log p(mutant) / log p(wild).

    message: divided by log p(wild type)
    """
    wild, position, mutant = parse_mutation(mutation)
    index = position - first
    if not 0 <= index < len(sequence) or sequence[index].upper() != wild:
        raise ValueError(f"{mutation} does not fit the sequence")
    tokens = plm.tokenize([sequence])
    tokens[0, index + 1] = 32
    log_probs = plm.forward(tokens).logits[0, index + 1].log_softmax(-1)
    return float(log_probs[IDS[mutant]] / log_probs[IDS[wild]])


def wrong_mutation_score__base_two(plm, sequence, mutation, first=1):
    """Bits instead of nats.

    message: base 2
    """
    wild, position, mutant = parse_mutation(mutation)
    index = position - first
    if not 0 <= index < len(sequence) or sequence[index].upper() != wild:
        raise ValueError(f"{mutation} does not fit the sequence")
    tokens = plm.tokenize([sequence])
    tokens[0, index + 1] = 32
    probs = plm.forward(tokens).logits[0, index + 1].softmax(-1)
    return math.log2(probs[IDS[mutant]] / probs[IDS[wild]])


def wrong_mutation_score__base_ten(plm, sequence, mutation, first=1):
    """Decimal logarithm.

    message: base 10
    """
    wild, position, mutant = parse_mutation(mutation)
    index = position - first
    if not 0 <= index < len(sequence) or sequence[index].upper() != wild:
        raise ValueError(f"{mutation} does not fit the sequence")
    tokens = plm.tokenize([sequence])
    tokens[0, index + 1] = 32
    probs = plm.forward(tokens).logits[0, index + 1].softmax(-1)
    return float(torch.log10(probs[IDS[mutant]] / probs[IDS[wild]]))


def wrong_mutation_score__softmax_over_positions(plm, sequence, mutation, first=1):
    """log_softmax(0) runs over the positions, not over the tokens.

    message: Your softmax runs over the positions
    """
    wild, position, mutant = parse_mutation(mutation)
    index = position - first
    if not 0 <= index < len(sequence) or sequence[index].upper() != wild:
        raise ValueError(f"{mutation} does not fit the sequence")
    tokens = plm.tokenize([sequence])
    tokens[0, index + 1] = 32
    log_probs = plm.forward(tokens).logits[0].log_softmax(0)[index + 1]
    return float(log_probs[IDS[mutant]] - log_probs[IDS[wild]])


def wrong_mutation_score__mutant_only(plm, sequence, mutation, first=1):
    """log p(mutant); the wild type is not subtracted.

    message: This is log p(mutant) alone
    """
    wild, position, mutant = parse_mutation(mutation)
    index = position - first
    if not 0 <= index < len(sequence) or sequence[index].upper() != wild:
        raise ValueError(f"{mutation} does not fit the sequence")
    tokens = plm.tokenize([sequence])
    tokens[0, index + 1] = 32
    return float(plm.forward(tokens).logits[0, index + 1].log_softmax(-1)[IDS[mutant]])


def wrong_mutation_score__alphabetical(plm, sequence, mutation, first=1):
    """Believes that the amino acids have ids in alphabetical order.

    message: The ids are not in alphabetical order
    """
    wild, position, mutant = parse_mutation(mutation)
    index = position - first
    if not 0 <= index < len(sequence) or sequence[index].upper() != wild:
        raise ValueError(f"{mutation} does not fit the sequence")
    tokens = plm.tokenize([sequence])
    tokens[0, index + 1] = 32
    log_probs = plm.forward(tokens).logits[0, index + 1].log_softmax(-1)[4:24]
    return float(log_probs[AMINO_ACIDS.index(mutant)] - log_probs[AMINO_ACIDS.index(wild)])


def wrong_mutation_score__ids_from_zero(plm, sequence, mutation, first=1):
    """Forgets that the ids of the residues begin at 4.

    message: The ids of the residues begin at 4
    """
    wild, position, mutant = parse_mutation(mutation)
    index = position - first
    if not 0 <= index < len(sequence) or sequence[index].upper() != wild:
        raise ValueError(f"{mutation} does not fit the sequence")
    tokens = plm.tokenize([sequence])
    tokens[0, index + 1] = 32
    log_probs = plm.forward(tokens).logits[0, index + 1].log_softmax(-1)
    return float(log_probs[IDS[mutant] - 4] - log_probs[IDS[wild] - 4])


def wrong_mutation_score__x_as_mask(plm, sequence, mutation, first=1):
    """Writes X (unknown residue) where <mask> belongs.

    message: The score is not log p(mutant) - log p(wild type) at the masked position
    """
    wild, position, mutant = parse_mutation(mutation)
    index = position - first
    if not 0 <= index < len(sequence) or sequence[index].upper() != wild:
        raise ValueError(f"{mutation} does not fit the sequence")
    tokens = plm.tokenize([sequence[:index] + "X" + sequence[index + 1:]])
    log_probs = plm.forward(tokens).logits[0, index + 1].log_softmax(-1)
    return float(log_probs[IDS[mutant]] - log_probs[IDS[wild]])


def wrong_mutation_score__every_copy_masked(plm, sequence, mutation, first=1):
    """str.replace masks every residue of the same kind: right when the wild type occurs once.

    message: You mask every K of the sequence
    """
    wild, position, mutant = parse_mutation(mutation)
    index = position - first
    if not 0 <= index < len(sequence) or sequence[index].upper() != wild:
        raise ValueError(f"{mutation} does not fit the sequence")
    batch = plm.tokenizer([sequence.upper().replace(wild, "<mask>")], return_tensors="pt").to(plm.device)
    log_probs = plm.forward(batch.input_ids).logits[0, index + 1].log_softmax(-1)
    return float(log_probs[IDS[mutant]] - log_probs[IDS[wild]])


def wrong_mutation_score__first_copy(plm, sequence, mutation, first=1):
    """sequence.index(wild) finds the first such residue, not the one named.

    message: You mask and read the first K
    """
    wild, position, mutant = parse_mutation(mutation)
    index = position - first
    if not 0 <= index < len(sequence) or sequence[index].upper() != wild:
        raise ValueError(f"{mutation} does not fit the sequence")
    place = sequence.upper().index(wild) + 1
    tokens = plm.tokenize([sequence])
    tokens[0, place] = 32
    log_probs = plm.forward(tokens).logits[0, place].log_softmax(-1)
    return float(log_probs[IDS[mutant]] - log_probs[IDS[wild]])


def wrong_mutation_score__nothing(plm, sequence, mutation, first=1):
    """Forgets the return.

    message: is the line with 'return' missing?
    """
    wild, position, mutant = parse_mutation(mutation)
    index = position - first
    if not 0 <= index < len(sequence) or sequence[index].upper() != wild:
        raise ValueError(f"{mutation} does not fit the sequence")


def right_mutation_score__step_by_step(plm, sequence, mutation, first=1):
    wild, position, mutant = parse_mutation(mutation)
    index = position - first
    if index < 0 or index >= len(sequence):
        raise ValueError(f"position {position} lies outside the sequence")
    if sequence[index].upper() != wild:
        raise ValueError(f"position {position} is {sequence[index]}, not {wild}")
    tokens = plm.tokenize([sequence])
    tokens[0, index + 1] = 32
    log_probs = torch.log_softmax(plm.forward(tokens).logits[0, index + 1], dim=-1)
    return (log_probs[IDS[mutant]] - log_probs[IDS[wild]]).item()


def right_mutation_score__difference_of_logits(plm, sequence, mutation, first=1):
    """The softmax's denominator cancels."""
    wild, position, mutant = parse_mutation(mutation)
    if not first <= position < first + len(sequence):
        raise ValueError("outside")
    if sequence.upper()[position - first] != wild:
        raise ValueError("another residue")
    tokens = plm.tokenize([sequence])
    tokens[0, position - first + 1] = 32
    logits = plm.forward(tokens).logits[0, position - first + 1]
    return float(logits[IDS[mutant]] - logits[IDS[wild]])


def right_mutation_score__raw_transformers(plm, sequence, mutation, first=1):
    wild, position, mutant = parse_mutation(mutation)
    index, sequence = position - first, sequence.upper()
    if index not in range(len(sequence)) or sequence[index] != wild:
        raise ValueError(f"{mutation} does not fit")
    tokenizer = plm.tokenizer
    batch = tokenizer(sequence[:index] + "<mask>" + sequence[index + 1:], return_tensors="pt").to(plm.device)
    with torch.no_grad():
        logits = plm.model(**batch).logits
    place = (batch["input_ids"] == tokenizer.mask_token_id).nonzero()[0, 1]
    probs = torch.softmax(logits[0, place].double(), -1)
    new, old = tokenizer.convert_tokens_to_ids([mutant, wild])
    return math.log(probs[new]) - math.log(probs[old])


def right_mutation_score__with_the_package(plm, sequence, mutation, first=1):
    from plmcourse.scoring import masked_log_probs
    from plmcourse.sequences import TOKEN_ID, locate

    index, mutant = locate(sequence, mutation, first)
    row = masked_log_probs(plm, sequence, [index])[0]
    return float(row[TOKEN_ID[mutant]] - row[TOKEN_ID[sequence[index].upper()]])
