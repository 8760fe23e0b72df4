"""What a command says when its input is wrong."""


class UserError(ValueError):
    """Bad input from a user: one line that names the value and what would be right.

    Commands print it without a traceback and exit with status 2.
    """
