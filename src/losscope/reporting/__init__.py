"""The page, the tables and the plots."""
