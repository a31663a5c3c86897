"""Is a loss worth training on these features?

Rows of twelve classes, in which four directions tell no class from another. The page answers with the losses,
the features as they are, and a whitening that trains nothing.
"""

import numpy as np

import losscope

draw = np.random.default_rng(0)
labels = np.repeat(np.arange(12), 30)
features = draw.normal(size=(12, 24))[labels] + draw.normal(size=(360, 24))
features[:, :4] = draw.normal(scale=4, size=(360, 4))

losses = "contrastive,triplet"
result = losscope.compare(features, labels, losses=losses, seeds=8, epochs=8, tune=False)
print(result)
result.report("page.html")
