"""Why a broker does not start."""


class StartError(Exception):
    """Something that was found at the start; the message says what to do and holds no secret."""
