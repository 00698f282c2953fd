"""How an answer and its test are put together, one module a language that needs code for it. Pure text in, text out."""
