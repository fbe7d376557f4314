"""Studies: many fits of one cohort, compared fairly, told as one page.

A study is a folder: ``study.json`` (what is asked), ``runs/`` (one run folder a fit, each with its
tables and scores), ``numbers.csv`` (every number of the page and the runs it comes from) and
``report.html``, written last.
"""
