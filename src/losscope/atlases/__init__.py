"""The atlas: the same losses on many data sets, made from ordinary comparisons, and asked about other data.

``declared`` says on which data, ``planning`` what they would cost, ``making`` trains what is not stored and
writes the table, ``entries`` makes a row of it from a result, ``kept`` reads tables. ``sketching`` says what
is known of data before anything trains on them, and ``asking`` what the atlas foretells of them.
"""
