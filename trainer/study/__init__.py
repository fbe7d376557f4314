"""Studies: many fits of one cohort, compared on one page.

A study is a folder: ``study.json`` (the request), ``runs/`` (one run folder a fit, each with its
tables and scores), ``numbers.csv`` (every number of the page and the runs it comes from) and
``report.html``, written last.
"""
