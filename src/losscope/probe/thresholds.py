"""Every threshold of the doctor and of what ``compare`` calls collapsed or stuck. Imports nothing.

docs/probe.md says on which trainings they were set, and how often they alarm on others.
"""

from __future__ import annotations

LOOKS = 3
"""Looks in a row that have to agree, for rules on what is looked at now and then."""
STEPS = 20
"""Steps that have to agree, for rules on what every step records."""
IDLE = 50
"""Steps in a row without any gradient."""
NEAR = 0.05
"""Distance of unit rows, from 0 to 2, below which they are at one point."""
SPREAD = NEAR**2
"""Mean squared distance of unit rows to their mean below which they have collapsed."""
FALLEN = 0.25
"""A collapse is below this share of the spread at the first look: a network may begin narrow."""
LINE = 1.2
"""Directions that the rows of a batch vary in, below which they lie on a line."""
LINE_RANK = 2.0
"""Effective rank (RankMe, not centred) of a test split on a line: unit rows of a line lie on an arc."""
LINE_CLASSES = 4
"""Classes from which on a line is too little; two classes need one direction, three need two."""
AT_MARGIN = 0.01
"""How near the mean loss is to that of equal rows, relative to it, where training is stuck there."""
AROUND_MARGIN = 0.05
"""How near each batch is, whose loss differs by chance."""
STUCK = 100
"""Steps that training is given to leave the value of equal rows."""
MERGED = 0.1
"""Share of the pairs of different classes nearer than ``NEAR``: as of a third of the classes in one point."""
ALIKE = 0.1
"""Share of the rows of a batch that repeat another row."""
LENGTH = 0.01
"""How far the mean length of rows may be from 1."""
LACKING = 0.5
"""Share of the last steps whose batch had no positive, or no negative, at all."""
WAY = 10.0
"""Sum of ‖Δθ‖ over the last steps of the optimiser, in lengths ‖θ‖ of the weights before them."""
UNMOVED = 256
"""Steps in a row with a gradient and no step of an optimiser: more than gradients are accumulated over."""
OVERFLOWS = 20
"""Steps in a row whose scaled gradient is not finite; fewer are a GradScaler that looks for its scale."""
EXPLODED = 100.0
"""The gradient of the last steps over that of the first ones."""
VANISHED = 1e-4
"""First-order change of the loss if every row moved by its own length, over the loss."""
DIED = 1e-4
"""Gradient of the parameters over that of the embeddings."""
PROGRESS = 0.9
"""Share of its first value below which the loss has come down, and a small gradient is no fault."""
EFFECT = 1e-9
"""Relative change of the loss, in float64, that is no change."""
ALONE = 1e-4
"""Change of the loss beyond that of two halves of the rows alone, relative to theirs, that is rounding."""
SCALED = 1e-3
"""Relative change of the loss with rows twice as long, above which it does not normalise them."""
