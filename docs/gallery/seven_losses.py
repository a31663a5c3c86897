"""Seven losses side by side

All on scikit-learn's digits, untuned and with few epochs so that this page is made in seconds. The grid of
pairs says which are better,
equal or open.
"""

import losscope

losses = "contrastive,triplet,info_nce,sup_con,multi_similarity,circle,proxy_anchor"
result = losscope.compare("digits", losses=losses, seeds=10, epochs=4, tune=False)
print(result)
result.report("page.html")
