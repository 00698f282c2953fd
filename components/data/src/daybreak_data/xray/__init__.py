"""The x-ray step: statistics of a documents artifact as a page, a table and a tracked run."""
