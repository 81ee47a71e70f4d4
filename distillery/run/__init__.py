"""What runs a job and what it records of the run: nothing in here decides a result, so nothing in
here makes one stale.

Only the workflow's scripts and the benchmarks import it; a module that computes never does.
"""
