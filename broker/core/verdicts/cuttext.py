"""A string of which only the beginning arrived."""


class CutText(str):
    """The head of a string whose end was cut off: it may begin like a word without being it."""

    __slots__ = ()
