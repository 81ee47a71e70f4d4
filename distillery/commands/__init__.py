"""The commands of the shell, one module each: ``EXAMPLES``, ``declare`` for its arguments,
and ``run``, which returns an exit status or nothing.

A module imports what takes time within its functions, so that help is there at once."""
