"""Spans of time in words, for people."""

_UNITS = ((86400.0, "d"), (3600.0, "h"), (60.0, "min"), (1.0, "s"))


def in_words(seconds: float) -> str:
    """The two largest units of a span: `2 h 5 min`."""
    left, words = max(seconds, 0.0) + 0.5, list[str]()
    for size, unit in _UNITS:
        count, left = divmod(left, size)
        if count and len(words) < 2:
            words.append(f"{count:.0f} {unit}")
        elif words:
            break
    return " ".join(words) or "0 s"
