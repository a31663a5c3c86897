"""A verdict on a table of results

Four models with eight seeds each, as anyone's spreadsheet has them. Nothing is trained: the differences
are tested seed by seed.
"""

import numpy as np
import pandas as pd

import losscope

draw = np.random.default_rng(0)
luck = draw.normal(0, 0.01, 8)
rows = [
    (model, seed, base + luck[seed] + draw.normal(0, 0.003))
    for model, base in (("baseline", 0.700), ("longer", 0.702), ("wider", 0.731), ("both", 0.733))
    for seed in range(8)
]
scores = pd.DataFrame(rows, columns=["model", "seed", "Recall@1"])

result = losscope.judge(scores, reference="baseline")
for row in result.verdicts():
    print(row.sentence)
result.report("page.html")
