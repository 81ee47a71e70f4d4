"""The names that configs, file names and artefacts share, each said once. Imports nothing.

How a reader is shown them is no part of this module: a computing job that reads a name here is
stale once this file changes.
"""

# What the images of a set start from. An imported set was begun by no job of ours.
REAL, NOISE, IMPORTED = "real", "noise", "imported"
INITS = (REAL, NOISE)

# What training on the full training set is called where methods are compared.
WHOLE = "whole"

# The labels that a set's images are trained under: its own, whatever they are; the likeliest class
# of each; or a teacher's answers. What was measured says which its own are: hard, or soft.
OWN, HARD, SOFT, TEACHER = "own", "hard", "soft", "teacher"

# Strategies of continual learning: those that need no memory set, and those that learn from one.
FINETUNE, JOINT, REPLAY, AFTERWARDS = "finetune", "joint", "replay", "afterwards"
GDUMB = "gdumb"
ALONE = (FINETUNE, JOINT)
REMEMBERING = (REPLAY, AFTERWARDS, GDUMB)
STRATEGIES = (*ALONE, *REMEMBERING)

# How a memory comes about: made with all classes present, or of each group from its images alone.
GIVEN, PER_STEP = "given", "per_step"
MEMORIES = (GIVEN, PER_STEP)

# The images of a set that an accuracy is of: those of every snapshot, the final ones, those that
# scored best on the images held out for validation (and what they scored there), and those that
# scored best on the test images.
SNAPSHOT = "snapshot"
LAST, BEST_VALIDATION, HELD_OUT, BEST_TEST = "last", "best_validation", "held_out", "best_test"
SELECTIONS = (LAST, BEST_VALIDATION, HELD_OUT, BEST_TEST)
