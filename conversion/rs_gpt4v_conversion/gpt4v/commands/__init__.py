"""The commands of `rs-gpt4v gpt4v`, one module each."""
