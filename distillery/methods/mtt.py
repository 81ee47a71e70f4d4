"""MTT: matching training trajectories (Cazenavette et al., CVPR 2022, arXiv 2203.11932, algorithm 1
and equation 2).

From an expert's parameters theta*_t a student takes N gradient steps of learned size alpha on the
synthetic set; where it ends, theta_t+N, is compared with where the expert was M epochs later.
Images and alpha descend

    ||theta_t+N - theta*_t+M||^2 / ||theta*_t - theta*_t+M||^2.

The loop is ``_trajectory_matching``'s.
"""

from distillery.methods import _trajectory_matching, base

TITLE = "MTT"
KIND = "distilled"
CITATION = {
    "authors": "Cazenavette, George and Wang, Tongzhou and Torralba, Antonio and "
    "Efros, Alexei A. and Zhu, Jun-Yan",
    "title": "Dataset Distillation by Matching Training Trajectories",
    "venue": "CVPR",
    "year": 2022,
    "arxiv": "2203.11932",
}
ORDER = 40
FACTORED = True
COLOUR = 2
NEEDS_EXPERTS = True
SETTINGS = _trajectory_matching.SETTINGS
PROTOCOL = _trajectory_matching.PROTOCOL


def build(task: base.Task) -> base.Distillation:
    """Match trajectories; errors are those of ``_trajectory_matching``."""
    return _trajectory_matching.TrajectoryMatching("mtt", task)


expected_work = _trajectory_matching.expected_work
