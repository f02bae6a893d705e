"""The report for readers: pages, summaries, PDF, and the folder that holds them."""
