"""Which labels are wrong?

The digits with one label in twenty changed. The page of the inspection lists the labels that are likely
wrong, the copies, and
the classes that are confused, beside a map.
"""

import numpy as np
from sklearn.datasets import load_digits

import losscope

pixels, labels = load_digits(return_X_y=True)
draw = np.random.default_rng(0)
changed = draw.permutation(len(labels))[:90]
labels[changed] = (labels[changed] + 1) % 10

found = losscope.inspect(pixels, labels, report="page.html")
print(found.headline)
surest = [suspect.item.row for suspect in found.wrong_labels.worst[:50]]
print(f"{np.isin(surest, changed).mean():.0%} of the 50 surest were changed")
