"""The one exception that a user is meant to read."""


class UserError(Exception):
    """Bad input, told in one line: what is wrong, where, and what would be right."""
