"""What common shortcuts do to a comparison of losses, measured: ``losscope reproduce shortcuts``.

Studies come from ``compare`` or from a store (``subjects``). ``looking`` trains their runs once more and
measures them on test after every epoch, ``dropping`` leaves out the last batch of test rows, ``counting``
makes the rows of all four shortcuts, and ``command`` is what the command does.
"""
