"""Each claim of a paper over a declared space of settings, instead of at one of them.

``space`` and ``declared`` say which settings are defensible, ``design`` draws some of them, ``planning``
makes runs of these, ``running`` trains them, ``reading`` makes universes of what is stored, and ``matching``
asks which settings give the published numbers.
"""
