"""Text that came from elsewhere, made safe for a terminal."""


def plain(text: str) -> str:
    r"""The text with everything that does not print shown as an escape, such as `\\x1b`.

    A terminal obeys control characters and reorders what stands beside bidirectional marks: a key's
    id or a provider's message must not move the cursor, set the title or dress up as another line.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
