"""From rows to batches: the collator, packing, the loader, and what training libraries need beside them.

packing  many dialogues of a row behind one image, in one sequence
collate  rows -> a padded batch of tensors
targets  where a loader's batches go
loader   Loader: batches of a stream, made ahead by threads
epochs   a loader that goes on to the next epoch by itself
trainer  the Trainer of transformers on a loader
"""
