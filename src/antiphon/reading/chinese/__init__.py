"""Chinese: the rules by which Chinese is read, the most particular first."""

from antiphon.reading.chinese import characters, codes, counting, dates, latin, money, ranges, sums, units

#: Full-width letters and digits, and signs of their own, are read first: the rules see what they stand for.
CHARACTERS = (
    characters.narrow,
    characters.circled,
    characters.fractions,
    characters.repeated,
    characters.zero,
    characters.below,
)
RULES = (
    *codes.FIRST,
    *ranges.FIRST,
    *dates.RULES,
    *codes.RULES,
    *ranges.RULES,
    *money.RULES,
    *units.FIRST,
    *sums.FIRST,
    *latin.RULES,
    *units.RULES,
    *sums.RULES,
    *ranges.LAST,
    *counting.RULES,
)
