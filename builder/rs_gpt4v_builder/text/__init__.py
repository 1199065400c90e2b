"""From the text of a row to ids and labels: tokenizer, prompts, independent dialogues, chat messages.

spm           a sentencepiece model file, read without sentencepiece
tokenizer     LLaMA's tokenizer on the `tokenizers` library
turns         the turns of a conversation as a row holds them
estimate      how many tokens a text will have, without a tokenizer
conversation  turns -> ids and the spans to learn, in one pass
masking       which samples the original code masks whole, and how it counts
dialogues     the independent dialogues of a row, and which of them to take
messages      a row as chat messages, for TRL and for any processor
lengths       batches of samples of like length, as LLaVA groups them
"""
