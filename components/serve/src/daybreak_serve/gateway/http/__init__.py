"""HTTP in and out: requests, answers, problems, one exchange. Knows no engine."""
