"""Audio finds video, and video finds audio

Pairs of two modalities that see the same hidden meaning through noise. Canonical correlation stands beside
the losses and trains nothing.
"""

import numpy as np

import losscope

draw = np.random.default_rng(0)
labels = np.repeat(np.arange(12), 30)
meaning = draw.normal(size=(12, 8))[labels] + 0.7 * draw.normal(size=(360, 8))
audio = meaning @ draw.normal(size=(8, 32)) + 2 * draw.normal(size=(360, 32))
visual = meaning @ draw.normal(size=(8, 48)) + 2 * draw.normal(size=(360, 48))
np.savez("clips.npz", audio=audio, visual=visual, labels=labels)

losses = "contrastive,triplet"
result = losscope.compare("clips.npz", losses=losses, seeds=8, epochs=8, tune=False)
print(result)
result.report("page.html")
