"""HTML and CSS: documents are judged by what a browser makes of them (decision 0096)."""
