"""Reading: from what people write to what is said, with the place in the written text of every word.

A rule finds one kind of thing in a text (an amount of money, a date, a heading) and says how it is read. A reader of a
language is a list of rules, the most particular first. Text that no rule finds is said as it is written.
"""

#: The modules that other rooms use; the rest is this room's own.
__all__ = ["markup", "reader", "said", "switches"]
