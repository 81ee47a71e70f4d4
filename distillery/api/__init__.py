"""The Python interface: from images in memory to a set, and from a set to what it is worth.

The stages are those of the workflow's jobs, and their settings are resolved by a study of one cell:
the same images, settings and seed give the same bits. ``distillery.distil``, ``evaluate`` and
``baseline`` are the names that users import.
"""
