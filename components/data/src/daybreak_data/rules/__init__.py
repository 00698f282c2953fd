"""Which documents are kept: language, generated code, quality filters; the rule tables are the JSON files beside."""
