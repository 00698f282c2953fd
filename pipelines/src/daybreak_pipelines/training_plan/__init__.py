"""``daybreak plan``: counts the data, asks the contracts' arithmetic, says it in words."""
