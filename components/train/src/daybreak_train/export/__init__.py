"""The export step: trained weights to a folder that any Llama server loads."""
