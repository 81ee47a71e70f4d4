"""One thread a process: threads that wait for a busy core are many times slower than one."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before any test imports torch
