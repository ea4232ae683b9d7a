"""Errors that the user can mend: the command line prints them without a traceback."""


class UserError(Exception):
    """Something outside the program is wrong, and the message says what and how to mend it.

    The command line prints one line for each fault and exits with code 2. Anything else that is raised is a
    defect of the program and keeps its traceback.

    Args:
      *lines: one readable sentence for each fault: the file, the key, the value and the remedy.

    Example:
      >>> error = UserError("a.toml: run.steps: must be at least 1 (got 0)", "a.toml: run.sead: unknown key")
      >>> len(error.lines)
      2
      >>> print(error)
      a.toml: run.steps: must be at least 1 (got 0)
      a.toml: run.sead: unknown key
    """

    def __init__(self, *lines: str) -> None:
        super().__init__("\n".join(lines))
        self.lines = lines


def out_of_memory(error: BaseException) -> UserError | None:
    """What to say where NumPy, or XLA on any device, asked for more memory than there is; None: it is another error.

    Example:
      >>> print(out_of_memory(RuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 3 bytes")))
      not enough memory: RESOURCE_EXHAUSTED: Out of memory allocating 3 bytes; lower the sizes of batches, or those of
      the model
    """
    if not isinstance(error, MemoryError) and not str(error).startswith("RESOURCE_EXHAUSTED"):
        return None
    return UserError(f"not enough memory: {first_line(error)}; lower the sizes of batches, or those of the model")


def first_line(error: BaseException) -> str:
    r"""What an error says, in one line; its kind where it says nothing.

    Example:
      >>> first_line(OSError("no room\nwhatever"))
      'no room'
    """
    return str(error).strip().partition("\n")[0] or type(error).__name__
